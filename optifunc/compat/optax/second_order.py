"""optax.second_order: functions of `of.linalg` as vectors."""

from __future__ import annotations

import typing as _typing
from collections.abc import Callable as _Callable
from typing import Any as _Any

import jax as _jax
from jax import Array as _Array
from jax.flatten_util import ravel_pytree as _ravel_pytree

from ... import linalg as _ours
from ._own import names_of as _names_of


def hvp(
    loss: _Callable[..., _Any], v: _Array, params: _Any, inputs: _Any, targets: _Any
) -> _Any:
    """`of.linalg.hvp` of a vector; a tree like the parameters."""
    _, unravel = _ravel_pytree(params)
    return _ours.hvp(loss, params, unravel(v), inputs, targets)


def hessian_diag(
    loss: _Callable[..., _Any], params: _Any, inputs: _Any, targets: _Any
) -> _Array:
    """`of.linalg.hessian_diag` as a vector."""
    return _ravel_pytree(_ours.hessian_diag(loss, params, inputs, targets))[0]


def fisher_diag(
    negative_log_likelihood: _Callable[..., _Any],
    params: _Any,
    inputs: _Any,
    targets: _Any,
) -> _Array:
    """`of.linalg.fisher_diag` as a vector, with the batch as one example."""
    batch = _jax.tree.map(lambda x: x[None], (inputs, targets))
    return _ravel_pytree(_ours.fisher_diag(negative_log_likelihood, params, *batch))[0]


if not _typing.TYPE_CHECKING:
    __getattr__ = _names_of("second_order")
