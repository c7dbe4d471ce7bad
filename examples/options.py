"""What the examples' options have in common: their types, and errors that name them."""

import argparse
import contextlib
import zipfile
from pathlib import Path

import numpy as np

SUFFIXES = (".jpg", ".pdf", ".png", ".svg")  # of the pictures that are drawn


def at_least(least, most=None):
    """The type of an option that takes an integer, for argparse."""

    def integer(text):
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or number < least or (most is not None and number > most):
            bounds = f"of at least {least}" if most is None else f"in {least}..{most}"
            raise argparse.ArgumentTypeError(
                f"must be an integer {bounds}, found {text!r}"
            )
        return number

    return integer


positive = at_least(1)
seed = at_least(0, 2**32 - 1)  # what NumPy, scikit-learn and JAX all take


def picture(text):
    """The path of a picture; one that could not be saved is refused before training."""
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        expected = ", ".join(SUFFIXES)
        raise argparse.ArgumentTypeError(
            f"must be a file that ends in one of {expected}, found {text!r}"
        )
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file, found the folder {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"must be in a folder that exists, found {text!r}"
        )
    return path


@contextlib.contextmanager
def reading(parser, option):
    """End with one line about the option if what it names cannot be read."""
    try:
        yield
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        parser.error(f"{option}: {error}")


def read_arrays(path, *names):
    """The arrays of these names in an .npz file: {name: array}."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"found no file {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"expected an .npz file, found {path}")
    with np.load(path) as arrays:
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ValueError(f"found no {', '.join(missing)} in {path}")
        return {name: arrays[name] for name in names}


def check_first_loss(found, recorded):
    """The first loss of a recorded run tells which images it was of.

    It is of the weights that both runs begin with, so only rounding may differ.
    """
    if not abs(found - recorded) < 1e-5:
        raise ValueError(
            f"the first loss is {recorded:.6f}, with the images of --data it is "
            f"{found:.6f}: the run must have been recorded with the same images"
        )
