"""Compare optimizers on a parabola, and watch them walk through two landscapes.

The experiment that most tutorials of `torch.optim` begin with: 1,000 points of
y = x^2 with noise, a network with one hidden layer of 20 units, 12 epochs, and the
losses of SGD, Momentum, RMSprop and Adam in one picture. Any other optimizer of the
library can join in.

    python examples/optimizer_comparison.py
    python examples/optimizer_comparison.py --optimizers nadam muon lbfgs
    python examples/optimizer_comparison.py --optimizers all --landscape

`--data` takes a run recorded in PyTorch (points, order of the batches, initial weights
and losses, as an .npz file), repeats it, and says how far the losses differ.
"""

from support import options

OTHERS = (
    *("nesterov", "adagrad", "adadelta", "adamw", "adamax", "nadam", "radam", "asgd"),
    *("adafactor", "muon", "sparse_adam", "rprop", "lbfgs"),
)
LANDSCAPE_FILES = ("landscape_rosenbrock.png", "landscape_rastrigin.png")
parser = options.parser(
    __doc__, "optimizer_comparison.png", seed="of noise, start and order"
)
parser.add_argument(
    "--epochs", type=options.positive, default=12, help="passes over the points"
)
parser.add_argument(
    "--optimizers",
    nargs="+",
    default=[],
    metavar="NAME",
    choices=[*OTHERS, "all"],
    help=f"to compare with the four of the tutorial: {', '.join(OTHERS)}, or all",
)
parser.add_argument(
    "--data", type=options.existing, help="a recorded PyTorch run to repeat (.npz)"
)
parser.add_argument(
    "--landscape",
    action="store_true",
    help="also draw the paths over Rosenbrock's and Rastrigin's functions: "
    f"{', '.join(LANDSCAPE_FILES)} and landscape.gif, beside the picture",
)
if __name__ == "__main__":
    arguments = options.parse(parser)
    if arguments.landscape:
        for file in (*LANDSCAPE_FILES, "landscape.gif"):
            options.check_beside(parser, arguments.output.with_name(file))

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.patheffects import withStroke
from PIL import Image, ImageSequence
from support import npz, pictures
from support.landscapes import LANDSCAPES, draw_background
from support.pictures import plt
from support.sparse import sparsify
from tqdm import tqdm

import optifunc as of

POINTS = 1000
BATCH_SIZE = 32
HIDDEN = 20
MOST_COLUMNS = 6  # of panels


# --- The optimizers, each a function of its learning rate ----------------------------


def sparse_adam(lr=0.01):
    return of.chain(sparsify(), of.sparse_adam(lr, betas=(0.9, 0.99)))


def muon(lr=0.01):
    """Muon is for matrices; Adam takes the biases."""
    return of.partition(
        {"matrix": of.muon(lr, weight_decay=0.0), "other": of.adam(lr)},
        lambda path, leaf: "matrix" if leaf.ndim == 2 else "other",
    )


TUTORIAL = {
    "sgd": lambda lr=0.01: of.sgd(lr),
    "momentum": lambda lr=0.01: of.sgd(lr, momentum=0.8),
    "rmsprop": lambda lr=0.01: of.rmsprop(lr, alpha=0.9),
    "adam": lambda lr=0.01: of.adam(lr, betas=(0.9, 0.99)),
}
OPTIMIZERS = TUTORIAL | {
    "nesterov": lambda lr=0.01: of.sgd(lr, momentum=0.8, nesterov=True),
    "adagrad": lambda lr=0.05: of.adagrad(lr),
    "adadelta": lambda lr=1.0: of.adadelta(lr),
    "adamw": lambda lr=0.01: of.adamw(lr, betas=(0.9, 0.99)),
    "adamax": lambda lr=0.01: of.adamax(lr),
    "nadam": lambda lr=0.01: of.nadam(lr),
    "radam": lambda lr=0.01: of.radam(lr),
    "asgd": lambda lr=0.05: of.asgd(lr),
    "adafactor": lambda lr=0.02: of.adafactor(lr),
    "muon": muon,
    "sparse_adam": sparse_adam,
    "rprop": lambda lr=0.001: of.rprop(lr),
    "lbfgs": lambda lr=1.0: of.lbfgs(lr, max_iter=4, line_search_fn="strong_wolfe"),
}

# These two compare gradients of successive steps, so each step must see all points.
FULL_BATCH = ("rprop", "lbfgs")


# --- The parabola ---------------------------------------------------------------------


