"""The shardings of a state, and states that have them."""

from __future__ import annotations

import jax

from .._placement import mesh_of, shapes_of
from .._transformation import GradientTransformation, State
from .._tree import PyTree
from ..wrappers._scheduled import as_transformation


def abstract_state(tx: GradientTransformation, params: PyTree) -> PyTree:
    """The shapes, dtypes and shardings of a state, without the state.

    Use it to restore a checkpoint onto the mesh of ``params``::

        shapes = of.sharding.abstract_state(tx, abstract_params)
        state = checkpointer.restore(path, shapes)

    State that belongs to a parameter is sharded like it, along the axes that they share
    (a mean over the rows of a matrix along its columns). The square factors of matrix
    optimizers are sharded as finely, as far as their sizes allow. Counters and other
    shared state are replicated.

    **Arguments:**

    - ``tx``: a transformation of this library or of optax.
    - ``params``: the parameters: arrays, or `jax.ShapeDtypeStruct`, each with its
      sharding where it has one.

    **Returns:** the state, of `jax.ShapeDtypeStruct`.

    **Raises:** `ValueError` if the parameters lie on several meshes.
    """
    shapes: PyTree = shapes_of(as_transformation(tx).init, params)
    return shapes


def state_shardings(tx: GradientTransformation, params: PyTree) -> PyTree:
    """The sharding of each array of a state.

    ::

        shardings = of.sharding.state_shardings(tx, params)
        step = jax.jit(step, out_shardings=(param_shardings, shardings))

    **Arguments:**

    - ``tx``: a transformation of this library or of optax.
    - ``params``: the parameters: arrays, or `jax.ShapeDtypeStruct`, on a mesh.

    **Returns:** a tree like the state, of `jax.sharding.NamedSharding`; see
    `abstract_state`.

    **Raises:** `ValueError` if no parameter is on a mesh, or if they are on several.
    """
    if mesh_of(params) is None:
        raise ValueError(
            "params have no shardings over a mesh; give arrays that lie on one, or "
            "jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))"
        )
    return jax.tree.map(lambda leaf: leaf.sharding, abstract_state(tx, params))


def init(tx: GradientTransformation, params: PyTree) -> State:
    """The state, with each array created where it belongs.

    It is ``tx.init(params)`` as one compiled program: no device holds more than its
    part, not even temporarily.

    **Arguments:**

    - ``tx``: a transformation of this library or of optax.
    - ``params``: the parameters, arrays on a mesh.

    **Returns:** a state with the shardings of `state_shardings`.

    **Raises:** what `state_shardings` does.
    """
    shardings = state_shardings(tx, params)
    made: State = jax.jit(as_transformation(tx).init, out_shardings=shardings)(params)
    return made
