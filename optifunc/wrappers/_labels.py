"""Labels for `partition` by shape and name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import jax.numpy as jnp

from .._checks import check_integer


@dataclass(frozen=True)
class _MatrixLabels:
    """A function that compares by content, so that equal partitions compile once."""

    others: tuple[str, ...]
    batch_axes: int

    def __call__(self, path: str, leaf: Any) -> str:
        names = [path, *path.split(".")]
        is_named = any(fnmatchcase(x, other) for x in names for other in self.others)
        is_matrix = jnp.ndim(leaf) - self.batch_axes >= 2 and not is_named
        return "matrix" if is_matrix else "other"


def label_matrices(*others: str, batch_axes: int = 0) -> Callable[[str, Any], str]:
    """Labels for `partition`: ``"matrix"`` for hidden layers, ``"other"`` for the rest.

    Matrix optimizers are for the kernels inside a network. Biases and scales are
    recognized by their number of axes, but embeddings and the last layer only by name::

        tx = of.partition(
            {"matrix": of.muon(0.02, output_axis=-1), "other": of.adamw(3e-4)},
            of.label_matrices("*embed*", "head"),
        )

    **Arguments:**

    - ``others``: names of layers other than hidden ones, as patterns for
      `fnmatch.fnmatchcase` (``"*embed*"``). A pattern matches a leaf if it matches the
      whole dotted path or one of the names in it.
    - ``batch_axes``: how many leading axes do not count, such as those of layers
      stacked for a scan.

    **Returns:** a function of ``(path, leaf)``.

    **Raises:** `TypeError` for a name that is not a string.
    """
    check_integer("batch_axes", batch_axes, at_least=0)
    for name in others:
        if not isinstance(name, str):
            raise TypeError(f"others must be names or patterns, found {name!r}")
    return _MatrixLabels(others, batch_axes)
