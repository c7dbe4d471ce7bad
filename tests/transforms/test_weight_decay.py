"""Weight decay against its formula and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

PARAMS = {
    "w": jnp.array([1.0, -2.0]),
    "c": jnp.array([1 + 2j], jnp.complex64),
    "n": None,
}
GRADS = {"w": jnp.array([0.5, 0.5]), "c": jnp.array([1j], jnp.complex64), "n": None}


def test_the_formula():
    tx = of.add_decayed_weights(0.25)
    updates, state = jax.jit(tx.update)(GRADS, tx.init(PARAMS), PARAMS)
    assert state == ()
    np.testing.assert_array_equal(updates["w"], [0.75, 0.0])
    np.testing.assert_array_equal(updates["c"], [0.25 + 1.5j])


def test_narrow_parameters_with_wider_gradients():
    params, grads = jnp.ones(2, jnp.bfloat16), jnp.full(2, 1e-3)
    found = of.add_decayed_weights(1e-3).update(grads, (), params)[0]
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, 2e-3, rtol=1e-6)


@pytest.mark.torch
@pytest.mark.parametrize("decoupled", [True, False])
def test_its_place_in_a_chain_makes_it_coupled_or_decoupled(decoupled):
    import torch

    decay, moments = of.add_decayed_weights(0.1), of.scale_by_adam()
    members = (moments, decay) if decoupled else (decay, moments)
    tx = of.chain(*members, of.scale_by_learning_rate(0.01))
    params = PARAMS["w"]
    state = tx.init(params)
    theirs = torch.tensor(np.asarray(params), requires_grad=True)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = kind([theirs], lr=0.01, weight_decay=0.1)
    for _ in range(5):
        updates, state = tx.update(jnp.sin(params), state, params)
        params = of.apply_updates(params, updates)
        theirs.grad = torch.sin(theirs.detach())
        optimizer.step()
    # Five steps in float32 of parameters of order 1.
    np.testing.assert_allclose(params, theirs.detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.add_decayed_weights(-1.0), "weight_decay must be at least 0"),
        (
            lambda: of.add_decayed_weights(0.1).update(GRADS, ()),
            "add_decayed_weights needs the parameters, found params=None",
        ),
        (
            lambda: of.add_decayed_weights(0.1).update(GRADS, (), {"w": jnp.ones(2)}),
            "params has no leaf at 'c'",
        ),
        (
            lambda: of.add_decayed_weights(0.1).update(jnp.ones(2), (), jnp.ones(1)),
            r"updates and params differ in shape at '': \(2,\) and \(1,\)",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


def test_strictly_cautious_decay_leaves_out_what_does_not_move():
    params, grads = jnp.array([1.0, 1.0, 1.0]), jnp.array([1.0, 0.0, -1.0])
    for strict, expected in ((False, [1.5, 0.5, -1.0]), (True, [1.5, 0.0, -1.0])):
        tx = of.add_decayed_weights(0.5, cautious=True, strict=strict)
        found, _ = tx.update(grads, (), params)
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="strict=True is only for cautious=True"):
        of.add_decayed_weights(0.5, strict=True)
