"""Tune Adam's learning rate and betas by gradient descent through the training run.

Training is a function: from hyperparameters to the loss on validation data. `jax.grad`
differentiates it through every update of the run, because a transformation of optifunc
is a value whose numbers may be traced. Another Adam, outside, descends that gradient.

The learning rate is tuned as its logarithm and each beta as its logit: any real number
stands for a valid value, and a step means the same everywhere.

The result is compared with Adam's defaults and with the best of a grid of 81, on test
data and from starts that none of them has seen. With three numbers to tune it ends
about where the grid does; but a grid is multiplied by each number more.

    python examples/hypergradient.py --epochs 10 --outer-steps 60
"""

import argparse
import itertools
import time
from pathlib import Path
from typing import NamedTuple

import datasets
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import options
from jax.nn import sigmoid
from jax.scipy.special import logit
from tqdm import tqdm, trange

import optifunc as of

matplotlib.use("Agg")  # draws into a file; needs no screen
import matplotlib.pyplot as plt

BATCH_SIZE = 64
HIDDEN = 32
RUNS = 8  # that a validation loss is the mean of: each its own start and order
TEST_RUNS = 32
MOST_IMAGES = 2048  # of --data; the way back keeps the parameters of every update
OUTER_LR = 0.15
DEFAULT = (1e-3, 0.9, 0.999)  # lr, beta1, beta2
RATES = np.geomspace(1e-3, 1e-1, 9)
BETAS = list(itertools.product((0.8, 0.9, 0.97), (0.9, 0.99, 0.999)))
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # told apart by everyone


class Data(NamedTuple):
    images: np.ndarray  # [n, features], in [0, 1]
    labels: np.ndarray  # int32 [n]


class Runs(NamedTuple):
    """What training runs begin with and go through; the first axis counts the runs."""

    params: dict[str, np.ndarray]
    batches: np.ndarray  # indices of images, [runs, updates, batch]


class Splits(NamedTuple):
    training: Data
    validation: Data
    test: Data


