"""Typical mistakes with functions and transformations, and what their errors say."""

import jax
import jax.numpy as jnp
import pytest

import optifunc as of

P = {"w": jnp.ones(3), "b": jnp.zeros(2)}


# --- a value instead of a function ---------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda x: of.microbatched_value_and_grad(x, 2),
        lambda x: of.find_learning_rate(of.adamw(), x, P, jnp.ones((2, 1))),
        lambda x: of.linalg.hvp(x, P, P),
        lambda x: of.linalg.hessian_diag(x, P),
        lambda x: of.linalg.hutchinson_diag(x, P, jax.random.key(0)),
        lambda x: of.linalg.hutchinson_trace(x, P, jax.random.key(0)),
        lambda x: of.linalg.fisher_diag(x, P, jnp.ones((2, 1))),
    ],
)
def test_a_value_instead_of_a_function(call):
    message = r"must be a function, found an array of shape \(\) and float32; give the"
    with pytest.raises(TypeError, match=message):
        call(jnp.ones(()))
