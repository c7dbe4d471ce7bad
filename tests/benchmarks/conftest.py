"""The benchmarks' tests need the extra `bench`; PyTorch is looked at if it is there."""

from importlib.util import find_spec

import jax
import pytest

if not all(map(find_spec, ("matplotlib", "optax", "psutil", "tqdm"))):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def _defaults():
    """The benchmarks run with JAX's defaults, which optax needs."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
