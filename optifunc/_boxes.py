"""Boxes: nodes of a tree that hold one array and leave no mark in its name."""

from __future__ import annotations

from typing import TypeVar
from weakref import WeakKeyDictionary

Box = TypeVar("Box", bound=type)

# By module and qualified name, so that flax need not be installed. Subclasses count
# too: nnx's Param is a Variable, Linen's LogicallyPartitioned a Partitioned.
_KNOWN = {
    ("flax.nnx.variablelib", "Variable"): "value",
    ("flax.core.meta", "Partitioned"): "value",
}
_registered: dict[type, str] = {}
# A cache, because this is looked up for each node of a tree.
_found: WeakKeyDictionary[type, str | None] = WeakKeyDictionary()


def register_box(cls: Box, attribute: str = "value") -> Box:
    """Declare that ``cls`` only wraps an array, so that names omit the wrapper.

    Some libraries wrap each array in a pytree node, to keep its axes or its kind
    with it. A parameter ``"dense.kernel"`` then has the path ``"dense.kernel.value"``,
    and a mask such as ``lambda path, leaf: path.endswith("kernel")`` misses it. Once
    ``cls`` is registered, the parameter is named ``"dense.kernel"`` either way::

        of.interop.register_box(haliax.NamedArray, "array")

    `flax.nnx.Variable`, `flax.linen.Partitioned` and `flax.linen.LogicallyPartitioned`
    are registered by default. Register a class before the first `init`, because
    parameters must have the same names in `init` and `update`.

    **Arguments:**

    - ``cls``: a class of pytree nodes; its subclasses are boxes too. It may be
      decorated with `register_box`.
    - ``attribute``: the attribute that holds the array, or a tree of arrays. Everything
      else in the node keeps its name.

    **Returns:** ``cls``.

    **Raises:** `TypeError` if ``cls`` is not a class or ``attribute`` not a string;
    `ValueError` if ``cls`` is registered with another attribute.
    """
    if not isinstance(cls, type):
        raise TypeError(f"cls must be a class of pytree nodes, found {cls!r}")
    if not isinstance(attribute, str):
        raise TypeError(f"attribute must be a string, found {attribute!r}")
    if _registered.setdefault(cls, attribute) != attribute:
        raise ValueError(
            f"{cls.__qualname__} is registered as a box with the attribute "
            f"{_registered[cls]!r}, found {attribute!r}"
        )
    _found.clear()
    return cls


def box_attribute(cls: type) -> str | None:
    """The attribute that holds the array if ``cls`` is a class of boxes, else None."""
    if cls not in _found:
        _found[cls] = next(filter(None, map(_declared, cls.__mro__)), None)
    return _found[cls]


def _declared(cls: type) -> str | None:
    return _registered.get(cls) or _KNOWN.get((cls.__module__, cls.__qualname__))
