"""The page "From PyTorch": its two loops, run and compared."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "from_pytorch.md").read_text()


def blocks(info: str) -> list[str]:
    """The code blocks of the page with this info string."""
    pattern = rf"^```{re.escape(info)}\n(.*?)^```$"
    return re.findall(pattern, PAGE, re.MULTILINE | re.DOTALL)


def run(code: str) -> dict:
    namespace: dict = {}
    # A reader's settings, which are laxer than this suite's.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(blocks("python")[0] + code, namespace)
    return namespace


@pytest.mark.torch
def test_both_loops_end_at_the_same_losses():
    pytest.importorskip("torch", reason="the page's torch loop needs torch")
    (theirs,), (ours,) = (
        blocks('python title="PyTorch"'),
        blocks('python title="optifunc"'),
    )
    torch_run, our_run = run(theirs), run(ours)
    # float32 over 120 steps of a smooth, bounded loss of order 1.
    np.testing.assert_allclose(our_run["losses"], torch_run["losses"], atol=1e-5)
    assert our_run["losses"][-1] < 0.6 * our_run["losses"][0]
    found, expected = our_run["checkpoint"], torch_run["checkpoint"]
    assert found["state"].keys() == expected["state"].keys()
    for number, entry in expected["state"].items():
        assert list(found["state"][number]) == list(entry)
        for name, value in entry.items():
            np.testing.assert_allclose(
                found["state"][number][name], value, atol=1e-5, err_msg=name
            )


@pytest.mark.torch
def test_checkpoints_give_each_parameter_its_own_state():
    pytest.importorskip("torch", reason="the page's checkpoints are torch's")
    (code,) = blocks('python title="Checkpoints of torch"')
    found = run(code)
    model, saved = found["model"], found["with_names"].state
    expected = {name: saved[p] for name, p in model.named_parameters()}
    for name in ("by_name", "reordered", "in_order"):
        optimizer = found[name]
        (names,) = optimizer.parameter_names()
        assert sorted(names) == ["bias", "weight"]
        for i, parameter in enumerate(names):
            for key, value in optimizer.state_dict()["state"][i].items():
                np.testing.assert_array_equal(value, expected[parameter][key])
    # The last line of the page's code put it back.
    for name, parameter in model.named_parameters():
        for key, value in found["without_names"].state[parameter].items():
            np.testing.assert_array_equal(value, expected[name][key])


def test_our_loop_runs_without_torch():
    (ours,) = blocks('python title="optifunc"')
    losses = run(ours)["losses"]
    assert len(losses) == 15
    assert losses[-1] < 0.6 * losses[0]


def test_the_loops_are_of_one_length_and_mostly_the_same():
    (theirs,), (ours,) = (
        blocks('python title="PyTorch"'),
        blocks('python title="optifunc"'),
    )
    assert len(theirs.splitlines()) == len(ours.splitlines())
    same = sum(
        a == b for a, b in zip(theirs.splitlines(), ours.splitlines(), strict=True)
    )
    assert same >= 2 / 3 * len(ours.splitlines())
