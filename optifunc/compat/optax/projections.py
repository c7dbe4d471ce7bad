"""optax.projections: the functions of `of.projections`, with optax's prefix."""

from __future__ import annotations

import typing as _typing
from typing import Any as _Any

from jax.typing import ArrayLike as _ArrayLike

from ... import projections as _ours
from ._own import names_of as _names_of


def projection_non_negative(tree: _Any) -> _Any:
    """`of.projections.non_negative`."""
    return _ours.non_negative(tree)


def projection_box(tree: _Any, lower: _Any, upper: _Any) -> _Any:
    """`of.projections.box`."""
    return _ours.box(tree, lower, upper)


def projection_hypercube(tree: _Any, scale: _Any = 1) -> _Any:
    """`of.projections.hypercube`."""
    return _ours.hypercube(tree, scale)


def projection_simplex(tree: _Any, scale: _ArrayLike = 1) -> _Any:
    """`of.projections.simplex`."""
    return _ours.simplex(tree, scale)  # type: ignore[arg-type]


def projection_l1_sphere(tree: _Any, scale: _ArrayLike = 1) -> _Any:
    """`of.projections.l1_sphere`."""
    return _ours.l1_sphere(tree, scale)  # type: ignore[arg-type]


def projection_l1_ball(tree: _Any, scale: _ArrayLike = 1) -> _Any:
    """`of.projections.l1_ball`."""
    return _ours.l1_ball(tree, scale)  # type: ignore[arg-type]


def projection_l2_sphere(tree: _Any, scale: _ArrayLike = 1) -> _Any:
    """`of.projections.l2_sphere`."""
    return _ours.l2_sphere(tree, scale)  # type: ignore[arg-type]


def projection_l2_ball(tree: _Any, scale: _ArrayLike = 1) -> _Any:
    """`of.projections.l2_ball`."""
    return _ours.l2_ball(tree, scale)  # type: ignore[arg-type]


def projection_linf_ball(tree: _Any, scale: _ArrayLike = 1) -> _Any:
    """`of.projections.linf_ball`."""
    return _ours.linf_ball(tree, scale)  # type: ignore[arg-type]


def projection_vector(x: _Any, a: _Any) -> _Any:
    """`of.projections.vector`."""
    return _ours.vector(x, a)


def projection_hyperplane(x: _Any, a: _Any, b: _ArrayLike) -> _Any:
    """`of.projections.hyperplane`."""
    return _ours.hyperplane(x, a, b)  # type: ignore[arg-type]


def projection_halfspace(x: _Any, a: _Any, b: _ArrayLike) -> _Any:
    """`of.projections.halfspace`."""
    return _ours.halfspace(x, a, b)  # type: ignore[arg-type]


if not _typing.TYPE_CHECKING:
    __getattr__ = _names_of("projections")
