"""The page of names: the counterparts of each name of optax and torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """The page's entry for a name.

    **Arguments:**

    - ``sign``: ``"="`` the same numbers, ``"~"`` the same purpose, or ``"none"``.
    - ``ours``: the names here.
    - ``remark``: what differs.
    """

    sign: str
    ours: str
    remark: str


def optax_row(name: str) -> Row | None:
    """The row of a name of optax, which may be that of a submodule."""
    found = _optax_rows()
    last = name.rpartition(".")[2]
    return found.get(name) or found.get(last)


def torch_row(name: str) -> Row | None:
    """The row of a class of `torch.optim` or of a function, by its last name."""
    return _torch_rows().get(name)


@cache
def _optax_rows() -> Mapping[str, Row]:
    _, _, half = _page().partition("\n## optax\n")
    rows = {}
    for sign, theirs, *rest in _rows_of_tables(half):
        ours, remark = (*rest, "", "")[:2]
        row = Row(sign.strip("*"), ours, remark)
        rows.update(dict.fromkeys(_quoted(theirs), row))
    return rows


@cache
def _torch_rows() -> Mapping[str, Row]:
    half, _, _ = _page().partition("\n## optax\n")
    rows = {}
    for theirs, ours, *pure in _rows_of_tables(half):
        has_counterpart = bool(_quoted(ours))
        remark = f"pure: {pure[0]}" if pure and _quoted(pure[0]) else ""
        row = Row("=" if has_counterpart else "none", ours, remark)
        rows.update(dict.fromkeys(_quoted(theirs), row))
    return rows


def _rows_of_tables(text: str) -> Iterator[list[str]]:
    """The cells of the rows of all tables, without their heads."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _page() -> str:
    return (Path(__file__).parent / "names.md").read_text()
