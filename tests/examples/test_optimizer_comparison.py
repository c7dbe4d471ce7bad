"""The comparison of optimizers, also with a recorded PyTorch run."""

import importlib
import re

import numpy as np
import pytest

from tests.parity import problem

from .running import EXAMPLES, check_picture, run, shared_data

to_rgb = pytest.importorskip("matplotlib.colors").to_rgb
Image = pytest.importorskip("PIL.Image", reason="the extra `examples` is not installed")
tqdm = pytest.importorskip("tqdm", reason="the extra `examples` is not installed").tqdm


@pytest.fixture(scope="module")
def example():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        return importlib.import_module("optimizer_comparison")


def table(printed):
    """The two errors behind each name: of the last epoch, and of all points."""
    rows = re.findall(r"^(\w+) +(\d\.\d+) +(\d\.\d+)", printed, re.MULTILINE)
    return {name: (float(last), float(final)) for name, last, final in rows}


@pytest.mark.slow
def test_every_optimizer_learns_the_parabola(example, tmp_path):
    of_torch = {factory.__name__ for factory in problem.FACTORIES.values()}
    assert of_torch <= set(example.OPTIMIZERS)
    picture = tmp_path / "losses.png"
    small = ("--epochs", 3, "--seed", 1, "--output", picture)
    printed = run("optimizer_comparison.py", "--optimizers", "all", *small)
    errors = table(printed)
    assert set(errors) == set(example.OPTIMIZERS)
    y = np.asarray(example.make_problem(3, 1).y)
    # Better than the best constant; worse than the noise, less what 61 weights fit.
    assert all(0.8 * 0.1**2 < final < np.var(y) for _, final in errors.values()), errors
    assert str(picture) in printed
    check_picture(picture, (1000, 1200))  # three rows of six panels each


@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adam"])
def test_follows_the_recorded_pytorch_run(example, name):
    with np.load(shared_data("baseline_xsq.npz")) as recording:
        problem = example.recorded_problem(recording, epochs=12)
        expected = recording[f"{name}.step_loss"]
        expected_final = recording[f"{name}.full_mse"]
    curve, params = example.train(
        example.TUTORIAL[name](), problem, False, tqdm(disable=True)
    )
    assert curve.shape == expected.shape == (12, 32)
    # float32 rounds the largest loss, 0.35, to within 2e-8. One such error in each of
    # the 384 steps, all in one direction, makes 8e-6; nothing here amplifies it, as
    # the recorded run has no steep or chaotic stretch. (Seen: 8e-7 for RMSprop, which
    # divides by roots of small numbers, and 6e-8 for the others.)
    np.testing.assert_allclose(curve, expected, rtol=0, atol=8e-6)
    final = float(example.mean_squared_error(params, problem.x, problem.y))
    np.testing.assert_allclose(final, expected_final, rtol=0, atol=8e-6)


@pytest.mark.slow
def test_prints_how_far_a_recorded_run_is(tmp_path):
    data = shared_data("baseline_xsq.npz")
    picture = tmp_path / "losses.png"
    printed = run(
        "optimizer_comparison.py", "--data", data, "--epochs", 2, "--output", picture
    )
    found = re.findall(
        r"^(\w+) .* ([\d.]+)  \(each of 64 losses within (.+)\)$", printed, re.MULTILINE
    )
    assert [name for name, *_ in found] == ["sgd", "momentum", "rmsprop", "adam"]
    with np.load(data) as recording:
        for name, last, difference in found:
            expected = recording[f"{name}.step_loss"][1].mean()
            assert float(last) == pytest.approx(expected, abs=5e-6)  # 5 decimals
            assert float(difference) < 8e-6  # as above
    check_picture(picture)


@pytest.mark.slow
def test_landscapes(tmp_path):
    picture = tmp_path / "losses.png"
    printed = run(
        "optimizer_comparison.py", "--landscape", "--epochs", 1, "--output", picture
    )
    ends = re.findall(
        r"^(rosenbrock|rastrigin) +(\w+) .* ends at height (.+)$", printed, re.MULTILINE
    )
    assert len(ends) == 8
    # At the starts: 3^2 + 100 * (2 - 2^2)^2, and 20 + 2^2 + 3.5^2 - 10 + 10.
    start = {"rosenbrock": 409, "rastrigin": 36.25}
    for title, name, height in ends:
        assert 0 <= float(height) < 0.5 * start[title], (title, name)
    for title in start:
        check_picture(tmp_path / f"landscape_{title}.png", (500, 500))
    with Image.open(tmp_path / "landscape.gif") as animation:
        assert animation.format == "GIF"
        assert animation.n_frames > 20
        first = np.asarray(animation.convert("RGB"), int)
        animation.seek(animation.n_frames - 1)
        last = np.asarray(animation.convert("RGB"), int)
    assert first.shape == last.shape
    assert first.std() > 10  # neither is blank,
    changed = (np.abs(first - last).max(axis=-1) > 30).mean()
    assert 0.005 < changed < 0.3  # and between them paths were drawn
    assert (tmp_path / "landscape.gif").stat().st_size < 1_000_000


@pytest.mark.parametrize("count", [1, 4, 7])
def test_each_optimizer_has_a_panel_and_the_others_are_gray(
    example, count, tmp_path, monkeypatch
):
    names = list(example.OPTIMIZERS)[:count]
    problem = example.make_problem(2, 0)
    rng = np.random.default_rng(0)
    curves = {name: rng.uniform(0.01, 0.3, (2, 32)) for name in names}
    fits = {name: rng.normal(size=(1000, 1)) for name in names}
    figures = []
    monkeypatch.setattr(
        example.pictures, "save", lambda figure, *_, **__: figures.append(figure)
    )
    example.draw_comparison(curves, fits, problem, {}, tmp_path / "x.png")
    losses = [ax for ax in figures[0].get_axes() if ax.get_title()]
    assert [ax.get_title() for ax in losses] == names
    assert len(figures[0].get_axes()) == 2 * count
    for name, ax in zip(names, losses, strict=True):
        means = [line for line in ax.lines if len(line.get_xdata()) == 2]
        bright = [x for x in means if has_color(x) and x.get_label() == "optifunc"]
        np.testing.assert_allclose(bright[0].get_ydata(), curves[name].mean(axis=1))
        assert len(bright) == 1
        others = [x for x in means if x.get_color() == example.pictures.BEHIND]
        assert len(others) == count - 1


def has_color(line):
    red, green, blue = to_rgb(line.get_color())
    return not red == green == blue
