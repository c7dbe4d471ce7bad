"""Scaling, signs and zeros."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

GRADS = {
    "real": jnp.array([3.0, -0.5, 0.0]),
    "complex": jnp.array([3 - 4j, 1j], jnp.complex64),
    "narrow": jnp.array([-2.0, 0.0], jnp.bfloat16),
    "none": None,
    "nothing": jnp.zeros((0, 2)),
}


@pytest.mark.parametrize(
    ("tx", "real", "complexes"),
    [
        (of.scale(2.0), [6, -1, 0], [6 - 8j, 2j]),
        (of.negate(), [-3, 0.5, 0], [-3 + 4j, -1j]),
        (of.scale_by_learning_rate(0.5), [-1.5, 0.25, 0], [-1.5 + 2j, -0.5j]),
        (of.scale_by_sign(), [1, -1, 0], [1 - 1j, 1j]),
        (of.set_to_zero(), [0, 0, 0], [0, 0]),
        (of.identity(), [3, -0.5, 0], [3 - 4j, 1j]),
    ],
)
def test_values_and_dtypes(tx, real, complexes):
    updates, state = tx.update(GRADS, tx.init(GRADS))
    assert state == ()
    np.testing.assert_array_equal(updates["real"], real)
    np.testing.assert_array_equal(updates["complex"], complexes)
    assert updates["narrow"].dtype == jnp.bfloat16
    assert updates["none"] is None
    assert updates["nothing"].shape == (0, 2)
    # Rows given twice count as their sum: 3 = 1 + 2, -0.5 = 0.5 - 1.
    data, rows = jnp.array([1.0, 0.5, 2.0, -1.0]), jnp.array([[0], [1], [0], [1]])
    sparse, _ = tx.update(BCOO((data, rows), shape=(3,)), state)
    assert isinstance(sparse, BCOO)
    np.testing.assert_array_equal(sparse.todense(), real)


def test_a_learning_rate_does_not_widen_the_updates(x64):
    tx = of.scale_by_learning_rate(jnp.asarray(0.1, jnp.float64))
    found = tx.update(GRADS, ())[0]
    assert {k: v.dtype for k, v in found.items() if v is not None} == {
        k: v.dtype for k, v in GRADS.items() if v is not None
    }
    # One rounding of an exact product to bfloat16, which has 8 bits.
    np.testing.assert_allclose(float(found["narrow"][0]), 0.2, rtol=2**-8)
    wide = tx.update(jnp.ones((), jnp.float64), ())[0]
    assert float(wide) == -0.1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.scale("2"), "factor must be a number, .* found '2'"),
        (lambda: of.scale(float("nan")), "factor must be a number, found nan"),
        (
            lambda: of.scale_by_learning_rate(-0.1),
            "found -0.1; to climb, give the .* maximize",
        ),
        (
            lambda: of.scale(jnp.ones(2)).update(GRADS, ()),
            r"factor must be a scalar, found an array of shape \(2,\)",
        ),
        (
            lambda: of.scale(2.0).update({"n": jnp.arange(3)}, ()),
            "updates must be floating point or complex, found int32 at 'n'",
        ),
        (
            lambda: of.scale(lambda step: 1.0).update(GRADS, ()),
            "factor is a schedule, .* wrap the transformation in scheduled",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
