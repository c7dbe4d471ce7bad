"""The sign of the gradient on the size of an update."""

import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from ..optimizers.authors import assert_follows


def test_recorded_run(x64):
    adam = of.scale_by_adam(eps=1e-6)
    assert_follows("grams", of.assemble(of.grams(adam, direction=True), lr=0.1))
    # The same around the whole optimizer.
    assert_follows("grams", of.grams(of.adam(0.1, eps=1e-6)))


def test_signs_by_hand():
    grads = jnp.array([1.0, -2.0, 0.0, 3.0])
    inner = of.chain(of.momentum(0.5), of.scale(-0.1))
    tx = of.grams(inner)
    _, state = tx.update(grads, tx.init(grads))
    updates, _ = tx.update(-grads, state)
    # The buffer is half of the first gradient less the second.
    np.testing.assert_allclose(updates, 0.1 * 0.5 * grads, 1e-6)


def test_bad_arguments():
    with pytest.raises(TypeError, match="direction must be True or False, found 1"):
        of.grams(of.adam(), direction=1)
