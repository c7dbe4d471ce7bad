"""Gradients as sparse arrays, for the optimizers that require them."""

import jax
from jax.experimental.sparse import BCOO

import optifunc as of


@of.transformation
class sparsify(of.GradientTransformation):
    """Each gradient as a sparse array, with an entry for every element."""

    def init(self, params):
        return ()

    def update(self, updates, state, params=None, **extra):
        return jax.tree.map(lambda g: BCOO.fromdense(g, nse=g.size), updates), state
