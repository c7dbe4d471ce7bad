"""NaN replaced by 0, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

import optifunc as of

NAN, INF = float("nan"), float("inf")


def test_zero_nans_leaves_all_else():
    tx = of.zero_nans()
    found = {
        "real": jnp.array([NAN, INF, -1.0]),
        "complex": jnp.array([complex(NAN, 2), complex(1, NAN)], jnp.complex64),
        "half": jnp.array([NAN, 1], jnp.bfloat16),
        "none": None,
    }
    updates, state = jax.jit(tx.update)(found, tx.init(found))
    assert state == ()
    np.testing.assert_array_equal(updates["real"], [0, INF, -1])
    np.testing.assert_array_equal(updates["complex"], [2j, 1])
    assert updates["half"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(updates["half"].astype(jnp.float32), [0, 1])
