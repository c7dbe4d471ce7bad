"""Tune 44 hyperparameters at once by gradient descent through the training run.

The images were labeled by 40 people. Sixteen are careful; the others often give the
next class instead of the right one, and nobody knows who does. The labels of each
person have a weight. These 40 weights and AdamW's learning rate, two betas, and weight
decay are tuned on a hundred images whose labels were checked.

Training is a function from hyperparameters to the loss on those images. `jax.grad`
differentiates it through every update of the run, because a transformation of optifunc
is a value whose numbers may be traced. Another Adam, outside, descends that gradient.

The result is compared with random search and hill climbing, which need no gradient and
are given the same budget, with equal weights at the best learning rate of a grid, and
with training on the checked images alone. The comparison uses test images and starting
points that none of them has seen.

    python examples/hypergradient.py --epochs 10 --outer-steps 60
"""

from support import options

parser = options.parser(__doc__, "hypergradient.png", seed="of labels, starts, orders")
parser.add_argument(
    "--epochs",
    type=options.positive,
    default=10,
    help="passes over the data in each training run",
)
parser.add_argument(
    "--outer-steps",
    type=options.positive,
    default=60,
    help="updates of the hyperparameters",
)
options.add_data(
    parser, "folder with the four files of Fashion-MNIST; 2048 of its images are used"
)
parser.add_argument(
    "--check",
    action="store_true",
    help="compare the first hypergradient with finite differences, in float64",
)
if __name__ == "__main__":
    arguments = options.parse(parser)

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.nn import sigmoid
from jax.scipy.special import logit
from support import datasets, pictures
from support.pictures import plt
from tqdm import tqdm, trange

import optifunc as of

BATCH_SIZE = 64
HIDDEN = 32
PEOPLE = 40  # who labeled the training images
CAREFUL = 16  # of them
CHECKED = 100  # images that hyperparameters are tuned on
RUNS = 8  # that a validation loss is the mean of: each its own start and order
TEST_RUNS = 32
MOST_IMAGES = 2048  # of --data; the way back keeps the parameters of every update
OUTER_LR = 0.2
# What a hypergradient is counted as, in losses: it takes as long as 5 on an idle
# machine, and as 8 on a busy one.
COST = 8
# With a smaller one the first updates are nearly the signs of the gradient, and through
# a sign that changes no derivative is found.
EPS = 1e-3
RATES = np.geomspace(1e-3, 1e-1, 9)
OURS, RANDOM, CLIMBING = "hypergradient", "random search", "hill climbing"
COLORS = {OURS: pictures.BLUE, RANDOM: pictures.GREEN, CLIMBING: pictures.ORANGE}


class Data(NamedTuple):
    images: np.ndarray  # [n, features], in [0, 1]
    labels: np.ndarray  # int32 [n]


class Runs(NamedTuple):
    """What training runs begin with and go through; the first axis counts the runs."""

    params: dict[str, np.ndarray]
    batches: np.ndarray  # indices of images, [runs, updates, batch]


class Task(NamedTuple):
    training: Data  # with wrong labels
    person: np.ndarray  # who labeled each image: int32 [n]
    right: np.ndarray  # whether they were right: bool [n]; only for comparison
    validation: Data  # the checked images
    test: Data


class Hyperparameters(NamedTuple):
    """As `free` makes them, any real number stands for a valid value."""

    lr: jax.Array  # the logarithm
    betas: jax.Array  # the logits, [2]
    weight_decay: jax.Array  # the logarithm
    weights: jax.Array  # the logits, [people]


# --- The task -------------------------------------------------------------------------


def load_task(folder, seed):
    """All but `CHECKED` images of the training set to train on, with wrong labels."""

    def read(train, fewest=1):
        if folder is None:
            found = datasets.digits(8, train=train)
        else:
            found = datasets.fashion_mnist(folder, train, fewest)
        images = found.pixels[:MOST_IMAGES].reshape(-1, found.pixels[0].size)
        return Data(images / 255, found.labels[:MOST_IMAGES])

    images, labels = read(train=True, fewest=BATCH_SIZE + CHECKED)
    cut = len(labels) - CHECKED
    rng = np.random.default_rng(seed)
    person = rng.permutation(np.arange(cut, dtype=np.int32) % PEOPLE)
    right = rng.random(cut) >= shares_wrong()[person]
    given = np.where(right, labels[:cut], (labels[:cut] + 1) % 10).astype(np.int32)
    return Task(
        training=Data(images[:cut], given),
        person=person,
        right=right,
        validation=Data(images[cut:], labels[cut:]),
        test=read(train=False),
    )


