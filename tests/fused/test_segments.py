"""Leaves that `flatten` joins are neither joined nor split by fused steps."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .programs import check_steps

SHAPES = {"a": (40, 30), "b": (30,), "c": (7, 5, 3), "d": (2,)}
RNG = np.random.default_rng(0)
PARAMS, GRADS = (
    {k: jnp.asarray(RNG.standard_normal(s), jnp.float32) for k, s in SHAPES.items()}
    for _ in range(2)
)
BYTES = sum(x.nbytes for x in jax.tree.leaves(PARAMS))


def check(tx, params=PARAMS, grads=GRADS, **options):
    return check_steps(tx, params, grads, **options)


@pytest.mark.parametrize("donated", [("params", "state"), ("state",), ()])
def test_nothing_is_joined(donated):
    calls, step = check(of.flatten(of.adamw(0.1)), donated=donated)
    assert calls == 1
    text = step.as_text()
    assert " concatenate(" not in text
    assert " copy(" not in text
    # XLA's own program holds gradients, parameters and updates a second time.
    assert step.memory_analysis().temp_size_in_bytes < BYTES / 2


def test_some_leaves_joined_and_others_not():
    check(of.flatten(of.adamw(0.1), max_size=150))


@pytest.mark.parametrize(
    "tx",
    [
        of.flatten(of.sgd(0.1, 0.9, nesterov=True)),
        of.chain(of.clip_by_global_norm(0.5), of.flatten(of.lion(0.1))),
        # XLA needs the joined vector, for a norm; for an angle.
        of.flatten(of.chain(of.clip_by_global_norm(0.5), of.sgd(0.1, 0.9))),
        pytest.param(of.flatten(of.adam_atan2(0.1)), marks=pytest.mark.slow),
        # Split and joined again in between.
        pytest.param(
            of.chain(of.flatten(of.adam(0.1)), of.flatten(of.momentum(0.9))),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["sgd", "clipped", "norm inside", "angle", "twice"],
)
def test_other_transformations(tx):
    check(tx, rtol=1e-5)


@pytest.mark.slow
def test_leaves_of_several_dtypes():
    narrow = {k: x.astype(jnp.bfloat16) for k, x in PARAMS.items()}
    params, grads = (
        {"wide": PARAMS, "narrow": narrow},
        {"wide": GRADS, "narrow": narrow},
    )
    calls, _ = check(of.flatten(of.sgd(0.5, 0.5)), params, grads, rtol=2**-7)
    assert calls >= 1


def test_leaves_of_one_element_are_left_joined():
    params = {**PARAMS, "scalar": jnp.ones(()), "one": jnp.ones((1, 1))}
    check(of.flatten(of.adamw(0.1)), params, params)


def test_more_leaves_than_jax_joins_at_once():
    params = {f"{i:02}": jnp.full((3, 2), i, jnp.float32) for i in range(35)}
    calls, step = check(of.flatten(of.adamw(0.1)), params, params)
    assert calls == 1
    assert " concatenate(" not in step.as_text()


@pytest.mark.parametrize("donated", [("params", "state"), ()])
def test_calls_that_write_one_vector_one_after_another(donated, monkeypatch):
    monkeypatch.setattr("optifunc.fused._plan.BUFFERS_A_CALL", 30)
    params = {f"{i:02}": jnp.full((3, 2), i, jnp.float32) for i in range(35)}
    calls, step = check(of.flatten(of.adamw(0.1)), params, params, donated=donated)
    assert calls > 3
    text = step.as_text()
    assert " concatenate(" not in text
    assert donated == () or " copy(" not in text


def test_programs_that_write_parts_of_one_vector():
    """Some leaves are computed otherwise, and not all read what is written over."""

    def function(vector, x, y, z):
        first, second, third = jnp.split(vector, [6, 11])
        parts = [first * 2 + x, y - 1, third * third - z]
        return jnp.concatenate(parts) + 1, second * y

    args = jnp.arange(15.0), jnp.arange(6.0), jnp.arange(5.0), jnp.arange(4.0)
    expected = function(*args)
    found = jax.jit(of.fuse(function), donate_argnums=0)(*args)
    chex.assert_trees_all_close(found, expected, rtol=1e-6)


def test_vectors_of_ones_own():
    """Parts in another order, of other sizes, read twice, and returned."""

    def function(vector, x, y):
        joined = jnp.concatenate([x.ravel(), y]) * vector + 1
        first, second = jnp.split(joined, [6])
        first_moved = first.reshape(x.shape) + x
        return joined, first_moved, second * y, vector[3:9], second, joined

    args = jnp.arange(11.0), jnp.arange(6.0).reshape(2, 3), jnp.arange(5.0)
    found = jax.jit(of.fuse(function))(*args)
    chex.assert_trees_all_close(found, function(*args), rtol=1e-6)

    def crossed(vector, x, y):
        first, second = jnp.split(vector, [6])
        return jnp.concatenate([first * 2 + x, second * 2 + y]) + 1, first + 1

    args = jnp.arange(11.0), jnp.arange(6.0), jnp.arange(5.0)
    expected = crossed(*args)
    found = jax.jit(of.fuse(crossed), donate_argnums=0)(*args)
    chex.assert_trees_all_close(found, expected, rtol=1e-6)
