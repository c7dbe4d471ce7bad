"""Gradients that are scaled on their way through a model, as optax scales them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of


@pytest.mark.parametrize("factor", [-0.5, 0.0, 1.0, 3.0])
def test_the_value_stays_and_the_gradient_is_scaled(factor):
    tree = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}

    def value(module):
        def total(tree):
            through = module.scale_gradient(tree, factor)
            return jnp.sum(jnp.sin(through["a"]) * through["b"])

        return jax.value_and_grad(total)(tree)

    found, grads = value(of)
    expected, their_grads = value(optax)
    assert found == expected
    for name in tree:
        np.testing.assert_allclose(grads[name], their_grads[name], rtol=1e-6)


def test_the_factor_may_be_traced_and_has_no_derivative():
    @jax.jit
    def slopes(x, factor):
        return jax.grad(lambda x, f: of.scale_gradient(x, f) ** 2, (0, 1))(x, factor)

    np.testing.assert_allclose(slopes(3.0, -2.0), [-12.0, 0.0])
    many = jax.vmap(slopes, (None, 0))(3.0, jnp.array([0.0, 0.5]))
    np.testing.assert_allclose(many[0], [0.0, 3.0])


def test_forward_derivatives_are_scaled_too():
    def through(x):
        return of.scale_gradient(x, 3.0)

    np.testing.assert_allclose(jax.jvp(through, (2.0,), (1.0,)), [2.0, 3.0])
    # Each of two derivatives passes once: 2 * 3 * 3.
    np.testing.assert_allclose(jax.hessian(lambda x: through(x) ** 2)(1.0), 18.0)


def test_narrow_complex_and_whole_numbers():
    tree = {"h": jnp.ones(2, jnp.bfloat16), "n": jnp.arange(2), "none": None}
    assert of.scale_gradient(tree, 2.0)["n"] is tree["n"]

    def total(h):
        return jnp.sum(of.scale_gradient({**tree, "h": h}, 1 / 3)["h"])

    grads = jax.grad(total)(tree["h"])
    assert grads.dtype == jnp.bfloat16
    assert grads[0] == jnp.asarray(1 / 3, jnp.bfloat16)
    slope = jax.grad(lambda z: jnp.abs(of.scale_gradient(z, -2.0)) ** 2)(1 + 2j)
    np.testing.assert_allclose(slope, -2 * (2 - 4j), rtol=1e-6)


@pytest.mark.parametrize("factor", [jnp.ones(2), float("nan"), "half", lambda t: t])
def test_bad_factors(factor):
    with pytest.raises((TypeError, ValueError), match="factor must be"):
        of.scale_gradient(jnp.ones(2), factor)