def shares_wrong():
    """How likely a label of each person is wrong: the first are the careful ones."""
    careful = np.linspace(0, 0.1, CAREFUL)
    return np.concatenate([careful, np.linspace(0.6, 1, PEOPLE - CAREFUL)])


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


def loss_fn(params, data, weights=1.0):
    """The mean cross-entropy, each image with its weight."""
    losses = of.losses.cross_entropy(
        logits(params, data.images), data.labels, reduction="none"
    )
    return jnp.mean(weights * losses)


def accuracy(params, data):
    return jnp.mean(jnp.argmax(logits(params, data.images), axis=1) == data.labels)


# --- Training as a function of its hyperparameters ------------------------------------


def train(tx, weights, run, data):
    """The parameters after one run in which each image has its weight."""

    # Backward through the run, all but parameters and state is computed a second time
    # rather than kept from the first.
    @jax.checkpoint
    def step(carry, batch):
        params, state = carry
        chosen = Data(data.images[batch], data.labels[batch])
        grads = jax.grad(loss_fn)(params, chosen, weights[batch])
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (run.params, tx.init(run.params)), run.batches)
    return params


def free(lr, betas=(0.9, 0.999), weight_decay=1e-2):
    """Hyperparameters with equal weights, as numbers that may take any value."""
    return Hyperparameters(
        jnp.log(lr),
        logit(jnp.asarray(betas)),
        jnp.log(weight_decay),
        jnp.zeros(PEOPLE),
    )


def natural(tuned):
    """AdamW with these hyperparameters, and the weights of the people, from 0 to 1."""
    tx = of.adamw(
        jnp.exp(tuned.lr),
        tuple(sigmoid(tuned.betas)),
        eps=EPS,
        weight_decay=jnp.exp(tuned.weight_decay),
    )
    return tx, sigmoid(tuned.weights)


def validation_loss(tuned, runs, task):
    """The mean over the runs, a function of the hyperparameters."""
    tx, weights = natural(tuned)

    def loss_of(run):
        params = train(tx, weights[task.person], run, task.training)
        return loss_fn(params, task.validation)

    return jnp.mean(jax.vmap(loss_of)(runs))


# Each is one program: all the training runs, and the way back through them.
loss_of_runs = jax.jit(validation_loss)
loss_and_hypergradient = jax.jit(jax.value_and_grad(validation_loss))


@jax.jit
def evaluate(tuned, image_weights, runs, task):
    """Loss and accuracy on the test data, after each of the runs."""
    tx, _ = natural(tuned)

    def result_of(run):
        params = train(tx, image_weights, run, task.training)
        return loss_fn(params, task.test), accuracy(params, task.test)

    return jax.vmap(result_of)(runs)


def check(rng, task, epochs):
    """Print the gradient at the start beside central differences, in float64."""
    width = 1e-4
    runs = draw_runs(rng, RUNS, task.training, epochs)
    with jax.enable_x64(True):
        flat, restore = ravel_pytree(free(1e-2))
        gradient = loss_and_hypergradient(restore(flat), runs, task)[1]
        gradient, _ = ravel_pytree(gradient)
        names = ["log lr", "logit beta1", "logit beta2", "log decay"]
        names += [f"logit weight{i}" for i in range(PEOPLE)]
        print("                   derivative   central difference")
        # Of the weights one in four, since each takes two more losses.
        for i in (0, 1, 2, 3, *range(4, len(flat), 4)):
            step = width * jnp.eye(len(flat))[i]
            above = loss_of_runs(restore(flat + step), runs, task)
            below = loss_of_runs(restore(flat - step), runs, task)
            difference = (above - below) / (2 * width)
            print(f"{names[i]:14}  {gradient[i]:+.8e}  {difference:+.8e}")


