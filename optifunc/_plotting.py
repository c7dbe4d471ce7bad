"""Matplotlib, which only plots need."""

from __future__ import annotations

from typing import Any


def require_pyplot(name: str, otherwise: str = "") -> Any:
    """`matplotlib.pyplot`.

    **Raises:** `ImportError` that says how to install it for ``name``, and what to do
    ``otherwise``.
    """
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(
            f"{name} needs matplotlib, which is not installed; "
            f"pip install 'optifunc[examples]'{otherwise}"
        ) from error
    return matplotlib.pyplot
