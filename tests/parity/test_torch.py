"""Every configuration of PyTorch's own optimizer test database, against live torch."""

import pytest

from .problem import Case, assert_parity, run_optifunc, run_torch

pytest.importorskip("torch", reason="live parity needs torch (extra `parity`)")
pytest.importorskip("expecttest", reason="torch's test database needs expecttest")

from .database import configurations

pytestmark = pytest.mark.torch

VARIANTS = [
    {"scale": 1.0},
    {"scale": 1e-6},  # where a misplaced eps shows
    {"scale": 1.0, "halved": True},
]
CASES = [
    Case(optimizer, kwargs, dtype=dtype, **variant)
    for optimizer, kwargs in configurations()
    for dtype in ("float32", "float64")
    for variant in VARIANTS
    # In float32 the test of a tolerance may fall either way: tests/parity/test_lbfgs.py
    # has L-BFGS in float32, and each field of its state.
    if (optimizer, dtype) != ("LBFGS", "float32")
]


def test_the_database_is_whole():
    assert len(configurations()) == 91
    assert len({optimizer for optimizer, _ in configurations()}) == 15


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_trajectory_and_state_as_torch(case):
    assert_parity(case, run_optifunc(case), run_torch(case))
