"""Conditional updates against optax and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

GRADS = {"a": jnp.array([1.0, 2.0]), "b": jnp.ones((), jnp.bfloat16), "c": None}


def even(step):
    return step % 2 == 0


def run(tx, steps=5, **extra):
    state, found = tx.init(GRADS), []
    update = jax.jit(tx.update)
    for _ in range(steps):
        updates, state = update(GRADS, state, GRADS, **extra)
        found.append((updates, state))
    return found


@pytest.mark.parametrize(
    ("otherwise", "reference"),
    [
        ((), optax.conditionally_transform),
        ((of.set_to_zero(),), optax.conditionally_mask),
    ],
)
def test_it_is_optaxs(otherwise, reference):
    found = run(of.conditionally(of.momentum(0.5), even, *otherwise))
    wanted = run(reference(optax.trace(0.5), even))
    for (updates, _), (theirs, _) in zip(found, wanted, strict=True):
        jax.tree.map(np.testing.assert_array_equal, updates, theirs)


def test_each_state_moves_only_when_its_transformation_runs():
    tx = of.conditionally(of.momentum(0.9), even, of.momentum(0.0))
    states = [state for _, state in run(tx)]
    assert [int(s.step) for s in states] == [1, 2, 3, 4, 5]
    assert [int(s.inner.step) for s in states] == [1, 1, 2, 2, 3]
    assert [int(s.otherwise.step) for s in states] == [0, 1, 1, 2, 2]


def test_the_condition_sees_the_extra_arguments_that_it_names():
    def by_value(step, value):
        return value > 1

    def by_any(step, **extra):
        return extra["value"] > 1

    for condition in (by_value, by_any):
        tx = of.conditionally(of.scale(2.0), condition)
        for value, wanted in ((2.0, 2.0), (0.5, 1.0)):
            updates, _ = run(tx, 1, value=value, unused=1.0)[0]
            np.testing.assert_array_equal(updates["a"], wanted * GRADS["a"])
    # A condition of the step alone does not mind what else a chain is given.
    assert run(of.chain(of.conditionally(of.scale(2.0), even)), 1, value=1.0)


def test_a_transformation_that_promotes_is_brought_back():
    def promoting(updates, state, params=None):
        return jax.tree.map(lambda g: g.astype(jnp.float32), updates), state

    inner = optax.GradientTransformation(lambda params: (), promoting)
    updates, _ = run(of.conditionally(inner, even), 1)[0]
    assert updates["b"].dtype == jnp.bfloat16


def test_it_can_be_mapped_over():
    def second(factor):
        tx = of.conditionally(of.scale(factor), lambda step: step > 0)
        _, state = tx.update(GRADS, tx.init(GRADS))
        return tx.update(GRADS, state)[0]["a"]

    factors = jnp.array([2.0, 3.0])
    wanted = factors[:, None] * np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(jax.vmap(second)(factors), wanted)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.conditionally(of.identity(), True), "condition must be a function"),
        (
            lambda: run(of.conditionally(of.identity(), lambda step: step)),
            "condition must return a bool scalar",
        ),
        (
            lambda: run(
                of.conditionally(of.identity(), lambda step: jnp.array([True]))
            ),
            "condition must return a bool scalar",
        ),
        (
            lambda: of.conditionally(of.identity(), even, 3),
            "expected a gradient transformation",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
