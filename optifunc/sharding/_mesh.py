"""Checks of a mesh and the name of one of its axes."""

from __future__ import annotations

from typing import Any

from jax.sharding import Mesh


def check_mesh(mesh: Any, axis: Any, name: str = "axis") -> None:
    """Check that ``axis``, an argument ``name``, is an axis of ``mesh``.

    **Raises:** `TypeError` for a mesh that is not one, `ValueError` for another name.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(
            f"mesh must be a jax.sharding.Mesh, found {mesh!r}; jax.make_mesh makes one"
        )
    if axis not in mesh.axis_names:
        names = ", ".join(map(repr, mesh.axis_names))
        raise ValueError(f"{name} is {axis!r}, but the mesh has {names}")
