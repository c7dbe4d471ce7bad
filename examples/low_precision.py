"""Train in bfloat16 and keep state in 8 bits: what that costs, and what it saves.

Two networks, one for handwritten digits and a small language model of characters, are
trained with each of three optimizers, in float32 and in every narrow form that the
library has. All runs of an optimizer begin with the same weights and see the same
batches. The text is that of Python's own manual pages. Forms take turns, a tenth of
their steps at a time, so that whatever else the machine does slows all of them down.

    python examples/low_precision.py
    python examples/low_precision.py --optimizers adamw --forms float32 kahan
    python examples/low_precision.py --page docs/precision.md \\
        --output docs/images/low_precision.png
"""

import argparse
from pathlib import Path

from support import options

NAMES = (  # of the forms
    *("float32", "bfloat16", "kahan", "stochastic", "master", "split", "8-bit"),
    *("4-bit", "master, 8-bit", "split, 8-bit"),
)
TITLES = {"adamw": "AdamW", "lion": "Lion", "muon": "Muon"}
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"


def page(text):
    """The type of the option that names a page, for argparse."""
    path = Path(text)
    if not path.is_file() or END not in path.read_text().partition(BEGIN)[2]:
        raise argparse.ArgumentTypeError(
            f"must be a file with the lines {BEGIN!r} and {END!r}, found {text!r}"
        )
    options.check_writable(path)
    return path


parser = options.parser(__doc__, "low_precision.png", seed="the first one")
parser.add_argument("--epochs", type=options.positive, default=20, help="of the digits")
parser.add_argument(
    "--steps", type=options.positive, default=600, help="of the language model"
)
for option, names in (("--optimizers", [*TITLES]), ("--forms", [*NAMES])):
    parser.add_argument(option, nargs="+", choices=names, default=names, help="some")
parser.add_argument(
    "--seeds",
    type=options.positive,
    nargs=2,
    default=(5, 2),
    metavar=("DIGITS", "TEXT"),
    help="how many runs are averaged",
)
parser.add_argument("--page", type=page, help="a page to write the tables into")
if __name__ == "__main__":
    arguments = options.parse(parser)

import itertools
import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from support import datasets, manual, pictures
from support.pictures import plt

import optifunc as of

HIDDEN = 128
WIDTH = 64  # of the language model
HEADS = 4
CONTEXT = 32
SMALLEST = 1024  # parameters with fewer numbers have state that is not quantized


# --- The forms, each a dtype of the parameters and a wrapper --------------------------


class Form(NamedTuple):
    dtype: str
    wrap: object
    tolerance: float | None  # how much larger the loss may be, as a share


def eight_bits(tx):
    return of.quantized(tx, min_size=SMALLEST)


def four_bits(tx):
    return of.quantized(tx, bits=4, min_size=SMALLEST)


FORMS = {
    "float32": Form("float32", lambda tx: tx, None),
    "bfloat16": Form("bfloat16", lambda tx: tx, None),
    "kahan": Form("bfloat16", of.kahan, 0.01),
    "stochastic": Form("bfloat16", of.stochastic_rounding, 0.01),
    "master": Form("bfloat16", of.master_weights, 0.01),
    "split": Form("bfloat16", of.split_weights, 0.01),
    "8-bit": Form("float32", eight_bits, 0.02),
    "4-bit": Form("float32", four_bits, None),
    "master, 8-bit": Form(
        "bfloat16", lambda tx: of.master_weights(eight_bits(tx)), 0.02
    ),
    "split, 8-bit": Form("bfloat16", lambda tx: of.split_weights(eight_bits(tx)), 0.02),
}


def muon(steps):
    """Muon is for matrices inside the network; AdamW takes the others."""
    return of.partition(
        {
            "matrix": of.muon(falling(2e-2, steps)),
            "other": of.adamw(falling(2e-3, steps)),
        },
        lambda path, leaf: (
            "matrix" if leaf.ndim == 2 and "embedding" not in path else "other"
        ),
    )


