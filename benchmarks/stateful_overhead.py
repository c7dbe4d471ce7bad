"""What the torch-style face costs over the pure one.

Run it as ``python -m benchmarks.stateful_overhead``.

One optimizer step of the 784-512-512-10 network, gradients given. The contenders run in
turn, A B A B ..., so that a change of the machine's speed meets both; printed are
medians, their ratio and their difference.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

import optifunc as of
from optifunc import optim


def parameters() -> dict[str, dict[str, jax.Array]]:
    sizes = (784, 512, 512, 10)
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        f"layer{i}": {
            "weight": 0.05 * jax.random.normal(key, (sizes[i], sizes[i + 1])),
            "bias": jnp.zeros(sizes[i + 1]),
        }
        for i, key in enumerate(keys)
    }


def pure(params: dict, grads: dict) -> Callable[[], object]:
    tx = of.adamw(1e-3)

    # The transformation is an argument, as in the stateful face.
    @jax.jit
    def step(tx, params, state, grads):
        updates, state = tx.update(grads, state, params)
        return of.apply_updates(params, updates), state

    donating = jax.jit(step, donate_argnums=2)
    carry = [params, tx.init(params)]

    def run() -> object:
        carry[:] = donating(tx, *carry, grads)
        return carry[0]

    return run


def stateful(params: dict, grads: dict) -> Callable[[], object]:
    optimizer = optim.AdamW(params, lr=1e-3)

    def run() -> object:
        optimizer.step(grads=grads)
        return optimizer.params

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=300)
    repeats = parser.parse_args().repeats
    params = parameters()
    grads = jax.tree.map(lambda p: 0.01 * jnp.ones_like(p), params)
    contenders = {"pure": pure(params, grads), "optim": stateful(params, grads)}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats + 20):
        for name, run in contenders.items():
            begin = time.perf_counter()
            jax.block_until_ready(run())
            if repeat >= 20:  # the first ones compile and warm up
                times[name].append(1e6 * (time.perf_counter() - begin))
    medians = {name: statistics.median(values) for name, values in times.items()}
    differences = sorted(
        b - a for a, b in zip(times["pure"], times["optim"], strict=True)
    )
    quarter = len(differences) // 4
    print(f"{'contender':<10} {'median':>10} {'quartiles':>20}")
    for name, values in times.items():
        low, _, high = statistics.quantiles(values, n=4)
        print(f"{name:<10} {medians[name]:>7.0f} us {low:>9.0f} .. {high:.0f} us")
    print(f"ratio optim / pure: {medians['optim'] / medians['pure']:.2f}")
    print(
        f"overhead a step, in pairs: median {statistics.median(differences):.0f} us "
        f"(quartiles {differences[quarter]:.0f} .. {differences[-quarter]:.0f} us)"
    )


if __name__ == "__main__":
    main()
