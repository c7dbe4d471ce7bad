"""The time of `ctc_loss` and its gradient, beside optax's.

Run it as ``python -m benchmarks.ctc_loss``.

512 frames, 32 samples, 64 classes; lengths are drawn. Both are compiled, from logits to
their gradient. The contenders run in turn, A B A B ..., so that a change of the
machine's speed meets both; printed are least times, medians and ratios.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optifunc as of

from .timing import Budget, interleaved, no_collection

FRAMES, SAMPLES, CLASSES = 512, 32, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--longest", type=int, default=64, help="of the targets")
    options = parser.parse_args()
    longest = options.longest
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(FRAMES, SAMPLES, CLASSES)), jnp.float32)
    targets = jnp.asarray(rng.integers(1, CLASSES, (SAMPLES, longest)))
    input_lengths = jnp.asarray(rng.integers(FRAMES // 2, FRAMES + 1, SAMPLES))
    target_lengths = jnp.asarray(rng.integers(longest // 2, longest + 1, SAMPLES))

    @jax.jit
    @jax.value_and_grad
    def ours(logits, *arguments):
        log_probs = jax.nn.log_softmax(logits)
        return of.losses.ctc_loss(log_probs, *arguments, reduction="sum")

    @jax.jit
    @jax.value_and_grad
    def theirs(logits, *arguments):
        return optax.ctc_loss(logits, *arguments).sum()

    def padding(lengths, size):
        return (jnp.arange(size)[None] >= lengths[:, None]).astype(jnp.float32)

    transposed = logits.transpose(1, 0, 2)
    frames, labels = padding(input_lengths, FRAMES), padding(target_lengths, longest)
    contenders = {
        "optifunc": lambda: ours(logits, targets, input_lengths, target_lengths),
        "optax": lambda: theirs(transposed, frames, targets, labels),
    }
    values = {name: float(run()[0]) for name, run in contenders.items()}
    np.testing.assert_allclose(*values.values(), rtol=1e-5)

    def timed(run: Callable[[], Any]) -> float:
        begin = time.perf_counter()
        jax.block_until_ready(run())
        return 1e3 * (time.perf_counter() - begin)

    turns = {name: partial(timed, run) for name, run in contenders.items()}
    with no_collection():
        times = interleaved(turns, Budget(0, options.repeats, options.repeats))
    for label, summary in (("least", min), ("median", statistics.median)):
        a, b = (summary(times[name]) for name in contenders)
        print(f"{label:<7} optifunc {a:.1f} ms, optax {b:.1f} ms, ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
