"""Find a learning rate by training with many at once.

`optifunc.find_learning_rate` trains one network with each of the learning rates, in one
compiled program, and says which one it suggests and why. The picture shows the final
loss of each run and how it got there; beyond the stability edge, training diverges.

    python examples/learning_rate_finder.py --output learning_rate_finder.png
"""

from support import options

parser = options.parser(__doc__, "learning_rate_finder.png", seed="of the start")
parser.add_argument("--optimizer", choices=("sgd", "adamw", "muon"), default="sgd")
parser.add_argument(
    "--rates",
    type=options.at_least(2),
    default=48,
    help="how many learning rates, from 0.0001 to 10",
)
parser.add_argument(
    "--epochs", type=options.positive, default=5, help="passes over the data of a run"
)
parser.add_argument(
    "--chunk",
    type=options.positive,
    help="how many networks to train at once; without it all",
)
parser.add_argument(
    "--range-test",
    action="store_true",
    help="one run with a growing rate in place of a sweep",
)
if __name__ == "__main__":
    arguments = options.parse(parser)

import jax
import jax.numpy as jnp
import numpy as np
from support import datasets, pictures

import optifunc as of

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


def main(arguments):
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
    pictures.save(found.plot(), arguments.output)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main(arguments)
