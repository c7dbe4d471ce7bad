"""The classic tutorial's convolutional network on CIFAR-10, trained by two loops.

The first loop is the one that PyTorch users know, with `optifunc.optim.SGD`: a batch,
its gradient, a step. The second uses the pure `optifunc.sgd` and compiles each epoch
into one program, a `jax.lax.scan` over the batches. Both start from the same weights
and see the same batches, so their losses are equal, but their times are not.

As in the tutorial, a batch is one image. Without `--data`, the images are
scikit-learn's handwritten digits at 32x32x3. With `--recorded`, both loops start from
the weights of a recorded run of PyTorch. At this learning rate, single images amplify
rounding errors: two such runs, even two of PyTorch, agree for some hundred steps and
then slowly diverge.

    python examples/cifar10_cnn.py --data cifar-10-batches-bin
"""

from support import options

parser = options.parser(__doc__, "cifar10_cnn.png", seed="of the weights and the order")
parser.add_argument(
    "--epochs", type=options.positive, default=3, help="passes over the data"
)
parser.add_argument(
    "--batch-size", type=options.positive, default=1, help="images a step"
)
options.add_data(parser, "folder or file of CIFAR-10")
parser.add_argument(
    "--recorded",
    type=options.existing,
    help="a recorded run of PyTorch over the same images in the order of the file; "
    "start from its weights and compare the losses",
)
if __name__ == "__main__":
    arguments = options.parse(parser)

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from support import npz, pictures
from support.datasets import cifar10
from support.pictures import plt
from tqdm import tqdm

import optifunc as of
from optifunc import optim
from optifunc.losses import cross_entropy

LR = 0.01
LAYERS = {  # weights in torch's layout: (out, in) and the window of a convolution
    "conv1": (32, 3, 5, 5),
    "conv2": (32, 32, 5, 5),
    "conv3": (64, 32, 5, 5),
    "fc1": (64, 1024),
    "fc2": (10, 64),
}
LOOP, SCAN, PYTORCH = "torch-style loop", "lax.scan", "PyTorch (recorded)"
COLORS = {LOOP: pictures.SKY, SCAN: pictures.ORANGE, PYTORCH: "black"}


class Run(NamedTuple):
    losses: np.ndarray  # of each batch, [epochs, batches]
    seconds: np.ndarray | None  # of each epoch, [epochs]; None for the recorded run


def initialize(key):
    """Weights and biases drawn as `torch.nn.Conv2d` and `Linear` draw theirs."""
    params = {}
    for name, shape in LAYERS.items():
        key, weight_key, bias_key = jax.random.split(key, 3)
        bound = np.prod(shape[1:]) ** -0.5
        params[name] = {
            "weight": jax.random.uniform(
                weight_key, shape, minval=-bound, maxval=bound
            ),
            "bias": jax.random.uniform(
                bias_key, shape[:1], minval=-bound, maxval=bound
            ),
        }
    return params


def read_recorded(path):
    """The weights that a run of PyTorch began with, and the losses that it found."""
    layers = dict(zip(LAYERS, (0, 2, 4, 7, 8), strict=True))
    kinds = ("weight", "bias")
    names = [f"init.{i}.{kind}" for i in layers.values() for kind in kinds]
    arrays = npz.read_arrays(path, "step_loss", *names)
    params = {
        name: {kind: jnp.asarray(arrays[f"init.{i}.{kind}"]) for kind in kinds}
        for name, i in layers.items()
    }
    return params, Run(arrays["step_loss"], seconds=None)


def conv(layer, x):
    """A 5x5 convolution with padding 2: every 5x5 patch times the weights.

    `jax.lax.conv_general_dilated` does the same; but on CPU, where the body of a scan
    has no fast convolution, a scan over it takes ten times as long.
    """
    n, channels, height, width = x.shape
    padded = jnp.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    shifted = [
        padded[:, :, i : i + height, j : j + width] for i in range(5) for j in range(5)
    ]
    patches = jnp.stack(shifted, axis=2).reshape(n, channels * 25, height * width)
    weight = layer["weight"].reshape(-1, channels * 25)
    x = (weight @ patches).reshape(n, -1, height, width)
    return x + layer["bias"][:, None, None]


def max_pool(x):
    window = (1, 1, 2, 2)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")


def linear(layer, x):
    return x @ layer["weight"].T + layer["bias"]


def model(params, pixels):
    """[batch, 3, 32, 32] bytes to [batch, 10] logits."""
    x = pixels.astype(jnp.float32) / 255
    x = max_pool(conv(params["conv1"], x))
    x = max_pool(conv(params["conv2"], x))
    x = max_pool(conv(params["conv3"], x))
    x = x.reshape(len(x), -1)
    return linear(params["fc2"], linear(params["fc1"], x))


def loss_fn(params, pixels, labels):
    return cross_entropy(model(params, pixels), labels)


def train_with_loop(params, batches_of, epochs, progress):
    """As in PyTorch: one batch after another, the optimizer holds what changes."""
    optimizer = optim.SGD(params, lr=LR)
    losses, seconds = [], []
    for epoch in range(epochs):
        start = time.perf_counter()
        running_loss = []
        for pixels, labels in zip(*batches_of(epoch), strict=True):
            optimizer.zero_grad()
            loss = optimizer.backward(loss_fn, pixels, labels)
            optimizer.step()
            running_loss.append(loss.item())
            progress.update()
        seconds.append(time.perf_counter() - start)
        losses.append(running_loss)
    return Run(np.array(losses), np.array(seconds))