class Problem(NamedTuple):
    x: jax.Array  # [n, 1]
    y: jax.Array  # [n, 1]
    order: np.ndarray  # [epochs, n], which point comes when
    params: dict  # of the network, before training


def make_problem(epochs, seed):
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 1, POINTS, dtype=np.float32)[:, None]
    y = x**2 + 0.1 * rng.standard_normal(x.shape, np.float32)
    order = np.stack([rng.permutation(POINTS) for _ in range(epochs)])

    def layer(fan_in, fan_out):
        """Uniform within 1 / sqrt(fan_in), as PyTorch initializes its layers."""
        bound = fan_in**-0.5
        kernel = rng.uniform(-bound, bound, (fan_in, fan_out))
        bias = rng.uniform(-bound, bound, fan_out)
        return {"kernel": jnp.float32(kernel), "bias": jnp.float32(bias)}

    params = {"hidden": layer(1, HIDDEN), "output": layer(HIDDEN, 1)}
    return Problem(jnp.asarray(x), jnp.asarray(y), order, params)


RECORDED = (
    *("x", "y", "order"),
    *("init.0.weight", "init.0.bias", "init.2.weight", "init.2.bias"),
    *(f"{name}.step_loss" for name in TUTORIAL),
)


def recorded_problem(recording, epochs):
    """The points, order and weights that a PyTorch run had."""

    def layer(name):
        kernel = recording[f"init.{name}.weight"].T  # PyTorch has the outputs first
        return {
            "kernel": jnp.asarray(kernel),
            "bias": jnp.asarray(recording[f"init.{name}.bias"]),
        }

    return Problem(
        jnp.asarray(recording["x"]),
        jnp.asarray(recording["y"]),
        recording["order"][:epochs].astype(np.int32),
        {"hidden": layer("0"), "output": layer("2")},
    )


def predict(params, x):
    hidden = jax.nn.relu(
        x @ params["hidden"]["kernel"] + params["hidden"]["bias"][None]
    )
    return hidden @ params["output"]["kernel"] + params["output"]["bias"][None]


def mean_squared_error(params, x, y):
    return of.losses.mse_loss(predict(params, x), y)


@jax.jit
def train_step(tx, params, state, x, y):
    """One update. All optimizers are called alike: each takes what it needs."""

    def loss_fn(params):
        return mean_squared_error(params, x, y)

    loss, grads = jax.value_and_grad(loss_fn)(params)
    extra = {"value": loss, "value_fn": loss_fn}
    params, state = of.apply_gradients(tx, grads, state, params, **extra)
    return params, state, loss


def train(tx, problem, full_batch, progress):
    """The loss before each step, [epochs, steps], and the trained parameters."""
    x, y, order, params = problem
    state = tx.init(params)
    curve = []
    for epoch in order:
        losses = []
        for start in range(0, len(epoch), BATCH_SIZE):
            batch = slice(None) if full_batch else epoch[start : start + BATCH_SIZE]
            params, state, loss = train_step(tx, params, state, x[batch], y[batch])
            losses.append(loss)
        curve.append(losses)
        progress.update()
    return np.asarray(curve), params


