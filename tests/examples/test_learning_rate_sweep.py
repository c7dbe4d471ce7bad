"""The sweep over learning rates, on a few of them."""

import re

import numpy as np
import pytest

from .running import EXAMPLES, check_picture, run, shared_data


def best_rates(printed):
    found = re.findall(
        r"^(\S.*\)) +lowest loss at lr=(\S+): (\S+)$", printed, re.MULTILINE
    )
    return {name: (float(lr), float(loss)) for name, lr, loss in found}


def number(pattern, printed):
    return float(re.search(pattern, printed)[1])


def test_trains_at_once_what_it_trains_one_after_another(tmp_path):
    picture = tmp_path / "sweep.png"
    small = ("--rates", 6, "--epochs", 3, "--output", picture)
    printed = run("learning_rate_sweep.py", *small)
    assert "24 runs of 132 steps each" in printed  # 1,437 digits in batches of 32
    best = best_rates(printed)
    assert len(best) == 4
    for lr, loss in best.values():
        # The curves are U-shaped: the best of 1e-4, 1e-3, ..., 10 is none of the ends.
        assert 1e-4 < lr < 10
        assert 0 < loss < 1.5  # log(10) = 2.3 is what guessing costs
    # Only the order of sums differs. Rounding errors of 6e-8 grow in 132 steps, but
    # not by a factor of 1,000 where training is stable.
    assert number(r"agree to (\S+)", printed) < 1e-4
    for how in ("at once", "one after another"):
        assert number(rf"{how} +([\d.]+) s, after compiling", printed) >= 0
    check_picture(picture)


@pytest.mark.slow
def test_reads_cifar10(tmp_path):
    data = shared_data("cifar10_test_jpeg.npz")
    picture = tmp_path / "sweep.png"
    small = ("--rates", 3, "--epochs", 1, "--data", data, "--output", picture)
    printed = run("learning_rate_sweep.py", *small)
    assert "CIFAR-10" in printed
    assert "12 runs of 312 steps each" in printed  # 10,000 images in batches of 32
    assert min(loss for _, loss in best_rates(printed).values()) < 2.3
    check_picture(picture)


def test_the_columns_of_the_heat_maps_are_at_their_learning_rates(
    monkeypatch, tmp_path
):
    monkeypatch.syspath_prepend(EXAMPLES)
    import learning_rate_sweep as example
    from matplotlib.axes import Axes

    rates = np.array([1e-4, 1e-2, 1.0], np.float32)
    losses = {name: np.full((3, 8), 0.5) for name in example.OPTIMIZERS}
    finals = {name: np.full(3, 0.5) for name in losses}
    edges = []
    pcolormesh = Axes.pcolormesh

    def spy(ax, x, *arguments, **keywords):
        edges.append(x)
        return pcolormesh(ax, x, *arguments, **keywords)

    monkeypatch.setattr(Axes, "pcolormesh", spy)
    example.draw(losses, finals, rates, 4, tmp_path / "sweep.png")
    for found in edges[:4]:  # the rest is of the color bar
        np.testing.assert_allclose(found, [1e-5, 1e-3, 1e-1, 10], rtol=1e-5)
