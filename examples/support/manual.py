"""The text of Python's own manual pages, as characters to learn from."""

from pydoc_data.topics import topics

import numpy as np

CHARACTERS = 128


def characters():
    """The whole text: int32 [n], each in 0..127."""
    whole = " ".join(topics[name] for name in sorted(topics))
    codes = np.frombuffer(whole.encode("ascii", "replace"), np.uint8)
    return np.minimum(codes, CHARACTERS - 1).astype(np.int32)


def windows(codes, length, shape, rng):
    """Pieces of the text from random places: int32 [*shape, length]."""
    starts = rng.integers(0, len(codes) - length, shape)
    return codes[starts[..., None] + np.arange(length)]
