"""A run of PyTorch goes on here: the example, and the block of the README."""

import importlib.util
import re

import jax
import numpy as np
import pytest

from .running import EXAMPLES, ROOT, check_picture, run

torch = pytest.importorskip("torch", reason="needs the extra `parity`")
pytestmark = pytest.mark.torch

# float32 over some dozens of steps of a smooth network, losses of order 1.
CLOSE = 1e-5


def test_the_losses_of_both_halves(tmp_path):
    picture = tmp_path / "losses.png"
    printed = run("continue_pytorch.py", "--epochs", 2, "--output", picture)
    check_picture(picture)
    steps, farthest = re.search(
        r"farthest apart in (\d+) steps: (\S+)$", printed, re.MULTILINE
    ).groups()
    assert int(steps) == 28  # 1,797 images in whole batches of 64, once
    assert float(farthest) < CLOSE


def test_the_block_of_the_readme(tmp_path, monkeypatch):
    page = (ROOT / "README.md").read_text()
    pattern = r'^```python title="continue.py"\n(.*?)^```$'
    (code,) = re.findall(pattern, page, re.MULTILINE | re.DOTALL)

    monkeypatch.syspath_prepend(str(EXAMPLES))  # for what the example imports
    path = EXAMPLES / "continue_pytorch.py"
    spec = importlib.util.spec_from_file_location("continue_pytorch", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)

    batches = example.batches_of(2, seed=1)
    model, optimizer = example.build_in_pytorch(seed=1)
    example.train_in_pytorch(model, optimizer, batches[:28])
    monkeypatch.chdir(tmp_path)
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(saved, "run.pt")
    expected = example.train_in_pytorch(model, optimizer, batches[28:])
    namespace = {"batches": batches[28:]}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(code, namespace)
    np.testing.assert_allclose(namespace["losses"], expected, atol=CLOSE)