def falling(peak, steps):
    """A learning rate that warms up and falls to 0: the last steps are small."""
    return of.schedules.warmup_cosine(peak, steps // 20, steps)


OPTIMIZERS = {
    "adamw": lambda steps: of.adamw(falling(2e-3, steps)),
    "lion": lambda steps: of.lion(falling(3e-4, steps)),
    "muon": muon,
}


# --- The networks ---------------------------------------------------------------------


class Problem(NamedTuple):
    params: dict
    batches: tuple  # arrays [steps, ...]
    held_out: tuple
    loss_fn: object


def matrix(rng, rows, columns):
    return jnp.float32(rng.normal(size=(rows, columns)) / rows**0.5)


def cross_entropy(logits, labels):
    return of.losses.cross_entropy(logits, labels)


def digits(epochs, seed):
    """A network with two hidden layers for images of 8 by 8 points."""
    rng = np.random.default_rng(seed)
    images, others = datasets.digits(8), datasets.digits(8, train=False)
    labels, held_labels = images.labels, others.labels
    flat, held = (
        np.float32(x.pixels.reshape(len(x.pixels), -1)) / 255 for x in (images, others)
    )
    steps = len(flat) // 64
    order = [rng.permutation(len(flat))[: 64 * steps] for _ in range(epochs)]
    order = np.concatenate(order).reshape(-1, 64)
    sizes = [flat.shape[1], HIDDEN, HIDDEN, 10]
    params = {
        f"layer{i}": {"kernel": matrix(rng, a, b), "bias": jnp.zeros(b)}
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    }

    def loss_fn(params, inputs, labels):
        x = inputs
        for i in range(3):
            x = x @ params[f"layer{i}"]["kernel"] + params[f"layer{i}"]["bias"]
            x = jax.nn.relu(x) if i < 2 else x
        return cross_entropy(x, labels)

    return Problem(params, (flat[order], labels[order]), (held, held_labels), loss_fn)


def text(steps, seed):
    """A transformer with one block that predicts the next character."""
    rng = np.random.default_rng(seed)
    codes = manual.characters()
    learned, others = np.split(codes, [int(0.9 * len(codes))])

    params = {
        "embedding": 0.1 * matrix(rng, 1, 128 * WIDTH).reshape(128, WIDTH),
        "position_embedding": 0.1 * matrix(rng, 1, CONTEXT * WIDTH).reshape(-1, WIDTH),
        "qkv": matrix(rng, WIDTH, 3 * WIDTH),
        "out": matrix(rng, WIDTH, WIDTH),
        "up": matrix(rng, WIDTH, 4 * WIDTH),
        "down": matrix(rng, 4 * WIDTH, WIDTH),
        "scales": jnp.ones((3, WIDTH)),
        "head_embedding": matrix(rng, WIDTH, 128),
    }
    causal = np.tril(np.ones((CONTEXT, CONTEXT), bool))

    def normalized(x, scale):
        mean_square = jnp.mean(x * x, axis=-1, keepdims=True)
        return x * jax.lax.rsqrt(mean_square + 1e-6) * scale[None, None]

    def attention(params, x):
        qkv = (x @ params["qkv"]).reshape(len(x), CONTEXT, 3, HEADS, WIDTH // HEADS)
        q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / (WIDTH // HEADS) ** 0.5
        weights = jax.nn.softmax(jnp.where(causal[None, None], scores, -1e9))
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, v)
        return mixed.reshape(len(x), CONTEXT, WIDTH) @ params["out"]

    def loss_fn(params, windows):
        inputs, labels = windows[:, :-1], windows[:, 1:]
        x = params["embedding"][inputs] + params["position_embedding"][None]
        x = x + attention(params, normalized(x, params["scales"][0]))
        hidden = normalized(x, params["scales"][1]) @ params["up"]
        x = x + jax.nn.gelu(hidden) @ params["down"]
        logits = normalized(x, params["scales"][2]) @ params["head_embedding"]
        return cross_entropy(logits.reshape(-1, 128), labels.reshape(-1))

    batches = manual.windows(learned, CONTEXT + 1, (steps, 16), rng)
    held_out = manual.windows(others, CONTEXT + 1, (256,), rng)
    return Problem(params, (batches,), (held_out,), loss_fn)


# --- Runs -----------------------------------------------------------------------------


def widened(params):
    """What is stored narrow is multiplied in float32: only storage differs."""
    return jax.tree.map(lambda p: p.astype(jnp.float32), params)


def bytes_of(tree):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


class Run(NamedTuple):
    losses: np.ndarray  # of each batch, the mean over seeds
    final: float  # of held-out data, as above
    params_bytes: float  # a parameter
    state_bytes: float
    time: float  # of a step, over float32's


class Program:
    """A form of an optimizer: some steps of it, compiled, and how long they take."""

    def __init__(self, problem, form, optimizer):
        steps = len(problem.batches[0])
        self.dtype = form.dtype
        self.tx = form.wrap(OPTIMIZERS[optimizer](steps))
        self.loss_fn = problem.loss_fn
        self.parts = min(10, steps)
        self.seconds = []
        carry, part = self.start(problem), self.part(problem, 0)
        steps = jax.jit(lambda c, b: jax.lax.scan(self.step, c, b))
        self.steps = steps.lower(carry, part).compile()

    def loss(self, params, *batch):
        return self.loss_fn(widened(params), *batch)

    def step(self, carry, batch):
        params, state = carry
        loss, grads = jax.value_and_grad(self.loss)(params, *batch)
        return of.apply_gradients(self.tx, grads, state, params), loss

    def start(self, problem):
        params = jax.tree.map(lambda p: p.astype(self.dtype), problem.params)
        return params, self.tx.init(params)

    def part(self, problem, number):
        """The batches of a tenth of the run; what is left over is not trained on."""
        length = len(problem.batches[0]) // self.parts
        own = slice(number * length, (number + 1) * length)
        return jax.tree.map(lambda x: jnp.asarray(x[own]), problem.batches)

    def timed(self, carry, batches):
        start = time.perf_counter()
        carry, losses = jax.block_until_ready(self.steps(carry, batches))
        self.seconds.append(time.perf_counter() - start)
        return carry, np.asarray(losses)


def train(make_problem, seeds, optimizer, forms):
    """A `Run` of each form."""
    problems = [make_problem(seed) for seed in seeds]
    programs = {name: Program(problems[0], FORMS[name], optimizer) for name in forms}
    losses = {name: [] for name in forms}
    finals = {name: [] for name in forms}
    for problem in problems:
        carries = {name: p.start(problem) for name, p in programs.items()}
        own = {name: [] for name in forms}
        for number in range(programs[forms[0]].parts):
            for name, program in programs.items():
                batches = program.part(problem, number)
                carries[name], found = program.timed(carries[name], batches)
                own[name].append(found)
        for name, program in programs.items():
            losses[name].append(np.concatenate(own[name]))
            params, _ = carries[name]
            finals[name].append(float(jax.jit(program.loss)(params, *problem.held_out)))
    base = np.array(programs.get("float32", programs[forms[0]]).seconds)
    runs = {}
    for name, program in programs.items():
        params, state = carries[name]
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        runs[name] = Run(
            np.mean(losses[name], axis=0),
            float(np.mean(finals[name])),
            bytes_of(params) / count,
            bytes_of(state) / count,
            float(np.median(np.array(program.seconds) / base)),
        )
    return runs


# --- What is shown --------------------------------------------------------------------


def change(runs, form):
    """How much larger the loss is than float32's, as a share; None without float32."""
    base = runs.get("float32")
    return None if base is None else runs[form].final / base.final - 1


def falls_short(runs, form):
    found, allowed = change(runs, form), FORMS[form].tolerance
    return found is not None and allowed is not None and found > allowed


def report(name, runs):
    """A row for each form: the loss beside float32's, bytes a parameter, and time."""
    for form, run in runs.items():
        share = change(runs, form)
        beside = "" if share is None else f" {100 * share:+7.2f} %"
        short = f"  falls short of {100 * (FORMS[form].tolerance or 0):.0f} %"
        print(
            f"{name:14} {form:14} loss {run.final:.4f}{beside}  bytes "
            f"{run.params_bytes:.2f} + {run.state_bytes:.2f}  time {run.time:.2f}"
            + (short if falls_short(runs, form) else ""),
            flush=True,
        )


def tables(results):
    """The Markdown tables of losses, and of bytes and times."""
    forms = list(next(iter(results.values())))

    def loss(runs, form):
        share = change(runs, form)
        if form == "float32" or share is None:
            return f"{runs[form].final:.4f}"
        text = f"{100 * share:+.1f} %"
        return f"**{text}**" if falls_short(runs, form) else text

    def cost(runs, form):
        run = runs[form]
        return f"{run.params_bytes:.1f} + {run.state_bytes:.2f}, {run.time:.2f}"

    text = {key: runs for key, runs in results.items() if key[0] == "text"}
    return "\n\n".join(
        table(forms, chosen, cell)
        for chosen, cell in ((results, loss), (text or results, cost))
    )


def table(forms, results, cell):
    heads = [f"{name}, {TITLES[optimizer]}" for name, optimizer in results]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for form in forms:
        cells = [cell(runs, form) for runs in results.values()]
        lines.append(f"| {form} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_page(path, content):
    """Put tables into the page, in place of those that it has."""
    page = path.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{content}\n\n{END}{after}")


def draw(results, path):
    """For each problem and optimizer the smoothed training losses of all forms.

    Most are the loss in float32 to within the width of a line. Only the forms that
    promise nothing have a color; the others are behind, in gray.
    """
    problems = sorted({name for name, _ in results})
    optimizers = list(dict.fromkeys(optimizer for _, optimizer in results))
    figure, axes = plt.subplots(
        len(problems),
        len(optimizers),
        figsize=(3.6 * len(optimizers) + 1.5, 3 * len(problems)),
        squeeze=False,
    )
    colors = {"float32": "black", "bfloat16": pictures.ORANGE, "4-bit": pictures.BLUE}
    entries = {}
    for (name, optimizer), runs in results.items():
        ax = axes[problems.index(name), optimizers.index(optimizer)]
        for form, run in runs.items():
            window = max(1, len(run.losses) // 25)
            count = len(run.losses) // window
            means = run.losses[: count * window].reshape(count, window).mean(1)
            steps = window * np.arange(1, count + 1)
            color = colors.get(form, "0.7")
            (line,) = ax.plot(steps, means, color=color, zorder=2 + (form in colors))
            entries[form if form in colors else "the other forms"] = line
        ax.set(title=f"{name}: {TITLES[optimizer]}", xlabel="step", yscale="log")
        ax.set_ylabel("cross-entropy (nats)")
        pictures.plain_ticks(ax.yaxis)
    figure.legend(entries.values(), entries, loc="outside right center")
    figure.suptitle("Training loss")
    pictures.save(figure, path)


def main(args):
    makers = {
        "digits": partial(digits, args.epochs),
        "text": partial(text, args.steps),
    }
    results = {}
    for (name, make), count in zip(makers.items(), args.seeds, strict=True):
        seeds = range(args.seed, args.seed + count)
        for optimizer in args.optimizers:
            runs = train(make, seeds, optimizer, args.forms)
            report(f"{name}, {optimizer}", runs)
            results[name, optimizer] = runs
    draw(results, args.output)
    print(f"saved {args.output}")
    if args.page is not None:
        write_page(args.page, tables(results))
        print(f"wrote {args.page}")


if __name__ == "__main__":
    main(arguments)