def draw_comparison(curves, fits, problem, recorded, path):
    """Each optimizer has its losses and, below them, its fit; all others are behind."""
    columns = min(len(curves), MOST_COLUMNS)
    rows = -(-len(curves) // columns)
    size = (2.75 * columns + 0.3, 4.4 * rows)
    figure = plt.figure(figsize=size)
    noise = float(np.mean((problem.y - problem.x**2) ** 2))
    for row, part in enumerate(np.atleast_1d(figure.subfigures(rows, 1))):
        names = list(curves)[row * columns : (row + 1) * columns]
        axes = part.subplots(
            *(2, columns),
            sharex="row",
            sharey="row",
            squeeze=False,
            height_ratios=(1.5, 1),
        )
        for name, (losses, points) in zip(names, axes.T, strict=False):
            draw_losses(losses, name, curves, recorded, noise)
            draw_fit(points, name, fits, problem)
        for ax in axes[:, len(names) :].flat:
            ax.remove()
        axes[0, 0].set_ylabel("mean squared error")
        axes[1, 0].set_ylabel("y")
    pictures.save(figure, path, dpi=100)


def draw_losses(ax, name, curves, recorded, noise):
    """The loss of each step, and the mean of each epoch; of the others the means."""
    for other, curve in curves.items():
        middles = np.arange(len(curve)) + 0.5
        if other != name:
            ax.plot(middles, curve.mean(axis=1), color=pictures.BEHIND, linewidth=1)
    curve = curves[name]
    middles = np.arange(len(curve)) + 0.5
    time = np.arange(curve.size) / curve.shape[1]
    ax.plot(time, curve.ravel(), color=pictures.SKY, alpha=0.6, linewidth=0.7)
    marker = "o" if len(curve) == 1 else ""  # a single point makes no line
    style = {"color": pictures.BLUE, "linewidth": 2, "marker": marker}
    ax.plot(middles, curve.mean(axis=1), label="optifunc", **style)
    if name in recorded:
        means = recorded[name].mean(axis=1)
        style = {"color": pictures.ORANGE, "markerfacecolor": "white", "ms": 5}
        ax.plot(middles, means, "o", label="PyTorch", **style)
        ax.legend(loc="upper right", fontsize=8)
    ax.axhline(noise, color="0.3", linestyle=":", linewidth=1)
    ax.text(0, 0.93 * noise, "noise of the data", color="0.3", fontsize=8, va="top")
    ax.set(title=name, xlabel="epoch", yscale="log", ylim=(noise / 2, 0.4))
    pictures.plain_ticks(ax.yaxis)


def draw_fit(ax, name, fits, problem):
    """The points, and what has been learned from them."""
    x = problem.x[:, 0]
    ax.plot(x, problem.y[:, 0], ".", color=pictures.BEHIND, markersize=2)
    ax.plot(x, fits[name], color=pictures.BLUE, linewidth=2)
    ax.set(xlabel="x", ylim=(-0.35, 1.35))


def compare(names, problem, recorded, path):
    """Train with each of the optimizers; print and draw how they fared."""
    curves, fits = {}, {}
    print(f"{'optimizer':<12}  last epoch  all points" + "  PyTorch's" * bool(recorded))
    with tqdm(
        total=len(names) * len(problem.order), unit="epoch", disable=None
    ) as progress:
        for name in names:
            progress.set_description(name)
            tx = OPTIMIZERS[name]()
            curve, params = train(tx, problem, name in FULL_BATCH, progress)
            curves[name], fits[name] = curve, predict(params, problem.x)
            final = float(mean_squared_error(params, problem.x, problem.y))
            line = f"{name:<12}  {curve[-1].mean():10.5f}  {final:10.5f}"
            if name in recorded:
                difference = np.abs(curve - recorded[name]).max()
                line += (
                    f"  {recorded[name][-1].mean():9.5f}"
                    f"  (each of {curve.size} losses within {difference:.1e})"
                )
            progress.write(line)
    draw_comparison(curves, fits, problem, recorded, path)
    print(f"losses: {path.resolve()}")


# --- The landscapes -------------------------------------------------------------------


OUTLINE = [withStroke(linewidth=3, foreground="white")]
STEPS = 500
RATES = np.geomspace(1e-5, 10, 128, dtype=np.float32)
FRAMES = 60


@jax.jit(static_argnums=(0, 1))
def paths(build, height, start):
    """Where the optimizer is before each step, for all `RATES` at once."""

    def height_at(point):
        return height(point[0, 0], point[0, 1])

    def walk(lr):
        tx = build(lr)

        def step(carry, _):
            point, state = carry
            value, grad = jax.value_and_grad(height_at)(point)
            new = of.apply_gradients(
                tx, grad, state, point, value=value, value_fn=height_at
            )
            return new, (point[0], value)

        # A matrix of one row, so that Muon moves it as well.
        point = jnp.asarray([start])
        return jax.lax.scan(step, (point, tx.init(point)), length=STEPS + 1)[1]

    return jax.vmap(walk)(RATES)


def score(walks, heights, landscape):
    """How low the last tenth of each walk is; infinite for one that leaves the map."""
    left, right, bottom, top = landscape.window
    x, y = np.moveaxis(np.asarray(walks), -1, 0)
    inside = (left < x) & (x < right) & (bottom < y) & (y < top)
    ends = np.asarray(heights)[:, -STEPS // 10 :].mean(axis=1)
    return np.where(inside.all(axis=1), ends, np.inf)


def explore(names):
    """The path of each optimizer through each landscape, at its best learning rate."""
    found = {}
    with tqdm(
        total=len(names) * len(LANDSCAPES), unit="path", disable=None
    ) as progress:
        for title, landscape in LANDSCAPES.items():
            found[title] = {}
            for name in names:
                progress.set_description(f"{title}, {name}")
                walks, heights = paths(
                    OPTIMIZERS[name], landscape.height, landscape.start
                )
                best = int(np.argmin(score(walks, heights, landscape)))
                found[title][name] = np.asarray(walks[best])
                progress.write(
                    f"{title:<10}  {name:<12}  lr {RATES[best]:.1e}"
                    f"  ends at height {heights[best, -1]:.1e}"
                )
                progress.update()
    return found


def draw_paths(title, walks, path):
    """A panel for each optimizer; the paths of the others are behind, in gray."""
    columns = min(len(walks), 2 if len(walks) <= 4 else MOST_COLUMNS)
    rows = -(-len(walks) // columns)
    figure, axes = plt.subplots(
        *(rows, columns),
        figsize=(2.9 * columns, 3 * rows + 0.4),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for name, ax in zip(walks, axes.flat, strict=False):
        draw_background(ax, LANDSCAPES[title])
        for other, walk in walks.items():
            if other != name:
                ax.plot(*walk.T, color="0.35", linewidth=0.6, alpha=0.6)
        style = {"color": pictures.ORANGE, "path_effects": OUTLINE}
        ax.plot(*walks[name].T, linewidth=1.6, **style)
        ax.plot(*walks[name][-1], marker="o", **style)
        ax.set_title(name)
        ax.label_outer()
    for ax in axes.flat[len(walks) :]:
        ax.remove()
    figure.suptitle(f"{title.capitalize()}: {STEPS} steps at the best learning rate")
    pictures.save(figure, path, dpi=100)


def animate(found, path):
    """Both landscapes side by side, slow at first and faster later on.

    There are as many rows as it takes to have few paths in each.
    """
    names = list(next(iter(found.values())))
    most = len(pictures.COLORS)
    groups = [names[i : i + most] for i in range(0, len(names), most)]
    figure = plt.figure(figsize=(8, 4.4 * len(groups)))
    lines = []
    parts = np.atleast_1d(figure.subfigures(len(groups), 1))
    for part, group in zip(parts, groups, strict=True):
        axes = part.subplots(1, 2)
        for ax, (title, walks) in zip(axes, found.items(), strict=True):
            draw_background(ax, LANDSCAPES[title])
            ax.set_title(title.capitalize(), fontsize=10)
            for name, color in zip(group, pictures.COLORS, strict=False):
                style = {"color": color, "path_effects": OUTLINE}
                (line,) = ax.plot([], [], linewidth=1.4, label=name, **style)
                (dot,) = ax.plot([], [], marker="o", **style)
                lines.append((walks[name], line, dot))
        entries = axes[1].get_legend_handles_labels()
        part.legend(*entries, loc="outside lower center", ncols=6, fontsize=8)
    caption = figure.suptitle("step 0", fontsize=9, family="monospace")

    def show(step):
        caption.set_text(f"step {step:>3}")
        for walk, line, dot in lines:
            line.set_data(*walk[: step + 1].T)
            dot.set_data(*walk[step : step + 1].T)

    steps = np.unique(np.rint(STEPS * np.linspace(0, 1, FRAMES) ** 2).astype(int))
    FuncAnimation(figure, show, steps).save(path, PillowWriter(fps=12), dpi=80)
    plt.close(figure)
    shrink(path)


def shrink(path):
    """Save an animation again: one palette for all, of each frame only what is new."""
    with Image.open(path) as animation:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(animation)]
    palette = frames[-1].quantize(255)
    first, *rest = [
        frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames
    ]
    first.save(
        path,
        save_all=True,
        append_images=rest,
        optimize=True,
        duration=[80] * len(rest) + [2000],
        loop=0,
    )


# --- The command ----------------------------------------------------------------------


def main(arguments):
    asked = OTHERS if "all" in arguments.optimizers else arguments.optimizers
    names = list(dict.fromkeys([*TUTORIAL, *asked]))

    recorded = {}
    if arguments.data is None:
        problem = make_problem(arguments.epochs, arguments.seed)
    else:
        with options.reading(parser, "--data"):
            recording = npz.read_arrays(arguments.data, *RECORDED)
        problem = recorded_problem(recording, arguments.epochs)
        for name in TUTORIAL:
            recorded[name] = recording[f"{name}.step_loss"][: arguments.epochs]
        if len(problem.order) < arguments.epochs:
            parser.error(f"--epochs: only {len(problem.order)} were recorded")
    compare(names, problem, recorded, arguments.output)

    if arguments.landscape:
        found = explore(names)
        for title, walks in found.items():
            path = arguments.output.with_name(f"landscape_{title}.png")
            draw_paths(title, walks, path)
            print(f"paths: {path.resolve()}")
        path = arguments.output.with_name("landscape.gif")
        animate(found, path)
        print(f"animation: {path.resolve()}")


if __name__ == "__main__":
    main(arguments)
