"""A tree of parameters, and helpers, for the tests of masks, labels and partitions."""

import jax
import jax.numpy as jnp
import numpy as np

import optifunc as of

PARAMS = {
    "encoder": [
        {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.full((3,), 3.0)},
        {"kernel": jnp.full((3, 3), 4.0), "bias": None},
    ],
    "head": jnp.full((3,), 5.0),
}
GRADS = jax.tree.map(jnp.ones_like, PARAMS)
KERNELS = {"encoder": [{"bias": False, "kernel": True}] * 2, "head": False}


def is_kernel(path, leaf):
    return path.endswith("kernel")


def is_matrix(path, leaf):
    return leaf.ndim == 2


def updates_of(tx, grads=GRADS, params=PARAMS, **extra):
    return tx.update(grads, tx.init(params), params, **extra)[0]


def expected(kernel, rest):
    """GRADS with the kernels multiplied by one number and the rest by another."""
    encoder = [
        {"kernel": jnp.full((2, 3), kernel), "bias": jnp.full((3,), rest)},
        {"kernel": jnp.full((3, 3), kernel), "bias": None},
    ]
    return {"encoder": encoder, "head": jnp.full((3,), rest)}


def assert_equal(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


class recorder:
    """Doubles; records the trees that it is shown, and the extra arguments."""

    def __init__(self):
        self.seen = []

    def init(self, params):
        self.seen.append(params)
        return of.momentum(0.5).init(params)

    def update(self, updates, state, params=None, **extra):
        self.seen += [updates, params, extra]
        return jax.tree.map(lambda g: 2 * g, updates), state
