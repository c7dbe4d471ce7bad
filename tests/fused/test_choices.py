"""Choices between elementwise functions become selections; others stay choices."""

import re
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .programs import check_steps, compiled

SHAPES = {"a": (40, 30), "b": (30,), "c": (7, 5, 3)}
RNG = np.random.default_rng(0)
PARAMS, GRADS = (
    {k: jnp.asarray(RNG.standard_normal(s), jnp.float32) for k, s in SHAPES.items()}
    for _ in range(2)
)
BROKEN = {**GRADS, "b": GRADS["b"].at[3].set(jnp.nan)}
X, Y = PARAMS["a"], GRADS["a"]
# A product and a sum may be contracted in one and not in the other.
assert_close = partial(chex.assert_trees_all_close, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "tx",
    [
        pytest.param(of.skip_not_finite(of.adamw(0.1)), id="skip"),
        pytest.param(of.skip_not_finite(of.flatten(of.adamw(0.1))), id="skip, flat"),
        pytest.param(
            of.accumulate_gradients(of.sgd(0.1, momentum=0.9), every=2), id="accumulate"
        ),
        pytest.param(
            of.skip_not_finite(of.accumulate_gradients(of.adamw(0.1), every=2)),
            id="skip, accumulate",
        ),
        pytest.param(of.lookahead(of.adamw(0.1), sync_period=2), id="lookahead"),
    ],
)
def test_wrapped_optimizers_are_one_pass(tx):
    # NaN where the plain step has NaN: of the wrappers two do not skip.
    kernels, program = check_steps(tx, PARAMS, GRADS, BROKEN, GRADS, GRADS)
    text = program.as_text()
    assert kernels >= 1
    assert " conditional(" not in text
    assert not re.search(r"f32\[\d.* copy\(", text)  # of arrays


def test_choices_in_double_precision(x64):
    tx = of.skip_not_finite(of.adamw(0.1))
    params, grads = (
        jax.tree.map(lambda x: x.astype(jnp.float64), tree) for tree in (PARAMS, GRADS)
    )

    def step(params, state, grads):
        return of.apply_gradients(tx, grads, state, params)

    kernels, step = compiled(step, params, tx.init(params), grads)
    assert kernels >= 1
    assert " conditional(" not in step.as_text()


def roots(x, y):
    return jnp.sqrt(x), y


def sums(x, y):
    return x + y, y * 2


def swapped(x, y):
    return y, x


def inner(x, y):
    return jax.lax.cond(x[0, 0] > y[0, 0], sums, swapped, x, y)


@pytest.mark.parametrize("which", [-1, 0, 1, 2, 3, 7])
def test_a_choice_of_several(which):
    """NaN of a branch that is not taken does not come through."""

    def chosen(which, x, y):
        x, y = jax.lax.switch(which, [roots, sums, inner, swapped], x, y)
        return x * 3, y + 1

    kernels, program = compiled(of.fuse(chosen), jnp.int32(which), X, Y)
    assert kernels == 1
    assert " conditional(" not in program.as_text()
    assert_close(program(jnp.int32(which), X, Y), chosen(jnp.int32(which), X, Y))


@pytest.mark.parametrize(
    "costly",
    [
        lambda x, y: (x @ x.T @ y, y),
        lambda x, y: (jnp.exp(x), y),
        lambda x, y: (x + jnp.linalg.norm(y), y),
    ],
    ids=["product", "exponential", "norm"],
)
def test_costly_branches_are_computed_only_if_chosen(costly):
    def chosen(flag, x, y):
        x, y = jax.lax.cond(flag, costly, swapped, x, y)
        return x * 3, y + 1

    _, program = compiled(of.fuse(chosen), True, X, Y)
    assert " conditional(" in program.as_text()
    for flag in (True, False):
        # Products of matrices: sums of 1,200 products in another order.
        found, expected = program(flag, X, Y), chosen(flag, X, Y)
        chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_loop_that_would_not_end_is_not_begun():
    def endless(x, y):
        number = jax.lax.while_loop(lambda n: n > 0, lambda n: n + 1.0, y[0, 0] ** 2)
        return x * number, y

    def chosen(flag, x, y):
        return jax.lax.cond(flag, endless, sums, x, y)

    assert_close(of.fuse(chosen)(False, X, Y), sums(X, Y))
