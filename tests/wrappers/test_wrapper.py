"""What all transformations refuse: the state of another one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from ..table import ROWS

# Of another transformation, or of the same one with another flag.
REFUSED = r"this state (is not one of \w+: expected|was made by \w+ with \w+=)"
PARAMS = {"kernel": jnp.linspace(-0.9, 1.0, 12).reshape(4, 3)}


# States of every kind, one of each: what all rows meet.
SAMPLES = [
    *("sgd_nesterov", "adam", "adamw", "adafactor", "lbfgs", "lion", "adan", "momo"),
    *("prodigy", "schedule_free_sgd", "soap", "kron", "mars", "scale", "masked"),
    *("partition", "flatten", "accumulate_gradients", "ema_parameters", "sam", "kahan"),
]


@pytest.fixture(scope="module")
def states():
    """The states of some rows, and some things that are no state of any."""
    chosen = [row for row in ROWS if row.name in SAMPLES]
    assert len(chosen) == len(SAMPLES)
    found = {row.name: row.build().init(PARAMS) for row in chosen}
    nothing = {"None": None, "number": 3, "array": jnp.ones(2), "list": [], "text": "x"}
    return found | nothing


def types_in(state):
    """The types of the states in a state, in order."""
    if hasattr(state, "_fields"):
        return [type(state), *(t for part in state for t in types_in(part))]
    if isinstance(state, dict):
        return [t for part in state.values() for t in types_in(part)]
    if isinstance(state, tuple | list):
        return [t for part in state for t in types_in(part)]
    return types_in(state.inner) if isinstance(state, of.FlattenState) else []


def is_of_one_kind(one, other):
    """Whether two states are told apart by nothing but an option, if at all."""
    if jax.tree.structure(one) == jax.tree.structure(other):
        return True
    types = types_in(one)
    return bool(types) and types == types_in(other) and type(one) is type(other)


@pytest.mark.cheap
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_state_of_another_transformation_is_refused(row, states):
    tx = row.build()
    grads, extra = row.gradient(PARAMS), row.extra(PARAMS)
    own = tx.init(PARAMS)
    others = {n: s for n, s in states.items() if not is_of_one_kind(own, s)}
    assert len(others) > 15
    for state in others.values():
        with pytest.raises(ValueError, match=REFUSED):
            tx.update(grads, state, PARAMS, **extra)


def test_a_schedule_makes_another_state():
    tx = of.scheduled(of.scale(lambda step: 2.0))
    plain = of.chain(of.sgd(0.1))
    scheduled = of.chain(of.sgd(lambda step: 0.1))
    message = "not one of scheduled: expected a ScheduledState, found a tuple of 0"
    with pytest.raises(ValueError, match=message):
        tx.update(PARAMS, (), PARAMS)
    with pytest.raises(ValueError, match="expected a ScheduledState"):
        scheduled.update(PARAMS, plain.init(PARAMS), PARAMS)
    with pytest.raises(ValueError, match=r"expected empty, .*found a Sched"):
        plain.update(PARAMS, scheduled.init(PARAMS), PARAMS)


@of.transformation
class twice(of.Wrapper):
    """The example of the documentation: the inner transformation, applied twice."""

    inner: of.GradientTransformation = of.child()

    def init(self, params):
        return (self.inner.init(params),)

    def state_of(self, child, state):
        return state[0]

    def update(self, updates, state, params=None, **extra):
        updates, inner = self.inner.update(updates, state[0], params, **extra)
        updates, inner = self.inner.update(updates, inner, params, **extra)
        return updates, (inner,)


def test_a_wrapper_of_the_users_own():
    optax = pytest.importorskip("optax", reason="a transformation from elsewhere")
    tx = twice(of.scale(4.0))
    updates, _ = tx.update(PARAMS, tx.init(PARAMS))
    np.testing.assert_array_equal(updates["kernel"], 16 * PARAMS["kernel"])
    # A schedule is followed, by a counter that counts both.
    tx = twice(of.scale(lambda step: 1.0 + step.astype(jnp.float32)))
    updates, state = tx.update(PARAMS, tx.init(PARAMS))
    np.testing.assert_array_equal(updates["kernel"], 2 * PARAMS["kernel"])
    assert float(of.current_hyperparameters(tx, state)["factor"]) == 3.0
    # Numbers are read and replaced by name, and other libraries' are adopted.
    tx = of.replace_hyperparameters(twice(of.scale(3.0)), factor=2.0)
    assert tx == twice(of.scale(2.0))
    tx = twice(optax.scale(2.0))
    updates, _ = tx.update(PARAMS, tx.init(PARAMS))
    np.testing.assert_array_equal(updates["kernel"], 4 * PARAMS["kernel"])
    with pytest.raises(TypeError, match=r"expected a gradient .* found 3"):
        twice(3)
    with pytest.raises(TypeError, match="did you mean 'inner'"):
        twice(iner=of.scale(1.0))
