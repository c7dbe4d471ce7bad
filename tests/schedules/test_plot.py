"""Schedules drawn: what is on the axes, and how far."""

import sys

import jax
import numpy as np
import pytest

import optifunc as of

S = of.schedules


@pytest.fixture
def pyplot():
    pytest.importorskip("matplotlib", reason="the extra `examples` is not installed")
    import matplotlib

    matplotlib.use("Agg")  # needs no screen
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_one_schedule(pyplot):
    schedule = S.warmup_cosine(0.5, 10, 100)
    axes = schedule.plot()
    (line,) = axes.get_lines()
    steps, values = line.get_data()
    np.testing.assert_array_equal(steps, np.arange(111))  # a tenth after its end
    np.testing.assert_allclose(values, jax.vmap(schedule)(steps), rtol=1e-6)
    assert axes.get_xlabel() == "step"
    assert axes.get_legend() is None
    # Into axes that are there.
    assert S.from_to(0.0, 1.0, 5).plot(20, ax=axes) is axes
    assert len(axes.get_lines()) == 2


def test_several_schedules_have_their_names(pyplot):
    drawn = {"REX": S.rex(1.0, 50), "function": lambda t: 1 / (1 + t), "number": 0.5}
    axes = S.plot(drawn, 10_000)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [*drawn]
    for line in axes.get_lines():
        steps, values = line.get_data()
        assert (steps[0], steps[-1]) == (0, 10_000)
        assert len(steps) == len(values) <= 2001
    np.testing.assert_array_equal(axes.get_lines()[2].get_ydata(), 0.5)
    named = S.plot(S.constant(1.0), 5, label="all the same")
    assert named.get_legend().get_texts()[0].get_text() == "all the same"


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (S.rex(1.0, 200, 20), 200),
        (S.warmup_stable_decay(1.0, 10, 70, 20), 100),
        (S.from_to(0.0, 1.0, 40), 40),
        (S.multi_step(1.0, [30, 80]), 80),
        (S.sequential([S.from_to(0.0, 1.0, 30), S.rex(1.0, 70)], [30]), 100),
        (S.cooldown(S.inverse_square_root(1.0, 10), 900, 100), 1010),
        (S.one_cycle(1.0, epochs=4, steps_per_epoch=25), 29),
    ],
    ids=lambda value: type(value).__name__,
)
def test_steps_are_the_schedules_own(pyplot, schedule, steps):
    """Their counts added up, and a tenth more."""
    last = schedule.plot().get_lines()[-1].get_xdata()[-1]
    assert last == steps + -(-steps // 10)


def test_a_schedule_without_counts_is_drawn_over_1000_steps(pyplot):
    assert S.exponential(1.0, 0.99).plot().get_lines()[0].get_xdata()[-1] == 1000


def test_errors(pyplot):
    with pytest.raises(ValueError, match="at least one schedule, found none"):
        S.plot({}, 10)
    with pytest.raises(ValueError, match="steps must be at least 1, found 0"):
        S.constant(1.0).plot(0)
    with pytest.raises(TypeError, match=r"schedules\['a'\] must be a schedule"):
        S.plot({"a": "cosine"}, 10)
    with pytest.raises(TypeError, match="schedules must be a schedule"):
        S.plot("cosine", 10)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"needs matplotlib.*optifunc\[examples\]"):
        S.constant(1.0).plot()
