"""Arrays from .npz files, and the runs of PyTorch that are recorded in them."""

import zipfile
from pathlib import Path

import numpy as np


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
