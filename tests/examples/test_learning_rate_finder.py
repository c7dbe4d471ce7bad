"""The finder suggests a rate at which the network learns."""

import re

import pytest

from .running import check_picture, run


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--chunk", 4), ("--range-test",)])
def test_it_suggests_a_rate_at_which_the_network_learns(options, tmp_path):
    picture = tmp_path / "finder.png"
    printed = run(
        "learning_rate_finder.py",
        *("--rates", 10, "--epochs", 2, "--output", picture, *options),
    )
    check_picture(picture, (300, 500))  # a range test has one panel
    found = re.search(r"^learning rate (\S+): .*", printed, re.MULTILINE)
    # SGD with momentum 0.9 on a network of this size.
    assert 1e-3 < float(found[1]) < 0.3
    losses = re.search(r"(\S+) from (\S+?)[;\n]", found[0] + "\n")
    assert float(losses[1]) < 0.5 * float(losses[2])
