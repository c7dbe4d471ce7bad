"""A transformation is a value: an argument of jit, mapped over, differentiated."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """An optimizer with all its numbers, chosen so that each of them matters."""

    name: str
    factory: Callable[..., of.GradientTransformation]
    numbers: dict[str, Any]
    flags: dict[str, Any] = dataclasses.field(default_factory=dict)
    sparse: bool = False  # gradients are sparse rows
    value_fn: bool = False  # needs the loss function
    steps: int = 50  # over which it is differentiated
    forward: bool = False  # loops until converged: has no reverse-mode derivative
    rounded: bool = False  # keeps scalars in float32 as torch does, in float64 too

    def build(self, numbers: dict[str, Any]) -> of.GradientTransformation:
        return self.factory(**numbers, **self.flags)


ADAM = {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.01}
RMSPROP = {"lr": 0.02, "alpha": 0.9, "eps": 1e-2, "weight_decay": 0.01, "momentum": 0.5}
SGD = {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.01}

CASES = [
    Case("sgd", of.sgd, {**SGD, "dampening": 0.1}),
    Case("sgd_nesterov", of.sgd, SGD, {"nesterov": True}),
    Case("adam", of.adam, ADAM),
    Case("adam_amsgrad", of.adam, ADAM, {"amsgrad": True}),
    Case("adamw", of.adamw, ADAM),
    Case("nadam", of.nadam, {**ADAM, "momentum_decay": 0.05}, rounded=True),
    Case("radam", of.radam, ADAM),
    Case("adamax", of.adamax, ADAM),
    Case(
        "adagrad",
        of.adagrad,
        {
            "lr": 0.1,
            "lr_decay": 0.02,
            "weight_decay": 0.01,
            "initial_accumulator_value": 0.1,
            "eps": 1e-2,
        },
    ),
    Case(
        "adadelta",
        of.adadelta,
        {"lr": 1.0, "rho": 0.9, "eps": 1e-3, "weight_decay": 0.01},
    ),
    Case("rmsprop", of.rmsprop, RMSPROP),
    Case("rmsprop_centered", of.rmsprop, RMSPROP, {"centered": True}),
    Case(
        "rprop",
        of.rprop,
        {"lr": 0.01, "etas": (0.5, 1.3), "step_sizes": (5e-3, 0.2)},
    ),
    Case(
        "asgd",
        of.asgd,
        {"lr": 0.02, "lambd": 0.05, "alpha": 0.75, "t0": 10.5, "weight_decay": 0.01},
        rounded=True,
    ),
    Case(
        "adafactor",
        of.adafactor,
        {
            "lr": 0.02,
            "beta2_decay": -0.8,
            "eps": (1e-8, 1e-3),
            "d": 1.2,
            "weight_decay": 0.1,
        },
    ),
    Case(
        "muon",
        of.muon,
        {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.9, "eps": 1e-7},
        {"ns_dtype": "float32"},
    ),
    Case(
        "sparse_adam",
        of.sparse_adam,
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3},
        sparse=True,
    ),
    Case(
        "lbfgs",
        of.lbfgs,
        {"lr": 0.05},
        {"max_iter": 2, "history_size": 3},
        value_fn=True,
        steps=5,  # what it converges to does not depend on its numbers
        forward=True,
    ),
]
every_optimizer = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def start() -> dict[str, jax.Array]:
    """A matrix to train, and a parameter that the loss does not depend on."""
    return {
        "trained": jnp.asarray([[0.5, -1.0], [0.7, 0.2], [-0.3, 1.1]]),
        "idle": jnp.zeros((2, 2)),
    }


def loss(params: dict[str, jax.Array]) -> jax.Array:
    x = params["trained"]
    curvature = jnp.asarray([[1.0, 0.5], [0.2, 1.5], [0.7, 1.1]])
    target = jnp.asarray([[2.0, -2.5], [-1.5, 2.5], [1.8, -0.9]])
    return jnp.sum(0.5 * curvature * (x - target) ** 2 + 0.1 * jnp.cos(3 * x))


def train(
    tx: of.GradientTransformation, steps: int, *, sparse: bool, value_fn: bool
) -> dict[str, jax.Array]:
    def step(carry: Any, _: None) -> tuple[Any, None]:
        params, state = carry
        grads = jax.grad(loss)(params)
        if sparse:
            grads = jax.tree.map(as_rows, grads)
        extra = {"value_fn": loss} if value_fn else {}
        updates, state = tx.update(grads, state, params, **extra)
        return (of.apply_updates(params, updates), state), None

    params = start()
    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), None, steps)
    return params


def as_rows(grad: jax.Array) -> BCOO:
    rows = jnp.arange(grad.shape[0], dtype=jnp.int32)[:, None]
    return BCOO((grad, rows), shape=grad.shape, unique_indices=True)


def trained(case: Case, tx: of.GradientTransformation, steps: int) -> Any:
    return train(tx, steps, sparse=case.sparse, value_fn=case.value_fn)


# --- an argument of jit ---------------------------------------------------------------


@every_optimizer
def test_other_numbers_compile_nothing_anew(case):
    chex.clear_trace_counter()  # it counts by the function's name

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(tx):
        return trained(case, tx, 2)

    given = case.numbers
    slower = {**given, "lr": 0.5 * given["lr"]}
    smaller = jax.tree.map(lambda x: 0.9 * x, given)
    results = [run(case.build(numbers)) for numbers in (given, slower, smaller)]

    # Each run used its own numbers. As arguments they are rounded to float32.
    expected = jax.jit(lambda: trained(case, case.build(smaller), 2))()
    chex.assert_trees_all_close(results[-1], expected, rtol=1e-5)
    moved = [float(jnp.abs(r["trained"] - start()["trained"]).max()) for r in results]
    assert len(set(moved)) == 3


# --- mapped over ----------------------------------------------------------------------


@every_optimizer
def test_vmap_over_learning_rates_equals_single_runs(case):
    rates = case.numbers["lr"] * jnp.geomspace(0.6, 2.0, 64)

    def build(lr):
        return case.build({**case.numbers, "lr": lr})

    def edit(lr):
        return of.replace_hyperparameters(case.build(case.numbers), lr=lr)

    def run(tx):
        return trained(case, tx, 5)

    single = jax.jit(lambda lr: run(build(lr)))
    expected = jax.tree.map(lambda *x: jnp.stack(x), *map(single, rates))
    sweeps = {
        "built inside": jax.jit(jax.vmap(lambda lr: run(build(lr))))(rates),
        "edited inside": jax.jit(jax.vmap(lambda lr: run(edit(lr))))(rates),
        "an array of transformations": jax.jit(jax.vmap(run))(jax.vmap(build)(rates)),
    }
    for name, found in sweeps.items():
        # The same operations, which the compiler fuses and orders differently.
        chex.assert_trees_all_close(
            found, expected, rtol=1e-5, atol=1e-6, custom_message=name
        )
    assert jnp.unique(expected["trained"][:, 0, 0]).size == 64


# --- differentiated -------------------------------------------------------------------


@functools.cache
def differentiable(case: Case) -> tuple[Any, Any, Any, Any]:
    """The objective after training as a function of a vector, its derivative, a point.

    The last is what turns other numbers into another point.
    """
    flags = case.flags | ({"ns_dtype": "float64"} if case.name == "muon" else {})

    def vector(numbers):
        # Also of 64 bits where the numbers are Python's, and so weakly typed.
        leaves = [jnp.float64(x) for x in jax.tree.leaves(numbers)]
        return jnp.stack(leaves)

    structure: Any = jax.tree.structure(case.numbers)

    def objective(vector):
        tx = case.factory(**structure.unflatten(vector), **flags)
        params = trained(case, tx, case.steps)
        # The sum lets the derivative flow through the updates of the idle parameter.
        return loss(params) + jnp.sum(params["idle"])

    derivative = jax.jacfwd(objective) if case.forward else jax.grad(objective)
    return objective, jax.jit(derivative), vector(case.numbers), vector


@every_optimizer
def test_hypergradients_agree_with_finite_differences(case, x64):
    """50 steps, with respect to every number of every optimizer.

    All are differentiable almost everywhere. Rprop's step is a sign times a step size:
    the derivative is that of the step sizes while no sign changes, and between such
    pieces the result jumps. So does RAdam's where ``betas[1]`` changes the step at
    which rectification begins. ASGD's ``t0`` moves the average only, which the
    parameters do not follow: its derivative is 0. L-BFGS, a loop until converged, is
    differentiated forwards.
    """
    objective, derivative, point, _ = differentiable(case)
    found = derivative(point)

    # Central differences of fourth order. A scalar kept in float32 makes the objective
    # a staircase of relative step 1e-7, which asks for a wider stencil.
    width = (1e-2 if case.rounded else 1e-6) * point
    weights = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}
    moved = jax.jit(jax.vmap(lambda shift: objective(point + shift)))
    differences = sum(w * moved(jnp.diag(k * width)) for k, w in weights.items())
    expected = differences / width

    assert found.dtype == jnp.float64
    assert jnp.any(jnp.abs(expected * point) > 1e-3)
    tolerance = 1e-3 if case.rounded else 1e-6
    np.testing.assert_allclose(found * point, expected * point, tolerance, tolerance)


@every_optimizer
def test_a_gradient_that_is_always_zero_gives_finite_hypergradients(case, x64):
    """With accumulators at 0, where the derivative of a root is infinite."""
    _, derivative, _, vector = differentiable(case)
    numbers = dict(case.numbers)
    for name, usual in {"eps": 1e-8, "initial_accumulator_value": 0.0}.items():
        if isinstance(numbers.get(name), float):
            numbers[name] = usual
    found = derivative(vector(numbers))
    assert jnp.all(jnp.isfinite(found)), found
