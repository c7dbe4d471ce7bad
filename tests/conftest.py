"""Settings of the whole suite: strict numerics, and eight devices to shard over."""

import collections
import os
import sys
import zlib
from pathlib import Path

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


# The quick tests draw one in QUICK of the cases of a test that has more than SOME, and
# `--every N` one in N where it has more than MANY. Tests marked `cheap` keep them all.
SOME, MANY, QUICK = 12, 40, 20


def pytest_addoption(parser):
    parser.addoption(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help=f"of a test with more than {MANY} cases, take one case in N",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Draw cases of the products: mark others slow, and leave out what `--every` does.

    The draw is a hash of the name of the case, so that tests meet different rows.
    """
    every = config.getoption("--every")
    cases = collections.Counter(item.function for item in items)
    left = []
    for item in items:
        count = cases[item.function]
        if count <= SOME or item.get_closest_marker("cheap"):
            continue
        draw = zlib.crc32(item.nodeid.encode())
        if draw % QUICK:
            item.add_marker("slow")
            if count > MANY and draw // QUICK % every:
                left.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


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


@pytest.fixture(scope="session")
def optimizer_pages():
    """The module that makes the pages of optimizers."""
    pytest.importorskip("griffe", reason="part of the extra `docs`")
    pytest.importorskip("latex2mathml", reason="part of the extra `docs`")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "docs"))
        found = __import__("optimizer_pages")
    # Other tests import only one of these.
    for name in ("optimizer_pages", "mathml", "references"):
        sys.modules.pop(name, None)
    return found
