"""Hyperparameters tuned through the training run."""

import re

import numpy as np
import pytest

from .running import check_picture, run


@pytest.mark.slow
def test_hypergradients_are_right_and_find_who_is_careless(tmp_path):
    picture = tmp_path / "hypergradient.png"
    printed = run(
        "hypergradient.py",
        *("--epochs", 2, "--outer-steps", 20, "--check", "--output", picture),
    )
    check_picture(picture)

    number = r"([+-]\S+)"
    pairs = re.findall(rf"^log\w* \w+ +{number} +{number}$", printed, re.MULTILINE)
    derivative, difference = np.array(pairs, float).T
    assert len(derivative) == 4 + 40 / 4
    # A central difference of width h = 1e-4 is off by h^2 / 6 of the third derivative,
    # which is taken to be at most 600 times the first; and by the rounding of a loss
    # of about 2, 4e-16, that 32 updates amplify by less than 100, over h.
    np.testing.assert_allclose(difference, derivative, rtol=1e-6, atol=4e-10)
    assert np.all(np.abs(derivative) > 1e-8)

    # The others cost as much: 8 losses for each of the 20 hypergradients.
    ways = ("hypergradient", "random search", "hill climbing")
    found = re.findall(r"^(\w+ ?\w*) +cost +(\d+) .* loss (\S+)$", printed, re.M)
    costs = {name.strip(): int(cost) for name, cost, _ in found}
    assert {costs[name] for name in ways} == {160}

    table = re.findall(
        r"^(\w+.*?) +loss (\S+) \+- (\S+)  accuracy (\S+)%$", printed, re.MULTILINE
    )
    results = {name: (float(loss), float(error)) for name, loss, error, _ in table}
    assert set(results) == {
        *ways,
        "equal weights",
        "checked alone",
        "only right labels",
    }
    # On test data and from new starts: by more than ten standard errors. Nothing but
    # knowing each wrong label does better.
    best, error = results["hypergradient"]
    for name in ("random search", "hill climbing", "equal weights"):
        loss, other_error = results[name]
        assert best + 10 * np.hypot(error, other_error) < loss, name
    assert results["only right labels"][0] < best

    # The search never sees how careless anyone is.
    correlation = re.search(r"shares of wrong labels: (\S+)$", printed, re.MULTILINE)
    assert float(correlation[1]) < -0.6
