"""The same comparison as test_torch.py, against recorded runs: needs no torch."""

import pytest

from tests.golden.record import load, recorded

from .problem import assert_parity, run_optifunc

pytestmark = pytest.mark.slow

RECORDED = load()


@pytest.mark.parametrize(
    ("case", "path", "state"), RECORDED, ids=[case.name for case, _, _ in RECORDED]
)
def test_same_trajectory_and_state_as_recorded(case, path, state):
    ours_path, ours_state = run_optifunc(case)
    ours_path = {name: values[recorded(case)] for name, values in ours_path.items()}
    assert_parity(case, (ours_path, ours_state), (path, state))


def test_every_optimizer_is_recorded():
    assert len({(c.optimizer, str(c.kwargs)) for c, _, _ in RECORDED}) == 91
    assert len({c.optimizer for c, _, _ in RECORDED}) == 15
