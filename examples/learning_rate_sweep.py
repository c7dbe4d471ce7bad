"""Train a network at 64 learning rates at once, with each of several optimizers.

A transformation is a value, so `jax.vmap` maps over its learning rate as over any
array: all the runs of one optimizer are a single compiled program. The picture shows
one run a row, its training loss from left to right.

    python examples/learning_rate_sweep.py --output learning_rate_sweep.png
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import optifunc as of

matplotlib.use("Agg")  # draws into a file; needs no screen
import matplotlib.pyplot as plt
from matplotlib.colors import LogNorm

BATCH_SIZE = 512
HIDDEN = 48
OPTIMIZERS = {
    "sgd(lr)": of.sgd,
    "sgd(lr, momentum=0.9)": lambda lr: of.sgd(lr, momentum=0.9),
    "rmsprop(lr)": of.rmsprop,
    "adamw(lr)": of.adamw,
}


def initialize(key):
    """Parameters of a network with one hidden layer."""
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, HIDDEN)) * (2 / 64) ** 0.5,
        "output": jax.random.normal(second, (HIDDEN, 10)) * HIDDEN**-0.5,
    }


def loss_fn(params, images, labels):
    logits = jax.nn.relu(images @ params["hidden"]) @ params["output"]
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -jnp.mean(chosen)


def losses_of_run(tx, params, images, labels):
    """The loss before each update of one run over batches [steps, batch, ...]."""

    def step(carry, batch):
        params, state = carry
        loss, grads = jax.value_and_grad(loss_fn)(params, *batch)
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), loss

    return jax.lax.scan(step, (params, tx.init(params)), (images, labels))[1]


def sweep(optimizer, rates, params, images, labels):
    """`losses_of_run` for all learning rates at once: [rates, steps]."""

    def run(lr):
        return losses_of_run(optimizer(lr), params, images, labels)

    return jax.jit(jax.vmap(run))(rates)


def draw(curves, rates, path):
    """One heat map an optimizer: a row is a run, its color the training loss."""
    plt.rcParams.update({"font.size": 9, "axes.titlesize": 10})
    figure, axes = plt.subplots(
        1, len(curves), figsize=(11, 3.2), sharey=True, layout="constrained"
    )
    colors = plt.get_cmap("magma_r").with_extremes(bad="black")
    for ax, (name, losses) in zip(axes, curves.items(), strict=True):
        steps = np.arange(losses.shape[1] + 1)
        edges = np.geomspace(rates[0], rates[-1], len(rates) + 1)
        mesh = ax.pcolormesh(
            steps, edges, losses, cmap=colors, norm=LogNorm(0.01, 3), rasterized=True
        )
        ax.set_yscale("log")
        ax.set_title(name, family="monospace")
        ax.set_xlabel("step")
    axes[0].set_ylabel("learning rate")
    figure.colorbar(mesh, ax=axes, label="training loss", pad=0.01)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rates", type=int, default=64, help="runs an optimizer")
    parser.add_argument("--steps", type=int, default=300, help="updates a run")
    parser.add_argument("--seed", type=int, default=0, help="of start and batches")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("learning_rate_sweep.png"),
        help="where to save the picture (default: learning_rate_sweep.png)",
    )
    arguments = parser.parse_args()

    pixels, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(arguments.seed)
    chosen = rng.integers(len(labels), size=(arguments.steps, BATCH_SIZE))
    images = (pixels / 16).astype(np.float32)[chosen]
    labels = labels.astype(np.int32)[chosen]
    params = initialize(jax.random.key(arguments.seed))
    rates = np.geomspace(1e-4, 10, arguments.rates, dtype=np.float32)

    curves = {}
    progress = tqdm(OPTIMIZERS.items(), unit="optimizer")
    for name, optimizer in progress:
        curves[name] = np.asarray(sweep(optimizer, rates, params, images, labels))
        best = rates[np.nanargmin(curves[name][:, -20:].mean(axis=1))]
        progress.write(f"{name}: lowest loss at lr={best:.2g}")
    draw(curves, rates, arguments.output)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main()
