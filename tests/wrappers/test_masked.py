"""Masked transformations: what the inner one sees, and what passes."""

import jax
import pytest

import optifunc as of

from .trees import (
    GRADS,
    KERNELS,
    PARAMS,
    assert_equal,
    expected,
    is_kernel,
    is_matrix,
    recorder,
)


@pytest.mark.parametrize("mask", [KERNELS, is_kernel, is_matrix])
def test_masked_shows_none_for_what_is_not_selected(mask):
    inner = recorder()
    tx = of.masked(inner, mask)
    state = tx.init(PARAMS)
    assert isinstance(state, of.MaskedState)
    updates, new_state = tx.update(GRADS, state, PARAMS, value=3.0)
    assert_equal(updates, expected(2.0, 1.0))
    assert isinstance(new_state, of.MaskedState)
    at_init, seen_updates, seen_params, extra = inner.seen
    assert extra == {"value": 3.0}
    for tree in (at_init, seen_updates, seen_params, state.inner.momentum_buffer):
        assert tree["head"] is None
        assert tree["encoder"][0]["bias"] is None
        assert tree["encoder"][0]["kernel"].shape == (2, 3)
    # A mask of paths and dimensions needs no parameters at update.
    assert_equal(tx.update(GRADS, state)[0], expected(2.0, 1.0))


def test_a_transformation_with_a_mask_is_a_value():
    equal = [of.masked(of.scale(2.0), dict(KERNELS)) for _ in range(2)]
    assert jax.tree.structure(equal[0]) == jax.tree.structure(equal[1])
    assert hash(equal[0].mask) == hash(equal[1].mask)
    other = of.masked(of.scale(2.0), KERNELS | {"head": True})
    assert jax.tree.structure(equal[0]) != jax.tree.structure(other)
    assert repr(equal[0]) == f"masked(inner=scale(factor=2.0), mask={KERNELS!r})"

    compiled = []

    @jax.jit
    def step(tx, state):
        compiled.append(tx)
        return tx.update(GRADS, state, PARAMS)

    for tx in (*equal, of.masked(of.scale(4.0), KERNELS)):
        state = tx.init(PARAMS)
        assert_equal(step(tx, state), tx.update(GRADS, state, PARAMS))
    assert len(compiled) == 1
    assert_equal(step(other, other.init(PARAMS))[0]["head"], 2 * GRADS["head"])
    assert len(compiled) == 2
