"""State that several processes hold, each a part."""

import os
import socket
import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent(
    """
    import os
    import jax
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(os.environ["ADDRESS"], 2, int(os.environ["PROCESS"]))
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    from optifunc import optim

    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("x",)), PartitionSpec("x"))
    values = np.arange(8, dtype=np.float32) - 3.5
    def placed(array):
        return jax.make_array_from_callback((8,), sharding, lambda i: array[i])

    optimizer, alone = (
        optim.Adam({"w": w}, lr=0.1) for w in (placed(values), jnp.asarray(values))
    )
    optimizer.step(grads={"w": placed(2 * values)})
    alone.step(grads={"w": jnp.asarray(2 * values)})
    try:
        optimizer.state_dict()
    except RuntimeError as error:
        assert "state_dict(gather=True)" in str(error), error
    else:
        raise AssertionError("no error")
    found, expected = optimizer.state_dict(gather=True), alone.state_dict()
    for key, value in expected["state"][0].items():
        np.testing.assert_array_equal(found["state"][0][key], value)
    print("done")
    """
)


@pytest.mark.slow
def test_state_of_two_processes_is_gathered_on_request():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={
                **os.environ,
                "ADDRESS": address,
                "PROCESS": str(number),
                "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in running:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert output.strip().endswith("done"), output
