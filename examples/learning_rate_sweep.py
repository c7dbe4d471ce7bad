"""Train a network at 64 learning rates at once, with each of four optimizers.

A transformation is a value, so `jax.vmap` maps over its learning rate as over any
array: the 256 training runs are one compiled program. The picture shows the final loss
of each run against its learning rate, and how each run got there. The time is compared
with that of training the same 256 networks one after another.

    python examples/learning_rate_sweep.py --output learning_rate_sweep.png
"""

from support import options

parser = options.parser(__doc__, "learning_rate_sweep.png")
parser.add_argument(
    "--epochs", type=options.positive, default=10, help="passes over the data of a run"
)
parser.add_argument(
    "--rates",
    type=options.at_least(2),
    default=64,
    help="how many learning rates, from 0.0001 to 10",
)
options.add_data(
    parser, "CIFAR-10, a file or a folder, which is scaled down to 8x8 gray pixels"
)
if __name__ == "__main__":
    arguments = options.parse(parser)

import time

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.colors import LogNorm
from support import datasets, pictures
from support.pictures import plt
from tqdm import tqdm

import optifunc as of

BATCH_SIZE = 32
HIDDEN = 16
OPTIMIZERS = {
    "sgd(lr)": of.sgd,
    "sgd(lr, momentum=0.9)": lambda lr: of.sgd(lr, momentum=0.9),
    "rmsprop(lr)": of.rmsprop,
    "adamw(lr)": of.adamw,
}
COLORS = (pictures.BLUE, pictures.YELLOW, pictures.GREEN, pictures.ORANGE)


def load(data):
    """Images of 8x8 gray pixels, float32 [n, 64], their labels, and what they are."""
    if data is None:
        images = datasets.digits(8)
        pixels = images.pixels
    else:
        images = datasets.cifar10(data, fewest=BATCH_SIZE)
        # Small enough for many networks: the mean of each 4x4 square, of all colors.
        pixels = images.pixels.reshape(-1, 3, 8, 4, 8, 4).mean(axis=(1, 3, 5))
    pixels = (pixels.reshape(-1, 64) / 255).astype(np.float32)
    return jnp.asarray(pixels), jnp.asarray(images.labels), images.source


def make_order(images, epochs, rng):
    """Which images make up each batch: [steps, batch]."""
    steps = images // BATCH_SIZE
    orders = [rng.permutation(images)[: steps * BATCH_SIZE] for _ in range(epochs)]
    return jnp.asarray(np.reshape(orders, (epochs * steps, BATCH_SIZE)), jnp.int32)


def initialize(key):
    """Parameters of a network with one hidden layer."""
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, HIDDEN)) * (2 / 64) ** 0.5,
        "output": jax.random.normal(second, (HIDDEN, 10)) * HIDDEN**-0.5,
    }


def loss_fn(params, images, labels):
    logits = jax.nn.relu(images @ params["hidden"]) @ params["output"]
    return of.losses.cross_entropy(logits, labels)


def losses_of_run(tx, params, images, labels, order):
    """The loss before each update of one training run."""

    def step(carry, batch):
        params, state = carry
        loss, grads = jax.value_and_grad(loss_fn)(params, images[batch], labels[batch])
        return of.apply_gradients(tx, grads, state, params), loss

    return jax.lax.scan(step, (params, tx.init(params)), order)[1]


@jax.jit
def sweep(rates, *task):
    """Every optimizer at every learning rate: {optimizer: [rates, steps]}."""

    def run(lr):
        return {name: losses_of_run(o(lr), *task) for name, o in OPTIMIZERS.items()}

    return jax.vmap(run)(rates)


def compiled(function, *arguments):
    """A jitted function, ready to run, and the seconds that compiling it took."""
    start = time.perf_counter()
    program = function.lower(*arguments).compile()
    return program, time.perf_counter() - start


def train_at_once(rates, task):
    """The losses of all runs, and the seconds for compiling and for running."""
    program, compile_seconds = compiled(sweep, rates, *task)
    start = time.perf_counter()
    losses = jax.block_until_ready(program(rates, *task))
    run_seconds = time.perf_counter() - start
    # A dictionary that has been through JAX is sorted by its keys.
    return {name: losses[name] for name in OPTIMIZERS}, compile_seconds, run_seconds


def train_one_after_another(rates, task):
    """The same; one program for each optimizer, called once for each learning rate."""
    losses, compile_seconds, run_seconds = {}, 0.0, 0.0
    with tqdm(total=len(OPTIMIZERS) * len(rates), unit="run", disable=None) as progress:
        for name, optimizer in OPTIMIZERS.items():

            @jax.jit
            def run(lr, *task, optimizer=optimizer):
                return losses_of_run(optimizer(lr), *task)

            progress.set_description(f"one after another, {name}")
            program, seconds = compiled(run, rates[0], *task)
            compile_seconds += seconds
            runs = []
            start = time.perf_counter()
            for lr in rates:
                runs.append(jax.block_until_ready(program(lr, *task)))
                progress.update()
            run_seconds += time.perf_counter() - start
            losses[name] = jnp.stack(runs)
    return losses, compile_seconds, run_seconds


