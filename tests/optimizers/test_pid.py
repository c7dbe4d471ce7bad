"""PID: the recorded run, NumPy, and what it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .authors import assert_follows


def test_recorded_run(x64):
    assert_follows("pid", of.pid(0.01, 0.9, derivative=2.0, integral=1.0))


def test_against_numpy(x64):
    grads = np.random.default_rng(0).normal(size=(20, 2, 3))
    tx = of.pid(0.01, 0.8, 0.3, 0.1, derivative=1.5, integral=0.7, maximize=True)
    params = param = np.ones((2, 3))
    state, total, change = tx.init(jnp.asarray(params)), 0.0, 0.0
    before = None
    update = jax.jit(tx.update)
    for t, g in enumerate(grads):
        updates, state = update(jnp.asarray(g), state, jnp.asarray(params))
        params = np.asarray(params + updates)
        g = 0.1 * param - g
        total = 0.8 * total + 0.7 * g
        change = 0.8 * change + 0.2 * (g - before) if t else 0.0
        before, param = g, param - 0.01 * (g + 0.7 * total + 1.5 * change)
        np.testing.assert_allclose(params, param, 0, 1e-12)


def test_it_overshoots_less_than_momentum():
    """A parabola, from 1 toward 0: how far beyond 0 it goes."""

    def overshoot(derivative):
        tx = of.pid(0.05, 0.9, integral=1.0, derivative=derivative)

        def step(carry, _):
            param, state = carry
            updates, state = tx.update(param, state, param)
            param = param + updates
            return (param, state), param

        start = jnp.ones(())
        path = jax.lax.scan(step, (start, tx.init(start)), length=100)[1]
        return -float(jnp.min(path))

    # 0.23 and 0.37.
    assert overshoot(10.0) < 0.7 * overshoot(0.0)
    assert overshoot(0.0) > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1, found 1"),
        ({"dampening": float("nan")}, "dampening must be a number, found nan"),
        ({"derivative": float("nan")}, "derivative must be a number, found nan"),
        ({"integral": float("nan")}, "integral must be a number, found nan"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        of.pid(**arguments)
