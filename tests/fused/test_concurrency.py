"""Many calls at once, on few threads and on many, all end, with the right results."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import concurrent.futures, sys
import jax, jax.numpy as jnp, numpy as np
import optifunc as of

devices = jax.devices()

@jax.jit
def step(x, y):
    def body(_, xy):
        return of.fuse(lambda x, y: (x + y, x - y, x * 0))(*xy)[:2]
    return jax.lax.fori_loop(0, 4, body, (x, y))

def calls(number):
    device = devices[number % len(devices)]
    total = 0.0
    for i in range(15):
        size = (70_000, 300_000, 1000)[(number + i) % 3]
        x = jax.device_put(jnp.full(size, number, jnp.float32), device)
        a, b = step(x, x * 0 + i)
        # Twice the sum and the difference are the first ones: after four steps 4 times.
        assert bool((a == 4 * number).all()) and bool((b == 4 * i).all()), (a, b)
    return number

with concurrent.futures.ThreadPoolExecutor(16) as pool:
    assert sorted(pool.map(calls, range(16))) == list(range(16))
"""


OTHERS = [(2, 1), (2, 4), (16, 2)]


@pytest.mark.parametrize(
    ("threads", "devices"),
    [(1, 1), *(pytest.param(*x, marks=pytest.mark.slow) for x in OTHERS)],
)
def test_many_calls_at_once(threads, devices):
    """XLA's pool has as many threads as the variable says."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags,
        "NPROC": str(threads),
    }
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    done = subprocess.run(command, env=environment, timeout=240, check=False)
    assert done.returncode == 0
