"""A table of what a transformation does to each parameter."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._dataclass import child_field_names, data_field_names
from ._numerics import is_zero
from ._state import parts_of, state_fields
from ._transformation import GradientTransformation
from ._tree import PyTree, leaf_dtype, leaves_with_names
from .schedules import from_function
from .transforms._scaling import set_to_zero
from .wrappers._partition import partition
from .wrappers._scheduled import as_transformation

COLUMNS = ("parameter", "shape", "dtype", "label", "lr", "decayed", "frozen", "bytes")


class ParameterRow(NamedTuple):
    """What a transformation does to one parameter.

    **Fields:**

    - ``name``: the parameter's dotted path.
    - ``shape``, ``dtype``: the parameter's.
    - ``label``: its label in a `partition`, or labels joined by ``"/"``.
    - ``lr``: the learning rate, a number, an array or a schedule; None without one.
    - ``decayed``: whether it has weight decay.
    - ``frozen``: whether its updates are set to zero.
    - ``state_bytes``: bytes of state that belong to it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    label: str
    lr: Any
    decayed: bool
    frozen: bool
    state_bytes: int


@dataclass(frozen=True)
class Description:
    """What a transformation does to each parameter, as `describe` returns it.

    It prints as a text table, and notebooks show it as an HTML table.

    **Arguments:**

    - ``rows``: one `ParameterRow` for each parameter.
    - ``shared_bytes``: bytes of state that all parameters share, such as counts.
    """

    rows: tuple[ParameterRow, ...]
    shared_bytes: int

    @property
    def state_bytes(self) -> int:
        """Bytes of the whole state."""
        return self.shared_bytes + sum(row.state_bytes for row in self.rows)

    def _schedules(self) -> dict[str, str]:
        """Each learning rate that is a function, in full -> its short name."""
        full = dict.fromkeys(_full(row.lr) for row in self.rows if callable(row.lr))
        named = Counter(name for _, name in full)
        numbers = Counter[str]()
        short = {}
        for text, name in full:
            numbers[name] += 1
            short[text] = f"{name} #{numbers[name]}" if named[name] > 1 else name
        return short

    def _table(self) -> list[tuple[str, ...]]:
        """The cells of the header and of each row."""
        short = self._schedules()
        return [COLUMNS, *(_cells(row, short) for row in self.rows)]

    def __str__(self) -> str:
        cells = self._table()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        return "\n".join(
            [
                lines[0],
                "-" * sum(widths, 2 * (len(COLUMNS) - 1)),
                *lines[1:],
                self._total(),
                *self._legend(),
            ]
        )

    def _total(self) -> str:
        count = sum(int(np.prod(row.shape, dtype=int)) for row in self.rows)
        return (
            f"{len(self.rows)} parameters with {count:,} numbers; {self.state_bytes:,} "
            f"bytes of state, {self.shared_bytes:,} of them shared"
        )

    def _legend(self) -> list[str]:
        """What the names of schedules stand for, where they leave something out."""
        pairs = self._schedules().items()
        return [f"{short} = {text}" for text, short in pairs if short != text]

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(cells: Sequence[str], tag: str) -> str:
            return "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells)

        header, *rows = self._table()
        body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
        caption = "<br>".join(map(html.escape, [self._total(), *self._legend()]))
        return (
            f"<table><caption>{caption}</caption>"
            f"<thead><tr>{line(header, 'th')}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )


def _full(schedule: Any) -> tuple[str, str]:
    """A learning rate that is a function: all of it, and its name."""
    if isinstance(schedule, from_function):
        function = schedule.function
        name = getattr(function, "__name__", type(function).__name__)
        return name, name
    return repr(jax.tree.map(_as_number, schedule)), type(schedule).__name__


def _as_number(value: Any) -> Any:
    """An array of one number as that number, written as short as its dtype allows."""
    if isinstance(value, jax.core.Tracer) or not isinstance(
        value, jax.Array | np.ndarray
    ):
        return value
    if value.ndim > 0:
        return value
    array = np.asarray(value)
    is_float = jnp.issubdtype(array.dtype, jnp.floating)
    return float(str(array)) if is_float else array.item()


def _cells(row: ParameterRow, schedules: Mapping[str, str]) -> tuple[str, ...]:
    if row.lr is None:
        lr = "-"
    elif callable(row.lr):
        lr = schedules[_full(row.lr)[0]]
    else:
        lr = f"{_as_number(row.lr)}"
    decayed, frozen = ("yes" if x else "no" for x in (row.decayed, row.frozen))
    shape = "x".join(map(str, row.shape)) or "scalar"
    label = row.label or "-"
    size = f"{row.state_bytes:,}"
    return row.name, shape, row.dtype.name, label, lr, decayed, frozen, size


def describe(tx: Any, params: PyTree) -> Description:
    """A table of what a transformation does to each parameter, to check before a run.

    ::

        print(of.describe(tx, params))

    It reveals mistakes that cause no error: a mask that decays a bias, a wrong
    label, a layer that is frozen, state that does not fit in memory.

    **Arguments:**

    - ``tx``: a transformation of this library, or of optax; it cannot see the members
      of optax's.
    - ``params``: the parameters, or a tree of their shapes (`jax.ShapeDtypeStruct`).

    **Returns:** a `Description`: text with ``print``, HTML in a notebook, and ``rows``.
    """
    tx = as_transformation(tx)
    named = list(leaves_with_names(params))
    treedef: Any = jax.tree.structure(params)
    numbers = treedef.unflatten(range(len(named)))
    found = [_Found() for _ in named]
    _look(tx, params, numbers, found)
    state_bytes, shared_bytes = _bytes_of_state(tx, params, len(named))
    rows = tuple(
        ParameterRow(
            name,
            np.shape(leaf),
            np.dtype(leaf_dtype(leaf)),
            "/".join(about.labels),
            about.lr,
            about.decayed,
            about.frozen,
            size,
        )
        for (name, leaf), about, size in zip(named, found, state_bytes, strict=True)
    )
    return Description(rows, shared_bytes)


class _Found:
    """What is known about one parameter so far."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.lr: Any = None
        self.decayed = False
        self.frozen = False


def _look(
    tx: GradientTransformation, params: PyTree, numbers: PyTree, found: list[_Found]
) -> None:
    """Note what ``tx`` does to the parameters that it sees, those with ``numbers``."""
    seen = [found[i] for i in jax.tree.leaves(numbers)]
    held = child_field_names(type(tx))
    own = {n: getattr(tx, n) for n in data_field_names(type(tx)) if n not in held}
    for about in seen:
        about.lr = own.get("lr", about.lr)
        about.decayed |= not is_zero(own.get("weight_decay", 0))
        about.frozen |= isinstance(tx, set_to_zero)
    for child in tx.children():
        part = tx.params_of(child, params)
        chosen = _numbers_of(part, params, numbers)
        if isinstance(tx, partition):
            for i in jax.tree.leaves(chosen):
                found[i].labels.append(child.key)
        _look(child.transformation, part, chosen, found)


def _numbers_of(part: PyTree, params: PyTree, numbers: PyTree) -> PyTree:
    """``numbers`` with None wherever ``part`` of ``params`` has None."""
    treedef: Any = jax.tree.structure(params)
    if type(part) is tuple and not part:  # nothing of a single array
        return ()
    kept = treedef.flatten_up_to(part)
    pairs = zip(kept, jax.tree.leaves(numbers), strict=True)
    return treedef.unflatten(None if leaf is None else i for leaf, i in pairs)


def _bytes_of_state(
    tx: GradientTransformation, params: PyTree, count: int
) -> tuple[list[int], int]:
    """Bytes of state for each parameter, and of shared state."""
    own, shared = [0] * count, 0
    for field, value in state_fields(jax.eval_shape(tx.init, params), params):
        if field.role.is_per_parameter:
            for i, part in enumerate(parts_of(value, params)):
                own[i] += _bytes_of(part)
        else:
            shared += _bytes_of(value)
    return own, shared


def _bytes_of(tree: PyTree) -> int:
    leaves = jax.tree.leaves(tree)
    return sum(int(np.prod(x.shape, dtype=int)) * x.dtype.itemsize for x in leaves)
