"""The individual operations of a traced function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def results_of(eqn: Any, operands: Sequence[Any]) -> list[Any]:
    """The results of an operation of a jaxpr."""
    params = eqn.primitive.get_bind_params(eqn.params)
    functions: Sequence[Any] = ()
    if isinstance(params, tuple):  # in some versions of JAX
        functions, params = params
    with eqn.ctx.manager:
        found = eqn.primitive.bind(*functions, *operands, **params)
    return list(found) if eqn.primitive.multiple_results else [found]
