"""A run that starts in PyTorch and continues in JAX, with the same losses.

A network learns the handwritten digits that come with scikit-learn, with AdamW.
Halfway, PyTorch saves the model and the optimizer to a file and trains to the end.
optifunc continues from the same file with the same batches: the weights, the moments,
the step count, and the learning rate are all in it. Needs PyTorch in addition to the
`examples` extra.

    python examples/continue_pytorch.py
"""

from support import options

parser = options.parser(
    __doc__, "continue_pytorch.png", seed="of the weights and the order"
)
parser.add_argument(
    "--epochs",
    type=options.at_least(2),
    default=12,
    help="passes over the data, half of them before the file",
)
if __name__ == "__main__":
    arguments = options.parse(parser, "torch")

import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import torch
from sklearn.datasets import load_digits
from support import pictures
from support.pictures import plt

from optifunc import optim
from optifunc.losses import cross_entropy

BATCH_SIZE = 64
PYTORCH, OURS = pictures.SKY, pictures.ORANGE


def batches_of(epochs, seed):
    """Pixels in [0, 1] and labels, the same batches in each call."""
    pixels, labels = load_digits(return_X_y=True)
    pixels, labels = (pixels / 16).astype(np.float32), labels.astype(np.int32)
    batches = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(labels))
        for start in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            batches.append((pixels[batch], labels[batch]))
    return batches


def build_in_pytorch(seed):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    )
    return model, torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)


def train_in_pytorch(model, optimizer, batches):
    """An ordinary PyTorch loop; the loss of each batch."""
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        logits = model(torch.from_numpy(x))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y).long())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def loss_fn(params, x, y):
    """The same network, over parameters that have PyTorch's names and layout."""
    hidden = jnp.maximum(x @ params["0.weight"].T + params["0.bias"], 0)
    return cross_entropy(hidden @ params["2.weight"].T + params["2.bias"], y)


def continue_in_jax(path, batches):
    """Go on from a file of PyTorch; the loss of each batch."""
    saved = torch.load(path)
    params = {name: jnp.asarray(x.numpy()) for name, x in saved["model"].items()}
    optimizer = optim.AdamW(list(params.items()))
    optimizer.load_state_dict(saved["optimizer"])
    train_step = optimizer.compile_step(loss_fn)
    return [train_step(x, y).item() for x, y in batches]


def draw(before, theirs, ours, path):
    """Left the losses of both; right how far apart they are."""
    figure, (losses, differences) = plt.subplots(
        1, 2, figsize=(11, 4), width_ratios=(1.8, 1)
    )
    steps = np.arange(1, len(before) + len(theirs) + 1)
    later = steps[len(before) :]
    losses.semilogy(steps, before + theirs, color=PYTORCH, lw=4, label="PyTorch")
    losses.semilogy(later, ours, color=OURS, lw=1.2, label="optifunc, from the file")
    losses.axvline(len(before) + 0.5, color="0.4", linestyle=":")
    losses.text(
        *(len(before) + 0.5, 0.97, "  saved here"),
        transform=losses.get_xaxis_transform(),  # y in parts of the frame's height
        color="0.3",
        va="top",
    )
    losses.set(title="Loss of each batch", xlabel="step", ylabel="cross-entropy (nats)")
    losses.legend(loc="lower left")
    pictures.plain_ticks(losses.yaxis)
    apart = np.abs(np.subtract(ours, theirs))
    # Two equal losses have no logarithm; they are drawn on the lower edge.
    differences.semilogy(later, apart.clip(1e-9), ".", color="0.35", markersize=4)
    differences.set(title="Difference of the two", xlabel="step", ylim=(1e-9, 1e-3))
    differences.set_ylabel("absolute difference of the losses (nats)")
    pictures.save(figure, path)


def main(arguments):
    batches = batches_of(arguments.epochs, arguments.seed)
    half = len(batches) // 2
    model, optimizer = build_in_pytorch(arguments.seed)
    before = train_in_pytorch(model, optimizer, batches[:half])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.pt"
        checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(checkpoint, path)
        theirs = train_in_pytorch(model, optimizer, batches[half:])
        ours = continue_in_jax(path, batches[half:])

    for name, losses in (("PyTorch", theirs), ("optifunc", ours)):
        print(f"{name:8}  step {half + 1}: {losses[0]:.6f}", end="")
        print(f"  step {len(batches)}: {losses[-1]:.6f}")
    farthest = np.abs(np.subtract(ours, theirs)).max()
    print(f"farthest apart in {len(ours)} steps: {farthest:.1e}")
    draw(before, theirs, ours, arguments.output)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main(arguments)