def load_data(folder):
    """Three quarters of the training set to train on, a quarter for validation."""

    def read(train, fewest=1):
        if folder is None:
            found = datasets.digits(8, train=train)
        else:
            found = datasets.fashion_mnist(folder, train, fewest)
        images = found.pixels[:MOST_IMAGES].reshape(-1, found.pixels[0].size)
        return Data(images / 255, found.labels[:MOST_IMAGES])

    # Three quarters of this many are a batch.
    images, labels = read(train=True, fewest=-(-BATCH_SIZE * 4 // 3))
    cut = len(labels) * 3 // 4
    training = Data(images[:cut], labels[:cut])
    validation = Data(images[cut:], labels[cut:])
    return Splits(training, validation, read(train=False))


def draw_runs(rng, count, data, epochs):
    """Starts of a network with one hidden layer, and orders of the data."""
    size, features = data.images.shape
    params = {
        "hidden": rng.normal(scale=features**-0.5, size=(count, features, HIDDEN)),
        "output": rng.normal(scale=HIDDEN**-0.5, size=(count, HIDDEN, 10)),
    }
    orders = rng.permuted(np.tile(np.arange(size), (count, epochs, 1)), axis=-1)
    full = size // BATCH_SIZE * BATCH_SIZE  # an incomplete batch is left out
    return Runs(params, orders[..., :full].reshape(count, -1, BATCH_SIZE))


def logits(params, images):
    return jnp.tanh(images @ params["hidden"]) @ params["output"]


def loss_fn(params, data):
    return of.losses.cross_entropy(logits(params, data.images), data.labels)


def accuracy(params, data):
    return jnp.mean(jnp.argmax(logits(params, data.images), axis=1) == data.labels)


def train(tx, run, data):
    """The parameters after one run."""

    # Backward through the run, all but parameters and state is computed a second time
    # rather than kept from the first.
    @jax.checkpoint
    def step(carry, batch):
        params, state = carry
        grads = jax.grad(loss_fn)(params, Data(data.images[batch], data.labels[batch]))
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (run.params, tx.init(run.params)), run.batches)
    return params


def free(lr, *betas):
    """The hyperparameters as three numbers that may take any value, an array."""
    return jnp.array([jnp.log(lr), *(logit(jnp.asarray(beta)) for beta in betas)])


def natural(tuned):
    """The learning rate and the betas that `free` numbers stand for."""
    return jnp.exp(tuned[0]), *sigmoid(tuned[1:])


def validation_loss(tuned, runs, splits):
    """The mean over the runs, a function of the hyperparameters."""
    lr, *betas = natural(tuned)
    tx = of.adam(lr, tuple(betas))

    def loss_of(run):
        return loss_fn(train(tx, run, splits.training), splits.validation)

    return jnp.mean(jax.vmap(loss_of)(runs))


# One program: all the training runs, and the way back through them.
loss_and_hypergradient = jax.jit(jax.value_and_grad(validation_loss))


def descend(rng, splits, epochs, steps):
    """The hyperparameters after ``steps`` outer steps, and what was on the way there.

    That is, for each step, the validation loss and the learning rate and betas that it
    is of: [steps, 4].
    """
    outer = of.chain(
        of.clip_by_global_norm(1.0),  # a run that diverges has a huge gradient
        of.adam(of.schedules.cosine_annealing(OUTER_LR, steps)),
    )
    tuned = free(*DEFAULT)
    state = outer.init(tuned)
    rows = []
    progress = trange(steps, unit="step", desc="hypergradient", disable=None)
    for _ in progress:
        # New runs each time, lest the result fit a few starts and orders only.
        runs = draw_runs(rng, RUNS, splits.training, epochs)
        loss, grads = loss_and_hypergradient(tuned, runs, splits)
        rows.append([loss, *natural(tuned)])
        progress.set_postfix(loss=f"{loss:.4f}", lr=f"{rows[-1][1]:.2g}", refresh=False)
        updates, state = outer.update(grads, state, tuned)
        tuned = of.apply_updates(tuned, updates)
    return natural(tuned), np.array(rows)


def search(rng, splits, epochs):
    """The validation loss at each learning rate with each pair of betas: [9, 9]."""
    runs = draw_runs(rng, RUNS, splits.training, epochs)
    loss = jax.jit(validation_loss)
    points = [free(lr, *betas) for lr in RATES for betas in BETAS]
    progress = tqdm(points, unit="point", desc="grid", disable=None)
    losses = [loss(point, runs, splits) for point in progress]
    return np.reshape(losses, (len(RATES), len(BETAS)))


@jax.jit
def evaluate(hyperparameters, runs, splits):
    """Loss and accuracy on the test data, after each of the runs."""
    lr, *betas = hyperparameters
    tx = of.adam(lr, tuple(betas))

    def result_of(run):
        params = train(tx, run, splits.training)
        return loss_fn(params, splits.test), accuracy(params, splits.test)

    return jax.vmap(result_of)(runs)


def check(rng, splits, epochs):
    """Print the gradient at Adam's defaults beside central differences, in float64."""
    width = 1e-4
    runs = draw_runs(rng, RUNS, splits.training, epochs)
    with jax.enable_x64(True):
        tuned = free(*DEFAULT)
        gradient = loss_and_hypergradient(tuned, runs, splits)[1]
        print("                 derivative   central difference")
        for i, name in enumerate(("log lr", "logit beta1", "logit beta2")):
            step = width * jnp.eye(3)[i]
            above, _ = loss_and_hypergradient(tuned + step, runs, splits)
            below, _ = loss_and_hypergradient(tuned - step, runs, splits)
            difference = (above - below) / (2 * width)
            print(f"{name:11}  {gradient[i]:+.8e}  {difference:+.8e}")


def draw(descent, grid, path):
    """The descent of the loss, its way across the grid, and the hyperparameters."""
    steps = np.arange(len(descent))
    losses, lrs, *betas = descent.T
    plt.rcParams.update({"font.size": 9, "axes.titlesize": 10})
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    left, middle, right = axes
    style = {"linewidth": 2, "marker": "o" if len(steps) == 1 else ""}

    left.plot(steps, losses, color=BLUE, label="hypergradient", **style)
    best = np.nanmin(grid)
    label = f"best of a grid of {grid.size}"
    left.axhline(best, color="0.3", linestyle="--", linewidth=1, label=label)
    left.set(title="validation loss", xlabel="outer step", yscale="log")

    default = grid[:, BETAS.index(DEFAULT[1:])]
    middle.plot(RATES, grid, color="0.8", linewidth=1)
    middle.plot([], [], color="0.8", linewidth=1, label="grid: other betas")
    middle.plot(RATES, default, color=ORANGE, linewidth=2, label="grid: default betas")
    middle.plot(lrs, losses, ".-", color=BLUE, linewidth=1, label="hypergradient")
    middle.set(title="validation loss", xlabel="learning rate")
    middle.set(xscale="log", yscale="log")

    right.plot(steps, lrs, color=BLUE, label="learning rate", **style)
    for name, beta, color in zip((1, 2), betas, (ORANGE, GREEN), strict=True):
        label = rf"$1 - \beta_{name}$"
        right.plot(steps, 1 - beta, color=color, label=label, **style)
    right.set(title="hyperparameters", xlabel="outer step", yscale="log")

    for ax in axes:
        ax.legend(frameon=False)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def command_line():
    """The options of this program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--epochs",
        type=options.positive,
        default=10,
        help="passes over the data in each training run (default: 10)",
    )
    parser.add_argument(
        "--outer-steps",
        type=options.positive,
        default=60,
        help="updates of the hyperparameters (default: 60)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="with Fashion-MNIST's four IDX files, of which the first "
        f"{MOST_IMAGES} images are used (default: scikit-learn's digits)",
    )
    parser.add_argument(
        "--seed", type=options.seed, default=0, help="of starts and orders (default: 0)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare the first hypergradient with finite differences, in float64",
    )
    parser.add_argument(
        "--output",
        type=options.picture,
        default=Path("hypergradient.png"),
        help="where to save the picture (default: hypergradient.png)",
    )
    return parser


def main():
    parser = command_line()
    arguments = parser.parse_args()
    with options.reading(parser, "--data"):
        splits = load_data(arguments.data)
    epochs = arguments.epochs
    if arguments.check:
        check(np.random.default_rng(arguments.seed), splits, epochs)

    rng = np.random.default_rng(arguments.seed)
    start = time.perf_counter()
    tuned, descent = descend(rng, splits, epochs, arguments.outer_steps)
    descended = time.perf_counter()
    grid = search(rng, splits, epochs)
    searched = time.perf_counter()
    draw(descent, grid, arguments.output)

    before, after = descent[[0, -1], 0]
    print(f"validation loss: {before:.4f} before, {after:.4f} at the last step")
    print(f"hypergradient: {len(descent)} steps in {descended - start:.1f} s")
    print(f"grid: {grid.size} points in {searched - descended:.1f} s")
    print(f"\non {len(splits.test.labels)} test images, {TEST_RUNS} new runs each:")
    print("                    lr   beta1   beta2    loss             accuracy")
    best_lr, best_betas = np.unravel_index(np.nanargmin(grid), grid.shape)
    contenders = {
        "default": DEFAULT,
        "best of grid": (RATES[best_lr], *BETAS[best_betas]),
        "hypergradient": tuned,
    }
    runs = draw_runs(rng, TEST_RUNS, splits.training, epochs)
    for name, found in contenders.items():
        losses, accuracies = evaluate(jnp.array(found), runs, splits)
        lr, beta1, beta2 = found
        print(
            f"{name:13}  {lr:7.5f}  {beta1:6.4f}  {beta2:6.4f}  {losses.mean():.4f} "
            f"+- {losses.std() / TEST_RUNS**0.5:.4f}  {accuracies.mean():.2%}"
        )
    print(f"\npicture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main()
