"""Gradients orthogonal to the parameters."""

import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from ..optimizers.authors import assert_follows


def test_recorded_run(x64):
    assert_follows("orthograd", of.chain(of.orthograd(), of.sgd(0.1)))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_orthogonal_and_of_the_same_length(dtype):
    rng = np.random.default_rng(0)
    params, grads = (
        jnp.asarray(rng.normal(size=(2, 3, 4)) + 1j * rng.normal(size=(2, 3, 4)))
        for _ in range(2)
    )
    if dtype == "float32":
        params, grads = params.real, grads.real
    params, grads = (
        {"a": x[0].astype(dtype), "b": x[1].astype(dtype)} for x in (params, grads)
    )
    updates, _ = of.orthograd().update(grads, (), params)
    for name, update in updates.items():
        # 12 products of numbers near 1 in float32.
        assert abs(np.vdot(params[name], update).real) < 1e-5
        norms = [np.linalg.norm(x) for x in (update, grads[name])]
        np.testing.assert_allclose(*norms, 1e-5)


def test_parameters_of_zeros_and_gradients_of_zeros():
    tx = of.orthograd()
    grads, zeros = jnp.array([1.0, 2.0]), jnp.zeros(2)
    updates, _ = tx.update(grads, (), zeros)
    np.testing.assert_allclose(updates, grads, 1e-6)
    updates, _ = tx.update(zeros, (), grads)
    np.testing.assert_array_equal(updates, 0)
    for one in (jnp.ones(()), jnp.ones((1, 1)), jnp.ones((0, 3))):
        updates, _ = tx.update(3 * one, (), one)
        np.testing.assert_array_equal(updates, 3 * one)


def test_bad_arguments():
    with pytest.raises(ValueError, match="eps must be at least 0"):
        of.orthograd(-1.0)
    with pytest.raises(ValueError, match="orthograd needs the parameters"):
        of.orthograd().update(jnp.ones(2), ())
