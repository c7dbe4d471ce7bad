"""The example that prints what PyTorch's quickstart prints."""

import re

import jax
import numpy as np
import pytest
from tqdm import tqdm

from .running import EXAMPLES, check_picture, run


def test_it_prints_the_lines_of_the_quickstart_and_learns(tmp_path):
    picture = tmp_path / "fashion.png"
    printed = run("fashion_mlp.py", "--epochs", 2, "--output", picture)
    assert "digits scaled to 28x28" in printed
    for epoch in (1, 2):
        assert f"Epoch {epoch}\n-------------------------------\nloss: " in printed
    found = re.findall(r"^loss: (\d\.\d{6})  \[([ \d]{5})/28740\]$", printed, re.M)
    assert [int(n) for _, n in found] == 2 * [64, 6464, 12864, 19264, 25664]
    losses = [float(loss) for loss, _ in found]
    # Random weights of this size give nearly equal chances to the ten classes.
    assert losses[0] == pytest.approx(np.log(10), abs=0.1)
    assert losses[5] < losses[0]
    assert losses[-1] < losses[5]
    pattern = r"Test Error: \n Accuracy: ([\d.]+)%, Avg loss: (\d\.\d{6}) \n\n"
    (first, first_loss), (last, last_loss) = re.findall(pattern, printed)
    assert 10 < float(first) < float(last)  # guessing is right one time in ten
    assert float(last_loss) < float(first_loss)
    assert "\nDone!\n" in printed
    check_picture(picture)


@pytest.mark.torch
def test_train_loop_does_what_torch_does(monkeypatch):
    import torch

    monkeypatch.syspath_prepend(EXAMPLES)
    import fashion_mlp
    from support.datasets import fashion_mnist

    loader = fashion_mlp.DataLoader(fashion_mnist())  # in the order of the file
    params = fashion_mlp.initialize(jax.random.key(0))
    layers = []
    for layer in params.values():
        out_features, in_features = layer["weight"].shape
        linear = torch.nn.Linear(in_features, out_features)
        linear.load_state_dict({k: torch.tensor(np.array(v)) for k, v in layer.items()})
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(torch.nn.Flatten(), *layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    expected = []
    for x, y in loader:
        logits = model(torch.tensor(x))
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(y).long())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        expected.append(loss.item())

    ours = fashion_mlp.optim.SGD(params, lr=1e-3)
    with jax.numpy_rank_promotion("allow"), tqdm(disable=True) as progress:
        losses = fashion_mlp.train_loop(loader, ours, progress)
    assert len(losses) == 23
    # Losses near 2.3, of sums over 512 products in float32, in another order.
    np.testing.assert_allclose(losses, expected, rtol=5e-6)
