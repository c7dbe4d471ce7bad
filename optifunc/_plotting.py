"""Matplotlib, which only pictures need."""

from typing import Any


def require_pyplot(name: str) -> Any:
    """`matplotlib.pyplot`.

    **Raises:** `ImportError` that says how to install it for ``name``.
    """
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(
            f"{name} needs matplotlib, which optifunc does not install: "
            "pip install matplotlib, or optifunc's extra `examples`"
        ) from error
    return matplotlib.pyplot
