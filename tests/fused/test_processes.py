"""A second process finds in JAX's persistent cache a program that calls kernels."""

import os
import subprocess
import sys

PROGRAM = """
import sys
import jax, jax.numpy as jnp
import optifunc as of

jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
found = []
jax.monitoring.register_event_listener(lambda name, **_: found.append(name))

x = jnp.arange(100_000, dtype=jnp.float32)
step = jax.jit(of.fuse(lambda x, y: (x * y + 0.5, x - y)))
assert "custom_call @optifunc_" in step.lower(x, x).as_text()
a, b = step(x, x + 1)
assert bool((b == -1).all()) and float(a[3]) == 12.5
hits = sum("cache_hits" in name for name in found)
print("hits", hits)
"""


def test_a_second_process_uses_the_first_ones_program(tmp_path):
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    hits = []
    for _ in range(2):
        done = subprocess.run(
            command, env=environment, timeout=240, check=True, capture_output=True
        )
        hits.append(int(done.stdout.split()[-1]))
    assert hits[0] < hits[1]
    assert any(tmp_path.iterdir())


def test_importing_the_package_does_not_import_llvm():
    check = "import sys, optifunc; assert 'llvmlite' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)
