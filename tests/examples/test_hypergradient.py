"""Hyperparameters tuned through the training run."""

import re

import numpy as np
import pytest

from .running import check_picture, run


@pytest.mark.slow
def test_hypergradients_are_right_and_lower_the_loss(tmp_path):
    picture = tmp_path / "hypergradient.png"
    printed = run(
        "hypergradient.py",
        *("--epochs", 2, "--outer-steps", 12, "--check", "--output", picture),
    )
    check_picture(picture)

    pairs = re.findall(r"^log\w* \w+ +(\S+) +(\S+)$", printed, re.MULTILINE)
    derivative, difference = np.array(pairs, float).T
    assert len(derivative) == 3
    # A central difference of width h = 1e-4 is off by h^2 / 6 of the third derivative,
    # which is taken to be at most 600 times the first; and by the rounding of a loss
    # of about 2, 4e-16, that 32 updates amplify by less than 100, over h.
    np.testing.assert_allclose(difference, derivative, rtol=1e-6, atol=4e-10)
    assert np.all(np.abs(derivative) > 1e-7)

    found = re.search(r"validation loss: (\S+) before, (\S+) at the last", printed)
    before, after = float(found[1]), float(found[2])
    assert after < 0.8 * before

    table = {
        name: np.array(numbers.replace("+-", "").rstrip("%").split(), float)
        for name, numbers in re.findall(
            r"^(default|best of grid|hypergradient)  +(0.*%)$", printed, re.MULTILINE
        )
    }
    assert len(table) == 3
    np.testing.assert_array_equal(table["default"][:3], [1e-3, 0.9, 0.999])
    # On test data and from new starts: by more than ten standard errors.
    loss, error = table["hypergradient"][3:5]
    assert loss + 10 * error < table["default"][3]
