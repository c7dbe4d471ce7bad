"""The first example."""

import re

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from .running import EXAMPLES, check_picture, run


def test_quickstart_learns_the_digits_and_draws_the_curves(tmp_path):
    picture = tmp_path / "curves.png"
    printed = run("quickstart.py", "--output", picture)
    accuracy = re.search(r"test accuracy: ([\d.]+)%", printed)
    assert float(accuracy[1]) >= 97
    assert str(picture) in printed
    check_picture(picture)

    loss, chance, lowest = map(
        float,
        re.search(
            r"training loss: (\S+) nats .*ln 10 = ([\d.]+); .* is ([\d.]+)\)$",
            printed,
            re.MULTILINE,
        ).groups(),
    )
    assert chance == pytest.approx(np.log(10), abs=5e-5)  # four decimals
    assert lowest < loss < lowest + 0.05


def test_no_logits_have_a_lower_loss(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import quickstart

    def loss(logits):
        """A tenth of the label is that of all digits, as torch smooths it."""
        log_shares = log_softmax(logits)
        return -0.9 * log_shares[3] - 0.1 * log_shares.mean()

    found = minimize(loss, np.zeros(10), tol=1e-9)
    # At a minimum errors of the place, here 1e-5, count by their squares.
    assert quickstart.lowest_loss() == pytest.approx(found.fun, abs=1e-8)
