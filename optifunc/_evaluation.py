"""The parameters to evaluate, for any composition."""

from __future__ import annotations

from typing import Any

import jax
from jax import lax

from ._transformation import State
from ._tree import PyTree, is_array, leaf_dtype, with_defaults
from .wrappers._scheduled import as_transformation


def eval_params(tx: Any, state: State, params: PyTree) -> PyTree:
    """The parameters to use for validation, model checkpoints and inference.

    Some transformations train parameters that are not the ones to use. With
    `schedule_free` and `gpa_adamw` these are the averages ``x``, with `lookahead` the
    slow parameters, with `ema_parameters` and `average_parameters` the averages. This
    function finds them in any composition, even if they cover only some parameters::

        tx = of.chain(of.clip_by_global_norm(1.0), of.schedule_free_adamw(1e-2))
        ...
        accuracy = evaluate(of.eval_params(tx, state, params), test_set)

    If there are no other parameters to evaluate, it returns ``params``. If several
    members of a chain keep such parameters, the last one counts. It is pure: training
    continues with ``params``. With a stateful optimizer, call
    ``of.eval_params(*optimizer.functional())``.

    **Arguments:**

    - ``tx``: a transformation. optax's states are not searched.
    - ``state``: its state.
    - ``params``: the parameters that training holds.

    **Returns:** a tree with the structure, shapes and dtypes of ``params``.
    """
    # An Equinox model holds functions too.
    arrays = jax.tree.map(lambda leaf: leaf if is_array(leaf) else None, params)
    found = as_transformation(tx).evaluated(state, arrays)

    def in_dtype(new: Any, param: Any) -> Any:
        return lax.convert_element_type(new, leaf_dtype(param))

    arrays = jax.tree.map(in_dtype, with_defaults(found, arrays), arrays)
    return with_defaults(arrays, params)
