"""The learning-rate finder: its runs are training runs, its edge is mathematics'."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of
from optifunc._learning_rate_finder import _losses_of_all

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
CURVATURES = np.array([0.3, 1.0, 4.0])
LARGEST = CURVATURES.max()
X = RNG.normal(size=(12, 8, 3))  # 12 batches
BATCHES = {"x": X, "y": np.sin(X @ np.array([1.0, -1.0, 0.5]))}
PARAMS = {"w": np.array([0.3, -0.1, 0.2]), "b": np.zeros(())}


def quadratic(params, batch):
    return 0.5 * jnp.sum(jnp.asarray(CURVATURES) * params**2)


def regression(params, batch):
    return jnp.mean((batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2)


def around(edge):
    """Rates from a tenth of an edge to ten times it, dense near it, not on it."""
    near = 1 + np.array([-0.2, -0.1, -0.05, -0.02, -0.01, 0.01, 0.02, 0.05, 0.1, 0.2])
    return np.unique([*edge * near, *edge * np.array([0.1, 0.3, 3.0, 10.0])])


@pytest.mark.parametrize(
    ("tx", "edge"),
    [
        (of.sgd(1.0), 2 / LARGEST),
        (of.sgd(1.0, 0.5), 2 * 1.5 / LARGEST),
        (of.sgd(1.0, 0.9), 2 * 1.9 / LARGEST),
        (lambda lr: optax.sgd(lr, 0.9), 2 * 1.9 / LARGEST),
    ],
    ids=["sgd", "momentum_0.5", "momentum_0.9", "optax_momentum_0.9"],
)
def test_the_edge_of_a_quadratic(tx, edge, x64):
    rates = around(edge)
    # At 1 % beside it the loss changes by 4 % a step or more: 1e-8 in 500 steps.
    found = of.find_learning_rate(
        tx, quadratic, jnp.ones(3), jnp.zeros(1), rates=rates, steps=500
    )
    np.testing.assert_array_equal(found.stable, rates < edge)
    assert found.edge == pytest.approx(edge, rel=1e-4)
    # With momentum the best rate is far below the edge.
    assert found.suggestion == min(found.best, found.edge / 2)
    assert found.start == pytest.approx(CURVATURES.sum() / 2)


def run_of_optax(tx, rates):
    """The losses before each update, one batch and one update after another."""
    params, losses = jax.tree.map(jnp.asarray, PARAMS), []
    state = tx(rates[0]).init(params)
    for i, rate in enumerate(rates):
        batch = jax.tree.map(lambda leaf, i=i: leaf[i % 12], BATCHES)
        loss, grads = jax.value_and_grad(regression)(params, batch)
        updates, state = tx(rate).update(grads, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    return losses


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_runs_of_a_sweep_are_training_runs(chunk_size, x64):
    rates = [0.001, 0.03, 0.1, 0.2, 5.0]
    found = of.find_learning_rate(
        of.adamw(weight_decay=0.0),
        regression,
        PARAMS,
        BATCHES,
        rates=rates,
        steps=20,
        chunk_size=chunk_size,
    )
    assert found.losses.shape == (5, 20)
    with jax.numpy_dtype_promotion("standard"):
        for rate, losses in zip(rates, found.losses, strict=True):
            expected = run_of_optax(optax.adam, [rate] * 20)
            # optax's `1 - b2**t` is exact in float64 only to 1e-13 of 1e-3.
            np.testing.assert_allclose(losses, expected, rtol=1e-8)
    finals = found.losses[:, -2:].mean(axis=1)
    np.testing.assert_allclose(found.final_losses, finals)
    assert found.best == rates[np.argmin(finals)]
    start = [
        regression(PARAMS, jax.tree.map(lambda leaf, i=i: leaf[i % 12], BATCHES))
        for i in (18, 19)
    ]
    assert found.start == pytest.approx(np.mean(start))


def test_a_range_test_is_one_run_with_a_growing_rate(x64):
    found = of.find_learning_rate(
        lambda lr: optax.sgd(lr, 0.9),
        regression,
        PARAMS,
        BATCHES,
        rates=[1e-4, 10.0],
        mode="range",
        steps=120,
    )
    rates = np.geomspace(1e-4, 10, 120)
    np.testing.assert_allclose(found.rates, rates)
    with jax.numpy_dtype_promotion("standard"):
        np.testing.assert_allclose(
            found.losses[:60],
            run_of_optax(lambda lr: optax.sgd(lr, 0.9), rates[:60]),
            rtol=1e-9,
        )
    assert found.suggestion == pytest.approx(found.best / 10)
    # Curvatures of a batch are about 2, so that the edge is near 2 * 1.9 / 2.
    assert found.best < found.edge < 6
    assert not found.stable[-1]
    assert f"a tenth of {found.best:.3g}" in str(found)


def test_noise_of_the_batches_is_no_divergence(x64):
    """Rates too small to do anything, with batches whose losses differ much."""
    levels = jnp.geomspace(1, 1e6, 10)  # the last batch is the worst

    def loss(params, level):
        return level + jnp.sum(params**2)

    found = of.find_learning_rate(
        of.sgd(), loss, jnp.ones(2), levels, rates=[1e-4, 1e-3, 0.1, 2.0], steps=40
    )
    assert found.stable.tolist() == [True, True, True, False]
    assert found.edge == pytest.approx(np.sqrt(0.2))
    assert found.suggestion == 0.1


def test_what_the_reason_says(x64):
    def search(rates, **options):
        return of.find_learning_rate(
            of.sgd(),
            quadratic,
            jnp.ones(3),
            jnp.zeros(1),
            rates=rates,
            steps=100,
            **options,
        )

    close = search([0.1, 0.4, 0.49, 0.6])
    assert (close.best, close.suggestion) == (0.4, close.edge / 2)
    assert "too close to the stability edge at 0.542" in close.reason
    assert "divided by 2" in close.reason
    bold = search([0.1, 0.4, 0.49, 0.6], safety=1.3)
    assert bold.suggestion == 0.4
    assert "stable up to 0.542" in str(bold)
    for rates, word in (([0.01, 0.02], "largest"), ([0.04, 0.6, 0.7], "smallest")):
        assert f"it is the {word} rate tried" in search(rates).reason
    lost = search([0.6, 0.7])
    assert (lost.edge, lost.stable.any()) == (0, False)
    assert np.isnan(lost.suggestion)
    assert "no rate from 0.6 to 0.7 lowers the loss" in lost.reason
    climbing = of.find_learning_rate(
        of.sgd(maximize=True), quadratic, jnp.ones(3), jnp.zeros(9), mode="range"
    )
    assert np.isnan(climbing.suggestion)


def test_schedules_and_parts_have_a_rate_too(x64):
    options = {"rates": [0.01, 0.1], "steps": 6}

    def losses(tx, **more):
        more |= options
        return of.find_learning_rate(tx, regression, PARAMS, BATCHES, **more).losses

    def parts(lr, other):
        parts = {"first": of.sgd(lr), "second": of.sgd(other)}
        return of.partition(parts, {"w": "first", "b": "second"})

    # The swept rate takes the place of a schedule, of one part, or of both.
    plain = losses(of.sgd())
    np.testing.assert_array_equal(losses(of.sgd(lambda step: 1.0 / (1 + step))), plain)
    np.testing.assert_array_equal(losses(lambda lr: parts(lr, lr)), plain)
    one = losses(parts(0.0, 0.1), name="first.lr")
    np.testing.assert_array_equal(one[1], plain[1])
    assert not np.array_equal(one[0], plain[0])
    with pytest.raises(ValueError, match="occurs several times"):
        losses(parts(0.1, 0.2))


@pytest.mark.slow
def test_what_an_optimizer_needs_is_given():
    found = {
        name: of.find_learning_rate(
            tx, quadratic, jnp.ones(3), jnp.zeros(4), rates=[0.01, 0.1], name=name
        )
        for name, tx in {
            "lr": of.lbfgs(max_iter=2),
            "a.lr": of.chain(a=of.momo(1.0), b=of.scale(1.0)),
            "max_learning_rate": of.chain(
                of.scale_by_lbfgs(), of.scale_by_zoom_linesearch(max_learning_rate=1.0)
            ),
        }.items()
    }
    for search in found.values():
        assert search.losses[1, -1] != search.losses[0, -1]


def test_chunks_take_less_memory():
    """That of the runs that go on at once: here parameters and their momentum."""
    params, rates = jnp.zeros(10_000), jnp.full((32, 8), 0.1)

    def memory(chunk_size):
        compiled = (
            jax.jit(
                partial(
                    _losses_of_all,
                    lambda lr: of.sgd(lr, 0.9),
                    lambda params, batch: jnp.sum((params - batch) ** 2),
                    chunk_size,
                )
            )
            .lower(params, jnp.ones(8), jnp.arange(8), rates)
            .compile()
        )
        return compiled.memory_analysis().temp_size_in_bytes

    one_run = 2 * params.nbytes
    assert memory(None) >= 32 * one_run
    # Besides their own memory, a copy for the next step and gradients.
    assert memory(4) <= 3 * 4 * one_run


def test_batches_may_come_one_by_one():
    rows = (jax.tree.map(lambda leaf, i=i: leaf[i], BATCHES) for i in range(12))
    options = {"rates": [0.01, 0.1]}
    one = of.find_learning_rate(of.sgd(), regression, PARAMS, rows, **options)
    two = of.find_learning_rate(of.sgd(), regression, PARAMS, BATCHES, **options)
    np.testing.assert_array_equal(one.losses, two.losses)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"tx": optax.sgd(0.1)}, TypeError, "lambda lr: optax.adam"),
        ({"tx": 3}, TypeError, "a function of the learning rate"),
        ({"name": "learning_rate"}, ValueError, "learning_rate"),
        ({"rates": [0.1]}, ValueError, "two or more"),
        ({"rates": [0.1, 0.01]}, ValueError, "ascending"),
        ({"rates": [0.0, 0.01]}, ValueError, "above 0"),
        ({"mode": "walk"}, ValueError, "mode must be one of"),
        ({"chunk_size": 0}, ValueError, "chunk_size must be at least 1"),
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"mode": "range", "steps": 1}, ValueError, "steps must be at least 2"),
        ({"safety": 0.5}, ValueError, "safety must be at least 1"),
        ({"batches": {"x": X, "y": X[:3]}}, ValueError, "'x': 12, 'y': 3"),
        ({"batches": {"x": X[:0]}}, ValueError, "at least one"),
        ({"batches": ()}, ValueError, "at least one; found {}"),
    ],
)
def test_what_is_refused(changes, error, message):
    given = {
        "tx": of.sgd(0.1),
        "loss_fn": regression,
        "params": PARAMS,
        "batches": BATCHES,
    }
    with pytest.raises(error, match=message):
        of.find_learning_rate(**{**given, **changes})


def test_pictures(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    for mode, panels in (("sweep", 3), ("range", 1)):  # one is of the color bar
        found = of.find_learning_rate(
            of.sgd(), regression, PARAMS, BATCHES, mode=mode, rates=[0.01, 0.1, 9.0]
        )
        figure = found.plot()
        assert len(figure.axes) == panels
        # The lines: the losses, the start, the edge and the suggestion.
        lines = figure.axes[0].lines
        shown = [line.get_xdata()[0] for line in lines if len(line.get_xdata()) == 2]
        assert found.suggestion in shown
        assert found.edge in shown
        figure.canvas.draw()
        pyplot.close(figure)
    # Nothing is finite, nothing is suggested: it draws all the same.
    bad = of.find_learning_rate(
        of.sgd(), lambda p, b: regression(p, b) * jnp.nan, PARAMS, BATCHES
    )
    assert np.isnan(bad.suggestion)
    pyplot.close(bad.plot())

    for module in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError, match=r"plot needs matplotlib.*optifunc\[examples\]"
    ):
        found.plot()
