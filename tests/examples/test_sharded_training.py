"""The example of many devices, on its smallest settings."""

import re

import pytest

from .running import check_picture, run

SMALL = ("--epochs", 2, "--width", 32, "--layers", 1)
pytest.importorskip("orbax.checkpoint", reason="the extra `examples` is not installed")


def number(pattern, printed):
    return float(re.search(pattern, printed)[1].replace(",", ""))


@pytest.mark.slow
def test_resumes_on_another_mesh(tmp_path):
    """And prints what each device holds."""
    picture = tmp_path / "sharded_training.png"
    printed = run("sharded_training.py", *SMALL, "--output", picture)
    whole = number(r"state without ZeRO +(\S+)", printed)
    cut = number(r"state with ZeRO +(\S+)", printed)
    assert cut == pytest.approx(whole / 2, rel=0.01)  # over the two of "data"
    arguments = number(r"as XLA counts them: (\S+)", printed)
    held = number(r"parameters +(\S+)\n", printed) + cut
    assert arguments == pytest.approx(held, rel=0.02)  # and a batch
    assert "4 devices from step 20, 40 steps" in printed
    # Sums in another order; rounding of 6e-8 grows in twenty steps.
    assert number(r"the losses agree to (\S+)", printed) < 1e-5
    first, last = re.findall(r"^8 devices, .* loss ([\d.]+)", printed, re.MULTILINE)
    assert float(last) < float(first) < 4.86  # log(128), by guessing
    check_picture(picture)


@pytest.mark.slow
@pytest.mark.parametrize("interface", [(), ("--stateful",)], ids=["pure", "stateful"])
def test_two_processes_and_one_that_is_killed(interface):
    arguments = (*SMALL, *interface, "--processes", 2)
    printed = run("sharded_training.py", *arguments, timeout=900)
    assert "their parameters are equal bit by bit: True" in printed
    # Numbers of size 1, rounded off 6e-8 in sums of another order, over forty steps.
    assert number(r"those of one process agree to (\S+)", printed) < 1e-6
    assert "killed one at step 30" in printed
    assert "resumed from step 20" in printed
    assert "are those of the run without interruption: True" in printed