# --- Four ways to tune ----------------------------------------------------------------


class Found(NamedTuple):
    tuned: Hyperparameters
    costs: np.ndarray  # in validation losses, each of `RUNS` runs
    losses: np.ndarray  # at that cost; of a search, the lowest so far


def descend(rng, task, epochs, steps):
    """Gradient descent on the validation loss, from equal weights."""
    outer = of.chain(
        of.clip_by_global_norm(1.0),  # a run that diverges has a huge gradient
        of.adam(of.schedules.cosine_annealing(OUTER_LR, steps)),
    )
    tuned = free(1e-2)
    state = outer.init(tuned)
    losses = []
    for _ in trange(steps, unit="step", desc=OURS, disable=None):
        # New runs each time, lest the result fit a few starts and orders only.
        runs = draw_runs(rng, RUNS, task.training, epochs)
        loss, grads = loss_and_hypergradient(tuned, runs, task)
        losses.append(float(loss))
        updates, state = outer.update(grads, state, tuned)
        tuned = of.apply_updates(tuned, updates)
    return Found(tuned, COST * np.arange(1, steps + 1), np.array(losses))


def drawn(rng):
    """Hyperparameters from all over the space, as random search tries them."""
    lr = np.exp(rng.uniform(*np.log([1e-3, 1e-1])))
    betas = 1 - np.exp(rng.uniform(*np.log([[0.02, 0.001], [0.3, 0.1]])))
    decay = np.exp(rng.uniform(*np.log([1e-3, 1])))
    weights = logit(rng.uniform(0, 1, PEOPLE).astype(np.float32))
    return free(lr, betas, decay)._replace(weights=weights)


def moved(rng, tuned, width):
    """Hyperparameters at about this distance, in each of their numbers."""
    return jax.tree.map(
        lambda x: x + np.float32(width * rng.normal(size=x.shape)), tuned
    )


def search(rng, task, epochs, trials, climb):
    """The best of so many trials, all with the same runs.

    They are drawn from all over the space, or to ``climb`` from around the best so far:
    farther off after a success and nearer after a failure, which makes one in five
    succeed.
    """
    runs = draw_runs(rng, RUNS, task.training, epochs)
    best, lowest, width = free(1e-2), np.inf, 0.3
    losses = []
    name = CLIMBING if climb else RANDOM
    for trial in trange(trials, unit="trial", desc=name, disable=None):
        if climb and trial:
            tried = moved(rng, best, width)
        else:
            tried = best if climb else drawn(rng)
        loss = float(loss_of_runs(tried, runs, task))
        if loss < lowest:
            best, lowest = tried, loss
            width *= 1.5
        else:
            width *= 1.5**-0.25
        losses.append(lowest)
    return Found(best, np.arange(1, trials + 1), np.array(losses))


def search_rates(rng, task, epochs):
    """The best of a grid of learning rates, with equal weights."""
    runs = draw_runs(rng, RUNS, task.training, epochs)
    points = [free(lr) for lr in RATES]
    progress = tqdm(points, unit="point", desc="grid", disable=None)
    losses = np.array([float(loss_of_runs(point, runs, task)) for point in progress])
    best = int(np.nanargmin(losses))
    return Found(points[best], np.array([len(points)]), losses[best : best + 1])


# --- What is shown --------------------------------------------------------------------


