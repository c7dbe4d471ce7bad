"""Run an example as a reader runs it, and look at what it prints and draws."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
WATCHED = Path(__file__).with_name("watched.py")
EXAMPLES = ROOT / "examples"
DATA = ROOT.parent / "shared" / "data"  # CIFAR-10 and recorded runs; may be absent

REASON = "the extra `examples` is not installed"
imread = pytest.importorskip("matplotlib.image", reason=REASON).imread
for module in ("PIL", "sklearn", "tqdm"):
    pytest.importorskip(module, reason=REASON)


def run(script, *arguments, timeout=300):
    """The text that the example printed; it must have ended well.

    Its pictures are looked at before they are saved, see `watched`. No progress bar may
    be where no one watches it.
    """
    finished = subprocess.run(
        [sys.executable, WATCHED, EXAMPLES / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    bars = [line for line in finished.stderr.splitlines() if "%|" in line]
    assert not bars, bars
    return finished.stdout


def shared_data(name):
    """The path of a file of the data for tests; skips the test where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs the data for tests, found no {path}")
    return path


def check_picture(path, smallest=(300, 600)):
    """It is an image of at least that height and width, and not blank."""
    image = imread(path)
    assert image.shape[0] >= smallest[0]
    assert image.shape[1] >= smallest[1]
    # Text and lines: many pixels differ from the background, in more than two colors.
    colors, counts = np.unique(
        image.reshape(-1, image.shape[-1]), axis=0, return_counts=True
    )
    assert len(colors) > 20
    assert counts.max() < 0.98 * counts.sum()
