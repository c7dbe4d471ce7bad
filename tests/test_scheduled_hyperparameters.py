"""Any numeric hyperparameter of any optimizer may be a schedule."""

import inspect
import numbers

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .table import ROWS

OPTIMIZERS = [
    *("sgd", "adam", "adamw", "nadam", "radam", "adamax", "adagrad", "adadelta"),
    *("rmsprop", "rprop", "asgd", "adafactor", "muon", "sparse_adam", "lbfgs"),
]
# Counts that say how long a loop or how large an array is.
STATIC = {
    *("ns_steps", "max_iter", "max_eval", "history_size"),
    *("batch_axes", "min_dim_size_to_factor"),
}
# Given so that no number is 0, where a piece of structure would be left out.
NONZERO = {
    "sgd": {"momentum": 0.9, "dampening": 0.1},
    "rmsprop": {"momentum": 0.9},
    "adagrad": {"lr_decay": 0.1, "initial_accumulator_value": 0.1},
    "adafactor": {"eps": (1e-6, 1e-3), "momentum": 0.9},
    "lbfgs": {"history_size": 3, "max_iter": 4},
}


def numbers_of(name: str) -> dict:
    """Every argument of the factory that is a number or a tuple of numbers."""
    parameters = inspect.signature(getattr(of, name)).parameters
    given = {k: p.default for k, p in parameters.items()} | NONZERO.get(name, {})
    if "weight_decay" in given:
        given["weight_decay"] = 0.05
    return {
        k: v
        for k, v in given.items()
        if k not in STATIC
        and not isinstance(v, bool)
        and isinstance(v, numbers.Real | tuple)
    }


def as_schedules(value, make):
    if isinstance(value, tuple):
        return tuple(make(v) for v in value)
    return make(value)


def two_steps(name: str, arguments: dict):
    row = next(row for row in ROWS if row.name == name)
    static = {k: v for k, v in NONZERO.get(name, {}).items() if k in STATIC}
    tx = getattr(of, name)(**arguments, **static)
    params = {"kernel": jnp.linspace(-0.9, 1.0, 12).reshape(4, 3)}

    @jax.jit
    def run(tx, params):
        state = tx.init(params)
        for _ in range(2):
            grads = row.gradient(params)
            updates, state = tx.update(grads, state, params, **row.extra(params))
            params = of.apply_updates(params, updates)
        return params, of.current_hyperparameters(tx, state)

    return run(tx, params)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "make",
    [lambda v: of.schedules.exponential(v, 1.0), lambda v: lambda step: v],
    ids=["schedule", "function"],
)
def test_constant_schedules_are_the_numbers(name, make):
    plain = numbers_of(name)
    scheduled = {k: as_schedules(v, make) for k, v in plain.items()}
    expected, numbers_in_force = two_steps(name, plain)
    found, values_in_force = two_steps(name, scheduled)
    # As arguments of the program both are float32; the same program but for that.
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)
    assert values_in_force.keys() == numbers_in_force.keys()
    for key, value in numbers_in_force.items():
        np.testing.assert_allclose(values_in_force[key], value, rtol=1e-6)


def test_a_schedule_is_evaluated_at_the_number_of_updates():
    """Two updates of SGD with lr 1, 1/2 and a momentum of 1/2, 1/4, by hand."""
    tx = of.sgd(
        lr=lambda step: 1.0 / (1.0 + step.astype(jnp.float32)),
        momentum=lambda step: 0.5 / (1.0 + step.astype(jnp.float32)),
    )
    state = tx.init(jnp.zeros(()))
    first, state = tx.update(jnp.ones(()), state)
    second, _ = tx.update(jnp.ones(()), state)
    assert float(first) == -1.0
    assert float(second) == -0.5 * (0.25 * 1.0 + 1.0)
