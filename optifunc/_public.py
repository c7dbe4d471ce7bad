"""The names that ``import *`` and tab completion offer, without internals."""

from collections.abc import Iterable


def exported_names(names: Iterable[str]) -> list[str]:
    """The public names among those of a module, for its ``__all__``."""
    return sorted(name for name in names if not name.startswith("_"))


def listed_names(names: Iterable[str]) -> list[str]:
    """The names that ``dir`` of a module shows: public ones and those of any module."""
    return sorted(
        name for name in names if not name.startswith("_") or name.startswith("__")
    )
