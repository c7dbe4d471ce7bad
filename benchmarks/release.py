"""Give back what the last measurement took."""

import ctypes
import gc
from contextlib import suppress

import jax


def trim() -> None:
    """Collect garbage, and return freed memory to the system."""
    gc.collect()
    # The C library of most Linux systems keeps what was freed, here by the gigabyte.
    # Others have no such function.
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def release() -> None:
    """Clear the compilation caches too."""
    jax.clear_caches()
    trim()