def train_on_checked(rng, task, epochs):
    """The test results of training on the checked images alone, for as many updates.

    This rival is favored: its learning rate is the one that is best on the test images.
    """
    updates = epochs * (len(task.person) // BATCH_SIZE)
    rounds = updates // (CHECKED // BATCH_SIZE)
    alone = task._replace(training=task.validation)
    runs = draw_runs(rng, TEST_RUNS, alone.training, rounds)
    tried = (evaluate(free(lr), jnp.ones(CHECKED), runs, alone) for lr in RATES)
    return min(tried, key=lambda result: result[0].mean())


def draw(found, results, path):
    """What each way costs and finds, the weights, and the losses on test images."""
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(12, 3.9), width_ratios=(1.15, 1, 1)
    )
    for name, color in COLORS.items():
        _, costs, losses = found[name]
        marker = "o" if len(costs) == 1 else ""  # a single point makes no line
        left.plot(costs, losses, color=color, lw=2, marker=marker, label=name)
    lowest = found["equal weights"].losses[0]
    left.axhline(lowest, color="0.35", ls="--", lw=1, label="equal weights")
    left.set(title="Loss on checked images", ylabel="cross-entropy (nats)")
    left.set(xlabel=f"cost (losses; a hypergradient counts as {COST})")
    left.set_ylim(0, 1.5 * lowest)
    left.legend(loc="upper right", ncols=2)

    for name in (CLIMBING, OURS):
        _, weights = natural(found[name].tuned)
        style = {"color": COLORS[name], "alpha": 0.85, "label": name}
        middle.plot(100 * shares_wrong(), weights, "o", ms=5, **style)
    middle.set(title="Weight of each person's labels", ylabel="weight")
    middle.set(xlabel="wrong labels of the person (%)", ylim=(-0.05, 1.25))
    middle.legend(loc="upper center", ncols=2)

    names = list(results)
    means = [losses.mean() for losses, _ in results.values()]
    errors = [losses.std() / TEST_RUNS**0.5 for losses, _ in results.values()]
    colors = [COLORS.get(name, "0.6") for name in names]
    bars = right.barh(names, means, xerr=errors, color=colors)
    shares = [f"{accuracies.mean():.1%}" for _, accuracies in results.values()]
    right.bar_label(bars, shares, padding=4)
    right.set(title="Test loss, and accuracy", xlabel="cross-entropy (nats)")
    right.set_xlim(0, 1.3 * max(means))
    right.invert_yaxis()
    right.grid(visible=False, axis="y")
    pictures.save(figure, path)


def tune(rng, task, epochs, steps):
    """What each of the four ways finds: {name: Found}; it prints how long each took."""
    ways = {
        OURS: lambda: descend(rng, task, epochs, steps),
        RANDOM: lambda: search(rng, task, epochs, COST * steps, climb=False),
        CLIMBING: lambda: search(rng, task, epochs, COST * steps, climb=True),
        "equal weights": lambda: search_rates(rng, task, epochs),
    }
    found = {}
    for name, way in ways.items():
        start = time.perf_counter()
        found[name] = way()
        seconds = time.perf_counter() - start
        print(
            f"{name:13}  cost {found[name].costs[-1]:4}  {seconds:6.1f} s  "
            f"validation loss {found[name].losses[-1]:.4f}",
            flush=True,
        )
    return found


def main(arguments):
    with options.reading(parser, "--data"):
        task = load_task(arguments.data, arguments.seed)
    epochs = arguments.epochs
    if arguments.check:
        check(np.random.default_rng(arguments.seed), task, epochs)
    wrong = 1 - task.right.mean()
    print(
        f"{len(task.person)} images to train on, {wrong:.0%} with a wrong label; "
        f"{CHECKED} checked ones to tune on"
    )

    rng = np.random.default_rng(arguments.seed)
    found = tune(rng, task, epochs, arguments.outer_steps)
    runs = draw_runs(rng, TEST_RUNS, task.training, epochs)
    results = {
        name: evaluate(tuned, natural(tuned)[1][task.person], runs, task)
        for name, (tuned, _, _) in found.items()
    }
    # What weights of people cannot reach: it takes each wrong label out.
    only_right = jnp.float32(task.right / task.right.mean())
    tuned = found[OURS].tuned
    results["checked alone"] = train_on_checked(rng, task, epochs)
    results["only right labels"] = evaluate(tuned, only_right, runs, task)

    print(f"\non {len(task.test.labels)} test images, {TEST_RUNS} new runs each:")
    for name, (losses, accuracies) in results.items():
        print(
            f"{name:17}  loss {losses.mean():.4f} "
            f"+- {losses.std() / TEST_RUNS**0.5:.4f}  accuracy {accuracies.mean():.2%}"
        )
    correlation = np.corrcoef(shares_wrong(), natural(tuned)[1])[0, 1]
    print(f"\ncorrelation of weights and shares of wrong labels: {correlation:.2f}")
    draw(found, results, arguments.output)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main(arguments)
