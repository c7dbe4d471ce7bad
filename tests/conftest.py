"""Settings of the whole suite: strict numerics, and eight devices to shard over."""

import itertools
import os

# Read when JAX starts its CPU backend.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

import hypothesis
import jax
import pytest

# The same inputs in each run, so that a failure is of the change that it appears with.
# Others are drawn with --hypothesis-profile=random.
hypothesis.settings.register_profile("random", deadline=None)
hypothesis.settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("repeatable")

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_addoption(parser):
    parser.addoption(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="of tests for each row of the table, take every Nth row",
    )


def pytest_collection_modifyitems(config, items):
    """Leave out what `--every` does not take."""
    every = config.getoption("--every")
    seen = {}

    def is_taken(item):
        row = getattr(item, "callspec", None) and item.callspec.params.get("row")
        if row is None:
            return True
        count = seen.setdefault(item.function, itertools.count())
        return next(count) % every == 0

    if every > 1:
        taken = [is_taken(item) for item in items]
        config.hook.pytest_deselected(
            items=[item for item, kept in zip(items, taken, strict=True) if not kept]
        )
        items[:] = [item for item, kept in zip(items, taken, strict=True) if kept]


def pytest_configure(config):
    """Let through one warning, which many tests of narrow dtypes would meet.

    It is given once a process, so that the test that meets it first would fail. Its own
    tests see it: they record warnings.
    """
    config.addinivalue_line("filterwarnings", "ignore::optifunc.StalledStateWarning")


def pytest_runtest_setup(item):
    """Skip what is marked `torch` where the real torch is not installed."""
    if item.get_closest_marker("torch"):
        pytest.importorskip("torch", reason="needs the real torch (extra `parity`)")


@pytest.fixture(autouse=True, scope="module")
def _release_programs():
    """Forget compiled programs after each file: thousands would fill the memory."""
    yield
    jax.clear_caches()


@pytest.fixture
def x64():
    """Let JAX use float64 within a test."""
    with jax.enable_x64(True):
        yield
