"""Narrow forms beside float32, on the smallest settings."""

import re

import pytest

from .running import check_picture, run


@pytest.mark.slow
def test_bytes_are_those_of_the_forms(tmp_path):
    picture = tmp_path / "low_precision.png"
    printed = run(
        "low_precision.py",
        *("--epochs", 1, "--steps", 4, "--optimizers", "adamw"),
        *("--forms", "float32", "kahan", "split", "split, 8-bit"),
        *("--output", picture),
    )
    check_picture(picture, smallest=(300, 400))  # of one optimizer
    found = re.findall(
        r"^text, adamw +(\S.*?) +loss .* bytes (\S+) \+ (\S+)", printed, re.M
    )
    sizes = {form: (float(own), float(state)) for form, own, state in found}
    assert sizes["float32"] == (4.0, 8.0)  # two moments of four bytes
    assert sizes["kahan"] == (2.0, 10.0)  # and two of compensation
    assert sizes["split"] == (2.0, 10.0)
    own, state = sizes["split, 8-bit"]
    # Lower halves, codes and scales; small parameters keep their float32 state.
    assert (own, state) == (2.0, pytest.approx(2 + 2 + 8 / 256, abs=0.1))
