"""The examples, run as a reader runs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PNG = b"\x89PNG\r\n\x1a\n"

pytest.importorskip("matplotlib", reason="the extra `examples` is not installed")
pytest.importorskip("sklearn", reason="the extra `examples` is not installed")
pytest.importorskip("tqdm", reason="the extra `examples` is not installed")


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, EXAMPLES / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_quickstart_learns_the_digits_and_draws_the_curves(tmp_path):
    picture = tmp_path / "curves.png"
    finished = run("quickstart.py", "--output", picture)
    assert finished.returncode == 0, finished.stderr
    accuracy = re.search(r"test accuracy: ([\d.]+)%", finished.stdout)
    assert float(accuracy[1]) >= 97
    assert str(picture) in finished.stdout
    assert picture.read_bytes().startswith(PNG)
    assert "30/30" not in finished.stderr  # no progress bar in a file


def test_quickstart_refuses_to_train_for_no_epochs(tmp_path):
    finished = run("quickstart.py", "--epochs", 0, "--output", tmp_path / "x.png")
    assert finished.returncode == 2
    assert "must be an integer of at least 1, found '0'" in finished.stderr
    assert not list(tmp_path.iterdir())
