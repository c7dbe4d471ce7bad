"""Train a small network on handwritten digits, and draw what happened.

A plain JAX network on the 1,797 digits that come with scikit-learn, trained with
AdamW under a warm-up and cosine schedule, with the gradient's norm clipped at 1.

The loss is the cross-entropy in nats: -log of the probability that the network gives to
the right label. A network that knows nothing gives 1/10 to each of the ten digits, so
its loss is ln 10 = 2.30. The loss cannot reach 0 here: labels are smoothed by 0.1, so
no network can be sure of them, and the lowest possible loss is 0.50.

    python examples/quickstart.py --epochs 30 --output digits.png
"""

from support import options

parser = options.parser(__doc__, "quickstart.png", seed="of split, start and order")
parser.add_argument(
    "--epochs", type=options.positive, default=30, help="passes over the data"
)
if __name__ == "__main__":
    arguments = options.parse(parser)

import itertools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.ticker import PercentFormatter
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from support import pictures
from support.pictures import plt
from tqdm import trange

import optifunc as of

BATCH_SIZE = 64
LAYER_SIZES = (64, 256, 256, 10)
LABEL_SMOOTHING = 0.1  # a tenth of each label is spread over all ten digits
CHANCE = float(np.log(10))  # the loss of equal chances for all ten digits, in nats


class Digits(NamedTuple):
    images: np.ndarray  # float32 [n, 64], in [0, 1]
    labels: np.ndarray  # int32 [n]


class Record(NamedTuple):
    epoch: int
    loss: float  # mean over the epoch's training batches, in nats
    accuracy: float  # on the test digits
    lr: float  # of the next update


def load_data(seed):
    """The digits: four fifths to train on, one fifth to test on."""
    pixels, labels = load_digits(return_X_y=True)
    images, labels = (pixels / 16).astype(np.float32), labels.astype(np.int32)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    return Digits(train_images, train_labels), Digits(test_images, test_labels)


def batches(digits, rng):
    """One epoch in a new order; the last batch, if incomplete, is left out."""
    order = rng.permutation(len(digits.labels))
    for start in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
        chosen = order[start : start + BATCH_SIZE]
        yield Digits(digits.images[chosen], digits.labels[chosen])


def initialize(key):
    """The parameters of a fully connected network: a list of layers."""
    layers = []
    for fan_in, fan_out in itertools.pairwise(LAYER_SIZES):
        key, layer_key = jax.random.split(key)
        kernel = jax.random.normal(layer_key, (fan_in, fan_out)) * (2 / fan_in) ** 0.5
        layers.append({"kernel": kernel, "bias": jnp.zeros(fan_out)})
    return layers


def logits(params, images):
    *hidden, last = params
    for layer in hidden:
        images = jax.nn.relu(images @ layer["kernel"] + layer["bias"])
    return images @ last["kernel"] + last["bias"]


def loss_fn(params, digits):
    """The cross-entropy with smoothed labels, averaged over the batch."""
    return of.losses.cross_entropy(
        logits(params, digits.images), digits.labels, label_smoothing=LABEL_SMOOTHING
    )


@jax.jit
def train_step(tx, params, state, digits):
    """One update. The transformation is an argument like any other: a value."""
    loss, grads = jax.value_and_grad(loss_fn)(params, digits)
    params, state = of.apply_gradients(tx, grads, state, params)
    return params, state, loss


@jax.jit
def accuracy(params, digits):
    return jnp.mean(jnp.argmax(logits(params, digits.images), axis=1) == digits.labels)


def train(epochs, seed):
    """Train from scratch; returns the curves as a list with one `Record` an epoch."""
    train_digits, test_digits = load_data(seed)
    rng = np.random.default_rng(seed)
    steps = epochs * (len(train_digits.labels) // BATCH_SIZE)

    params = initialize(jax.random.key(seed))
    lr = of.schedules.warmup_cosine(3e-3, warmup_steps=steps // 10, total_steps=steps)
    tx = of.chain(of.clip_by_global_norm(1.0), of.adamw(lr=lr))
    state = tx.init(params)

    curves = []
    progress = trange(epochs, unit="epoch", disable=None)
    for epoch in progress:
        losses = []
        for digits in batches(train_digits, rng):
            params, state, loss = train_step(tx, params, state, digits)
            losses.append(loss)
        record = Record(
            epoch=epoch + 1,
            loss=float(np.mean(losses)),
            accuracy=float(accuracy(params, test_digits)),
            lr=float(of.current_hyperparameters(tx, state)["lr"]),
        )
        curves.append(record)
        progress.set_postfix(
            loss=f"{record.loss:.4f}", accuracy=f"{record.accuracy:.2%}"
        )
    return curves


def lowest_loss():
    """That of a network that gives to each digit its share of the smoothed label."""
    shares = np.full(10, LABEL_SMOOTHING / 10)
    shares[0] += 1 - LABEL_SMOOTHING
    return float(-np.sum(shares * np.log(shares)))


def draw(curves, path):
    """Save a picture of the curves: loss, test accuracy and learning rate."""
    epochs = [record.epoch for record in curves]
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2))
    panels = {
        "cross-entropy (nats)": [record.loss for record in curves],
        "right (% of the test digits)": [record.accuracy for record in curves],
        "learning rate": [record.lr for record in curves],
    }
    colors = (pictures.ORANGE, pictures.BLUE, pictures.GREEN)
    for ax, color, (label, values) in zip(axes, colors, panels.items(), strict=True):
        marker = "o" if len(values) == 1 else ""  # a single point makes no line
        ax.plot(epochs, values, color=color, linewidth=2, marker=marker)
        ax.set(xlabel="epoch", ylabel=label)
    loss, right, rate = axes
    loss.set(title="Training loss", ylim=(0, 1.1 * max(CHANCE, curves[0].loss)))
    for height, note in ((CHANCE, "guessing"), (lowest_loss(), "lowest possible")):
        loss.axhline(height, color="0.4", linestyle=":")
        text = f"{note}: {height:.2f}"
        loss.text(epochs[-1], height - 0.03, text, ha="right", va="top")
    right.set_title("Test accuracy")
    right.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=""))
    rate.set_title("Learning rate of the next step")
    pictures.save(figure, path)


def main(arguments):
    start = time.perf_counter()
    curves = train(arguments.epochs, arguments.seed)
    seconds = time.perf_counter() - start
    draw(curves, arguments.output)
    print(f"trained {len(curves)} epochs in {seconds:.1f} s")
    print(
        f"training loss: {curves[-1].loss:.4f} nats of cross-entropy "
        f"(guessing has ln 10 = {CHANCE:.4f}; "
        f"the lowest with smoothed labels is {lowest_loss():.4f})"
    )
    print(f"test accuracy: {curves[-1].accuracy:.2%} (guessing has 10 %)")
    print(f"curves: {arguments.output.resolve()}")


if __name__ == "__main__":
    main(arguments)
