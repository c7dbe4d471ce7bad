"""Find a learning rate by training with many at once.

`optifunc.find_learning_rate` trains one network with each of the learning rates, in one
compiled program, and says which it would take and why. The picture shows the loss that
each run ends with and how it got there; beyond the stability edge training diverges.

    python examples/learning_rate_finder.py --output learning_rate_finder.png
"""

import argparse
from pathlib import Path

import datasets
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import options

import optifunc as of

matplotlib.use("Agg")  # draws into a file; needs no screen

BATCH_SIZE = 32
HIDDEN = 64
OPTIMIZERS = {
    "sgd": lambda lr: of.sgd(lr, momentum=0.9),
    "adamw": of.adamw,
    "muon": lambda lr: of.partition(
        {"matrix": of.muon(lr), "other": of.adamw(lr)},
        lambda path, leaf: "matrix" if leaf.ndim == 2 else "other",
    ),
}


def load():
    """Batches of digits, float32 [n, batch, 64], their labels, and what they are."""
    images = datasets.digits(8)
    order = np.random.default_rng(0).permutation(len(images.labels))
    order = order[: len(order) // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE)
    pixels = (images.pixels.reshape(-1, 64) / 255).astype(np.float32)
    return jnp.asarray(pixels[order]), jnp.asarray(images.labels[order]), images.source


def initialize(key):
    """Parameters of a network with two hidden layers."""
    sizes = (64, HIDDEN, HIDDEN, 10)
    return [
        {"kernel": jax.random.normal(k, (m, n)) * (2 / m) ** 0.5, "bias": jnp.zeros(n)}
        for k, m, n in zip(jax.random.split(key, 3), sizes, sizes[1:], strict=False)
    ]


def loss_fn(params, batch):
    hidden, labels = batch
    for layer in params[:-1]:
        hidden = jax.nn.relu(hidden @ layer["kernel"] + layer["bias"])
    logits = hidden @ params[-1]["kernel"] + params[-1]["bias"]
    return of.losses.cross_entropy(logits, labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--optimizer", choices=OPTIMIZERS, default="sgd", help="(default: sgd)"
    )
    parser.add_argument(
        "--rates",
        type=options.at_least(2),
        default=48,
        help="learning rates, from 0.0001 to 10 (default: 48)",
    )
    parser.add_argument(
        "--epochs", type=options.positive, default=5, help="of each run (default: 5)"
    )
    parser.add_argument(
        "--chunk",
        type=options.positive,
        help="how many networks to train at once (default: all)",
    )
    parser.add_argument(
        "--range-test",
        action="store_true",
        help="one run with a growing rate in place of a sweep",
    )
    parser.add_argument(
        "--seed", type=options.seed, default=0, help="of the start (default: 0)"
    )
    parser.add_argument(
        "--output",
        type=options.picture,
        default=Path("learning_rate_finder.png"),
        help="where to save the picture (default: learning_rate_finder.png)",
    )
    arguments = parser.parse_args()

    *batches, source = load()
    print(f"data: {source}; {len(batches[0])} batches of {BATCH_SIZE} images")
    found = of.find_learning_rate(
        OPTIMIZERS[arguments.optimizer],
        loss_fn,
        initialize(jax.random.key(arguments.seed)),
        tuple(batches),
        rates=np.geomspace(1e-4, 10, arguments.rates),
        mode="range" if arguments.range_test else "sweep",
        steps=arguments.epochs * len(batches[0]),
        chunk_size=arguments.chunk,
    )
    print(found)
    found.plot().savefig(arguments.output, dpi=110)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main()
