"""How fast memory is read and written here, with all cores: the limit of a step."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from .pytorch import torch

# Far larger than any cache.
NUMBERS = 1 << 26
REPEATS = 8


def _best(run: Callable[[], object], wait: Callable[[], object], passes: int) -> float:
    """The time of a pass: the shortest of some, several in a row."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        for _ in range(passes):
            run()
        wait()
        times.append((time.perf_counter() - begin) / passes)
    return min(times)


def _jax(passes: int) -> float:
    arrays = [jnp.zeros(NUMBERS), jnp.ones(NUMBERS)]
    add = jax.jit(lambda a, b: a + 0.5 * b, donate_argnums=0)

    def run() -> None:
        arrays[0] = add(*arrays)

    return _best(run, lambda: jax.block_until_ready(arrays), passes)


def _torch(device: str, passes: int) -> float:
    a, b = torch.zeros(NUMBERS, device=device), torch.ones(NUMBERS, device=device)
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    return _best(lambda: a.add_(b, alpha=0.5), wait, passes)


def memory_bandwidth() -> float:
    """Bytes a second of ``a = a + 0.5 * b``, the best of what JAX and torch reach.

    It reads two numbers and writes one in place, as a step of an optimizer does: what
    is written has been read before, so no cache line is fetched only to be overwritten.
    """
    on_gpu = jax.devices()[0].platform == "gpu"
    # On a GPU to start a pass and to wait for it would count otherwise.
    passes = 20 if on_gpu else 1
    times = [_jax(passes)]
    if torch is not None and (torch.cuda.is_available() or not on_gpu):
        times.append(_torch("cuda" if on_gpu else "cpu", passes))
    return 3 * 4 * NUMBERS / min(times)
