"""Reduction of the learning rate on a plateau, against torch's scheduler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of


def run(tx, losses):
    """The factor by which each update is multiplied, given its loss."""
    grad = jnp.ones((), losses.dtype)

    def step(state, loss):
        update, state = tx.update(grad, state, value=loss)
        return state, (update, state.scale)

    _, found = jax.lax.scan(step, tx.init(grad), losses)
    return found


run_compiled = jax.jit(run)


def draw(rng, mode):
    """A loss (or score) that falls for a while and then only fluctuates."""
    steps = np.arange(200)
    plateau = rng.uniform(5, 100)
    losses = np.exp(-steps / plateau) + rng.uniform(-0.2, 1)
    losses += rng.choice([0.0, 1e-3, 0.1]) * rng.standard_normal(steps.size)
    return losses if mode == "min" else -losses


@pytest.mark.torch
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_equals_torch(mode, threshold_mode, x64):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    reductions = 0
    for _ in range(25):
        lr = rng.uniform(0.01, 2)
        arguments = {
            "mode": mode,
            "factor": rng.uniform(0, 0.9),
            "patience": int(rng.integers(0, 8)),
            "threshold": rng.choice([0.0, 1e-4, 0.05]),
            "threshold_mode": threshold_mode,
            "cooldown": int(rng.integers(0, 5)),
            "min_lr": rng.choice([0.0, 1e-3, 0.1 * lr]),
            "eps": rng.choice([1e-8, 1e-3]),
        }
        losses = draw(rng, mode)
        losses[rng.integers(200)] = np.nan
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=lr)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **arguments)
        expected = []
        for loss in losses:
            scheduler.step(loss)
            expected.append(optimizer.param_groups[0]["lr"])
        min_lr, eps = arguments.pop("min_lr"), arguments.pop("eps")
        tx = of.reduce_on_plateau(**arguments, min_scale=min_lr / lr, eps=eps / lr)
        factors, scales = run_compiled(tx, losses)
        expected = np.array([lr, *expected]) / lr
        # Two roundings in float64 for each reduction, of which there are up to 200.
        np.testing.assert_allclose(scales, expected[1:], rtol=5e-14)
        # As in a PyTorch loop a reduction holds from the next update on.
        np.testing.assert_allclose(factors, expected[:-1], rtol=5e-14)
        reductions += len(set(expected)) - 1
    assert reductions > 50  # or the comparison would say little


def test_every():
    """The mean of each ``every`` losses makes one plateau step; changing their number
    does not trigger recompilation."""
    losses = np.random.default_rng(1).uniform(1, 2, 120).astype(np.float32)
    compiled = jax.jit(lambda tx, losses: run(tx, losses))
    for every in (3, 4):
        means = losses.reshape(-1, every).mean(1)
        _, single = run(of.reduce_on_plateau(factor=0.5, patience=1), means)
        tx = of.reduce_on_plateau(factor=0.5, patience=1, every=every)
        factors, scales = compiled(tx, losses)
        np.testing.assert_array_equal(scales[every - 1 :: every], single)
        np.testing.assert_array_equal(factors[1:], scales[:-1])
        assert single[-1] < 0.1
    assert compiled._cache_size() == 1


def test_in_a_chain():
    """After an optimizer, on leaves of several dtypes; the loss reaches it by name."""
    tx = of.chain(sgd=of.sgd(0.5), plateau=of.reduce_on_plateau(patience=0))
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": None, "c": jnp.ones((0, 3))}
    state = tx.init(params)
    for expected in (-0.5, -0.5, -0.05):  # the second loss is no better than the first
        updates, state = tx.update(params, state, params, value=jnp.bfloat16(1.0))
        assert updates["a"].dtype == jnp.bfloat16
        assert updates["c"].shape == (0, 3)
        np.testing.assert_allclose(
            updates["a"].astype(jnp.float32),
            jnp.full(2, expected),
            rtol=4e-3,  # half of bfloat16's spacing
        )


def test_counts_and_numbers_may_follow_schedules():
    """In a chain; no loss is better than the first, so every step is a bad one."""

    def patience(step):
        return jnp.where(step < 4, 10, 0)

    def factor(step):
        return 0.5 / (1 + step.astype(jnp.float32))

    tx = of.chain(of.reduce_on_plateau(factor=factor, patience=patience))
    state, scales = tx.init(jnp.ones(())), []
    for _ in range(6):
        _, state = tx.update(jnp.ones(()), state, value=1.0)
        scales.append(float(of.find_in_state(state, "scale")))
    # At updates 4 and 5 (counted from 0) the factors are 1/10 and 1/12.
    np.testing.assert_allclose(scales, [1, 1, 1, 1, 1 / 10, 1 / 120], rtol=1e-6)


def test_names_in_a_chain_are_those_of_the_optimizer_alone():
    alone = of.current_hyperparameters(of.sgd(0.1), None)
    tx = of.chain(of.sgd(0.1), of.reduce_on_plateau())
    found = of.current_hyperparameters(tx, None)
    assert alone.items() <= found.items()
    slower = of.replace_hyperparameters(tx, lr=0.05, factor=0.5)
    found = of.current_hyperparameters(slower, None)
    assert (found["lr"], found["factor"]) == (0.05, 0.5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"lr": 0.1}, TypeError, r"reduce_on_plateau\(\) has no argument 'lr'"),
        ({"mode": "low"}, ValueError, "mode must be one of .*'low'"),
        ({"threshold_mode": "x"}, ValueError, "threshold_mode must be one of"),
        ({"factor": 1.0}, ValueError, "factor must be .*below 1, found 1.0"),
        ({"patience": -1}, ValueError, "patience must be at least 0"),
        ({"patience": 1.5}, TypeError, "patience must be an integer"),
        ({"cooldown": -1}, ValueError, "cooldown must be at least 0"),
        ({"min_scale": -1.0}, ValueError, "min_scale must be at least 0"),
        ({"min_scale": 1.5}, ValueError, "min_scale must be .* at most 1, found 1.5"),
        ({"eps": float("nan")}, ValueError, "eps must be at least 0, found nan"),
        ({"every": 0}, ValueError, "every must be at least 1"),
    ],
)
def test_bad_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        of.reduce_on_plateau(**arguments)


def test_bad_value():
    tx = of.reduce_on_plateau()
    state = tx.init(jnp.ones(2))
    with pytest.raises(TypeError, match="'value'"):
        tx.update(jnp.ones(2), state)
    with pytest.raises(ValueError, match=r"value must be a scalar.*\(2,\)"):
        tx.update(jnp.ones(2), state, value=jnp.ones(2))
