"""Gradient centralization against optax and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

RNG = np.random.default_rng(0)
GRADS = {
    shape: jnp.asarray(RNG.normal(loc=1, size=shape), jnp.float32)
    for shape in [(), (4,), (4, 3), (3, 2, 4), (2, 2, 3, 4), (0, 3)]
}


def test_the_mean_of_each_output_unit_is_subtracted():
    tx = of.centralize()
    found = jax.jit(tx.update)(GRADS, tx.init(GRADS))[0]
    for shape, grad in GRADS.items():
        grad = np.float64(grad)
        axes = tuple(range(len(shape) - 1))
        wanted = grad
        if len(shape) > 1 and grad.size:
            wanted = grad - grad.mean(axis=axes, keepdims=True)
        # A float32 mean of order 1.
        np.testing.assert_allclose(found[shape], wanted, atol=5e-7)


def test_outputs_first_is_optaxs():
    tx, reference = of.centralize(output_axis=0), optax.centralize()
    grads = {k: v for k, v in GRADS.items() if v.size}
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=5e-7),
        tx.update(grads, ())[0],
        reference.update(grads, reference.init(grads))[0],
    )


def test_complex_and_narrow_leaves():
    tx = of.centralize()
    grad = jnp.array([[1 + 2j], [3 - 4j]], jnp.complex64)
    np.testing.assert_allclose(tx.update(grad, ())[0], [[-1 + 3j], [1 - 3j]])
    # In float16 the mean of these would be rounded to 2048.
    half = jnp.array([[2048.0], [2047.0]], jnp.float16)
    found = tx.update(half, ())[0]
    assert found.dtype == jnp.float16
    np.testing.assert_array_equal(found, [[0.5], [-0.5]])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.centralize("last"), "output_axis must be an integer, found 'last'"),
        (
            lambda: of.centralize(2).update(jnp.ones((3, 4)), ()),
            r"output_axis is 2, which a leaf of shape \(3, 4\)",
        ),
        (
            lambda: of.centralize().update(BCOO.fromdense(jnp.ones((2, 2))), ()),
            "a sparse gradient",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
