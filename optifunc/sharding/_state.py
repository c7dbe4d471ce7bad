"""The shardings of a state, and states that have them."""

import jax

from .._placement import mesh_of, shapes_of
from .._transformation import GradientTransformation, State
from .._tree import PyTree
from ..wrappers._scheduled import as_transformation


def abstract_state(tx: GradientTransformation, params: PyTree) -> PyTree:
    """The shapes, dtypes and shardings of a state, without the state.

    It is what restoring a checkpoint asks for, onto whichever mesh ``params`` name::

        shapes = of.sharding.abstract_state(tx, abstract_params)
        state = checkpointer.restore(path, shapes)

    What goes with a parameter is sharded as it is, along the axes that it has of it
    (a mean over the rows of a matrix along its columns); the square factors of matrix
    optimizers are cut as finely, as far as their sizes allow. Counters and other things
    that parameters share are replicated.

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

    **Raises:** `ValueError` if no parameter lies on a mesh, or if they lie on several.
    """
    if mesh_of(params) is None:
        raise ValueError(
            "params have no shardings over a mesh; give arrays that lie on one, or "
            "jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))"
        )
    return jax.tree.map(lambda leaf: leaf.sharding, abstract_state(tx, params))


def init(tx: GradientTransformation, params: PyTree) -> State:
    """The state, each array of which is made where it belongs.

    It is ``tx.init(params)`` as one compiled program: no device holds more than its
    part, not even in between.

    **Arguments:**

    - ``tx``: a transformation of this library or of optax.
    - ``params``: the parameters, arrays on a mesh.

    **Returns:** a state with the shardings that `state_shardings` says.

    **Raises:** what `state_shardings` does.
    """
    shardings = state_shardings(tx, params)
    made: State = jax.jit(as_transformation(tx).init, out_shardings=shardings)(params)
    return made
