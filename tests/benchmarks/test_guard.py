"""The guard tells a regression from noise."""

import pytest

from benchmarks import guard

RECORDED = {"step": 0.8, "trace": 0.3}


def test_a_loss_of_thirty_percent_fails_by_name():
    (message,) = guard.guard(lambda: {"step": 0.8 * 1.3, "trace": 0.3}, RECORDED)
    assert "step" in message
    assert "1.04" in message
    assert "0.80" in message


@pytest.mark.parametrize("factor", [0.1, 1.0, 1.2])
def test_a_loss_of_twenty_percent_passes(factor):
    found = {name: factor * value for name, value in RECORDED.items()}
    assert guard.guard(lambda: found, RECORDED) == []


def test_noise_is_measured_again_and_a_regression_fails_each_time():
    runs = iter([{"step": 9.0, "trace": 9.0}, {"step": 0.8, "trace": 9.0}])

    def measure():
        return next(runs, {"step": 9.0, "trace": 9.0})

    # "step" was well once, so its third value, bad again, is noise too.
    assert guard.guard(measure, RECORDED) == ["trace: 9.00, recorded 0.30"]


def test_a_ratio_that_is_not_recorded_is_not_guarded():
    assert guard.guard(lambda: {"new": 9.0}, RECORDED) == []


def test_what_is_recorded_is_what_is_checked(tmp_path):
    names = {
        guard.ratio_name(check.task, *ratio)
        for check in guard.checks(seconds=1)
        for ratio in check.ratios
    }
    assert names == guard.load().keys()
    guard.save({"step": 0.81234}, tmp_path / "ratios.json")
    assert guard.load(tmp_path / "ratios.json") == {"step": 0.812}