@jax.jit
def train_epoch(tx, params, state, batches):
    """All the batches, [steps, batch, ...], in one program."""

    def step(carry, batch):
        params, state = carry
        loss, grads = jax.value_and_grad(loss_fn)(params, *batch)
        return of.apply_gradients(tx, grads, state, params), loss

    (params, state), losses = jax.lax.scan(step, (params, state), batches)
    return params, state, losses


def train_with_scan(params, batches_of, epochs, progress):
    """The same training without side effects: parameters and state go in and out."""
    tx = of.sgd(lr=LR)
    state = tx.init(params)
    losses, seconds = [], []
    for epoch in range(epochs):
        start = time.perf_counter()
        params, state, running_loss = train_epoch(tx, params, state, batches_of(epoch))
        losses.append(np.asarray(running_loss))
        seconds.append(time.perf_counter() - start)
        progress.update(len(running_loss))
    return Run(np.array(losses), np.array(seconds))


def table(runs):
    """The mean loss of each epoch, and its seconds; one column a run."""
    timed = [name for name, run in runs.items() if run.seconds is not None]
    titles = [f"loss, {name}" for name in runs] + [f"seconds, {name}" for name in timed]
    lines = ["epoch  " + "  ".join(titles)]
    for epoch in range(len(runs[LOOP].losses)):
        cells = [
            f"{run.losses[epoch].mean():.6f}" if epoch < len(run.losses) else ""
            for run in runs.values()
        ]
        cells += [f"{runs[name].seconds[epoch]:.2f}" for name in timed]
        row = (cell.rjust(len(t)) for cell, t in zip(cells, titles, strict=True))
        lines.append(f"{epoch + 1:5}  " + "  ".join(row))
    return "\n".join(lines)


def smoothed(losses, batches):
    """Means over ``batches`` batches at a time."""
    losses = losses.ravel()
    whole = len(losses) // batches * batches
    return losses[:whole].reshape(-1, batches).mean(axis=1)


def draw(runs, path):
    """The losses of all runs over each other; the seconds of the epochs as bars."""
    figure, (curves, bars) = plt.subplots(
        1, 2, figsize=(10, 3.8), width_ratios=(1.8, 1)
    )
    # Equal curves lie on each other: the first is drawn wide, the next ones narrower.
    styles = {LOOP: (6, "-"), SCAN: (2.2, "-"), PYTORCH: (1.2, ":")}
    for name, (losses, _) in runs.items():
        batches = max(1, losses.size // 60)
        values = smoothed(losses, batches)
        epochs = (np.arange(len(values)) + 0.5) * batches / losses.shape[1]
        width, style = styles[name]
        curves.plot(
            epochs,
            values,
            style,
            marker="o" if len(values) == 1 else "",  # a single point makes no line
            lw=width,
            ms=2 * width + 2,
            color=COLORS[name],
            label=name,
        )
    curves.set(xlabel="epochs", ylabel="cross-entropy (nats)", title="Training loss")
    curves.legend()

    for i, name in enumerate((LOOP, SCAN)):
        epochs = np.arange(1, len(runs[name].seconds) + 1)
        bars.bar(
            epochs + 0.4 * (i - 0.5),
            runs[name].seconds,
            width=0.38,
            color=COLORS[name],
            label=name,
        )
    bars.set_title("Time of an epoch")
    bars.set(xlabel="epoch (the first with compilation)", ylabel="time (s)")
    bars.set_xticks(epochs)
    bars.grid(visible=False, axis="x")
    pictures.save(figure, path)


def main(arguments):
    with options.reading(parser, "--data"):
        images = cifar10(arguments.data)
    if arguments.batch_size > len(images.labels):
        parser.error(
            f"--batch-size: must be at most {len(images.labels)}, the images of "
            f"--data, found {arguments.batch_size}"
        )
    steps = len(images.labels) // arguments.batch_size
    print(f"data: {len(images.labels)} images, {images.source}")

    if arguments.recorded is None:
        params, recorded = initialize(jax.random.key(arguments.seed)), None
    else:
        with options.reading(parser, "--recorded"):
            params, recorded = read_recorded(arguments.recorded)
        if recorded.losses.shape[1] != steps:
            parser.error(
                f"--recorded has {recorded.losses.shape[1]} batches an epoch, "
                f"--data and --batch-size make {steps}"
            )
        batch = slice(arguments.batch_size)
        with jax.default_matmul_precision("highest"):
            loss = loss_fn(params, images.pixels[batch], images.labels[batch])
        with options.reading(parser, "--recorded"):
            npz.check_first_loss(loss, recorded.losses[0, 0])

    def batches_of(epoch):
        """The epoch's batches, pixels and labels: [steps, batch size, ...]."""
        order = np.arange(len(images.labels))
        if recorded is None:
            np.random.default_rng((arguments.seed, epoch)).shuffle(order)
        order = order[: steps * arguments.batch_size].reshape(steps, -1)
        return images.pixels[order], images.labels[order]

    runs = {}
    for name, train in {LOOP: train_with_loop, SCAN: train_with_scan}.items():
        with tqdm(
            total=arguments.epochs * steps, desc=name, unit="batch", disable=None
        ) as progress:
            runs[name] = train(params, batches_of, arguments.epochs, progress)
    if recorded is not None:
        runs[PYTORCH] = Run(recorded.losses[: arguments.epochs], seconds=None)
    print(table(runs))
    draw(runs, arguments.output)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main(arguments)