def final_losses(losses, steps_per_epoch):
    """The mean of the last epoch; infinite where the run went astray."""
    means = np.asarray(losses)[:, -steps_per_epoch:].mean(axis=1)
    return np.where(np.isfinite(means), means, np.inf)


def draw(losses, finals, rates, steps_per_epoch, path):
    """Left the final losses, in one panel; right all losses, a column a run."""
    figure = plt.figure(figsize=(11.5, 4.4))
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    lowest = min(final.min() for final in finals.values())
    limits = (0.8 * lowest, 3)

    ax = left.subplots()
    for color, (name, final) in zip(COLORS, finals.items(), strict=True):
        ends = np.minimum(final, 10 * limits[1])  # above the frame: the line goes up
        ax.plot(rates, ends, color=color, linewidth=2, label=name)
        best = np.argmin(final)
        ax.plot(rates[best], final[best], "o", color=color, markeredgecolor="white")
    ax.set(xscale="log", yscale="log", xlim=(rates[0], rates[-1]), ylim=limits)
    ax.set(xlabel="learning rate")
    ax.set_ylabel("training loss in the last epoch (nats)")
    pictures.plain_ticks(ax.yaxis)
    left.legend(
        loc="outside upper center",
        ncols=2,
        prop={"family": "monospace"},
    )

    axes = right.subplots(2, 2, sharex=True, sharey=True)
    colors = plt.get_cmap("magma_r").with_extremes(bad="black")
    half = (rates[1] / rates[0]) ** 0.5  # each column is about its learning rate
    edges = np.append(rates / half, rates[-1] * half)
    window = max(1, steps_per_epoch // 4)  # losses of single batches flicker
    for ax, (name, curves) in zip(axes.flat, losses.items(), strict=True):
        rows = curves.shape[1] // window
        means = np.asarray(curves)[:, : rows * window].reshape(-1, rows, window).mean(2)
        steps = window * np.arange(rows + 1)
        mesh = ax.pcolormesh(edges, steps, means.T, cmap=colors, norm=LogNorm(*limits))
        ax.set_xscale("log")
        ax.set_title(name, family="monospace")
        ax.grid(visible=False)
    for ax in axes[:, 0]:
        ax.set_ylabel("step")
    for ax in axes[1]:
        ax.set_xlabel("learning rate")
    bar = right.colorbar(mesh, ax=axes, label="training loss (nats)", pad=0.01)
    pictures.plain_ticks(bar.ax.yaxis)
    pictures.save(figure, path)


def main(arguments):
    with options.reading(parser, "--data"):
        images, labels, source = load(arguments.data)
    order = make_order(
        len(labels), arguments.epochs, np.random.default_rng(arguments.seed)
    )
    task = initialize(jax.random.key(arguments.seed)), images, labels, order
    rates = np.geomspace(1e-4, 10, arguments.rates, dtype=np.float32)
    runs = len(OPTIMIZERS) * len(rates)
    print(f"data: {source}; {len(labels)} images of 8x8 gray pixels")
    print(f"{runs} runs of {len(order)} steps each")

    losses, *at_once = train_at_once(rates, task)
    steps_per_epoch = len(order) // arguments.epochs
    finals = {n: final_losses(curves, steps_per_epoch) for n, curves in losses.items()}
    for name, final in finals.items():
        best = np.argmin(final)
        print(f"{name:<21}  lowest loss at lr={rates[best]:.2g}: {final[best]:.4f}")

    single, *in_turn = train_one_after_another(rates, task)
    # Beyond its best learning rate training is chaotic: a rounding changes the end.
    difference = 0.0
    for name, final in finals.items():
        alone = final_losses(single[name], steps_per_epoch)
        stable = slice(np.argmin(final) + 1)
        difference = max(difference, np.max(np.abs(alone / final - 1)[stable]))
    print(f"at once            {at_once[1]:6.2f} s, after compiling {at_once[0]:.2f} s")
    print(f"one after another  {in_turn[1]:6.2f} s, after compiling {in_turn[0]:.2f} s")
    print(
        f"at once is {in_turn[1] / at_once[1]:.1f} times as fast, "
        f"{sum(in_turn) / sum(at_once):.1f} times with compiling"
    )
    print(f"final losses, up to the best learning rate, agree to {difference:.1e}")
    draw(losses, finals, rates, steps_per_epoch, arguments.output)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main(arguments)
