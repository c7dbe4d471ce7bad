"""How fast memory is read and written here, with all cores: the limit of a step."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from .pytorch import torch

# Far larger than any cache.
NUMBERS = 1 << 26
REPEATS = 15


def _best(run: Callable[[], object], wait: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - begin)
    return min(times)


def _jax() -> float:
    arrays = [jnp.zeros(NUMBERS), jnp.ones(NUMBERS)]
    add = jax.jit(lambda a, b: a + 0.5 * b, donate_argnums=0)

    def run() -> None:
        arrays[0] = add(*arrays)

    return _best(run, lambda: jax.block_until_ready(arrays))


def _torch(device: str) -> float:
    a, b = torch.zeros(NUMBERS, device=device), torch.ones(NUMBERS, device=device)
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    return _best(lambda: a.add_(b, alpha=0.5), wait)


def memory_bandwidth() -> float:
    """Bytes a second of ``a = a + 0.5 * b``, the best of what JAX and torch reach.

    It reads two numbers and writes one in place, as a step of an optimizer does: what
    is written has been read before, so no cache line is fetched only to be overwritten.
    """
    times = [_jax()]
    on_gpu = jax.devices()[0].platform == "gpu"
    if torch is not None and (torch.cuda.is_available() or not on_gpu):
        times.append(_torch("cuda" if on_gpu else "cpu"))
    return 3 * 4 * NUMBERS / min(times)
