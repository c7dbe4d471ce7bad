"""LeNet-5 on CIFAR-10, compared with a recorded run of PyTorch.

LeNet-5 has three input channels here and, as in the tutorial that this follows, no
activations. It is trained by SGD in batches of 64. With `--recorded`, training starts
from PyTorch's initial weights and takes the images in PyTorch's order. The losses of
the two runs are then the same in each epoch, to within 1e-4.

Without `--data`, the images are scikit-learn's handwritten digits at 32x32x3.

    python examples/lenet5_cifar10.py --data cifar-10-batches-bin --epochs 10
"""

from support import options

parser = options.parser(
    __doc__, "lenet5_cifar10.png", seed="of the weights and the order"
)
parser.add_argument(
    "--epochs", type=options.positive, default=20, help="passes over the data"
)
options.add_data(parser, "folder or file of CIFAR-10")
parser.add_argument(
    "--recorded",
    type=options.existing,
    help="a recorded run of PyTorch over the images of --data; start from its "
    "weights, take its order of the images, and compare the losses",
)
if __name__ == "__main__":
    arguments = options.parse(parser)

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter
from support import npz, pictures
from support.datasets import cifar10
from support.pictures import plt
from tqdm import tqdm

from optifunc import optim
from optifunc.losses import cross_entropy

LR = 0.01
BATCH_SIZE = 64
LAYERS = {  # weights in torch's layout: (out, in) and the window of a convolution
    "conv1": (6, 3, 5, 5),
    "conv2": (16, 6, 5, 5),
    "fc1": (120, 400),
    "fc2": (84, 120),
    "fc3": (10, 84),
}
OURS, PYTORCH, GUESS = pictures.ORANGE, pictures.SKY, pictures.BLUE


class Recorded(NamedTuple):
    """A run of PyTorch over ``epochs`` epochs of ``batches`` batches."""

    params: dict  # at the start
    order: np.ndarray  # of the images: int [epochs, images]
    losses: np.ndarray  # of each epoch, the mean over its batches: [epochs]
    first_loss: float  # of the first batch


class Epoch(NamedTuple):
    loss: float  # the mean over the batches
    accuracy: float  # on the test images


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
    """The recorded run: `init.K.*` are the weights of layer K of a `Sequential`."""
    layers = dict(zip(LAYERS, (0, 2, 5, 6, 7), strict=True))
    kinds = ("weight", "bias")
    names = [f"init.{i}.{kind}" for i in layers.values() for kind in kinds]
    arrays = npz.read_arrays(path, "step_loss", "order", *names)
    params = {
        name: {kind: jnp.asarray(arrays[f"init.{i}.{kind}"]) for kind in kinds}
        for name, i in layers.items()
    }
    losses = arrays["step_loss"].astype(np.float64)
    return Recorded(params, arrays["order"], losses.mean(axis=1), losses[0, 0])


def conv(layer, x):
    x = jax.lax.conv_general_dilated(x, layer["weight"], (1, 1), "VALID")
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
    x = x.reshape(len(x), -1)
    for name in ("fc1", "fc2", "fc3"):
        x = linear(params[name], x)
    return x


def loss_fn(params, pixels, labels):
    return cross_entropy(model(params, pixels), labels)


@jax.jit
def predict(params, pixels):
    return jnp.argmax(model(params, pixels), axis=1)


def predictions(params, pixels, size=500):
    """The classes of all images, ``size`` at a time."""
    parts = [pixels[i : i + size] for i in range(0, len(pixels), size)]
    return np.concatenate([predict(params, part) for part in parts])


def train(params, orders, train_images, test_images, recorded):
    """Train through the images in each of ``orders``; an `Epoch` each, and params."""
    optimizer = optim.SGD(params, lr=LR)
    train_step = optimizer.compile_step(loss_fn)  # gradient and step in one program
    starts = range(0, len(train_images.labels), BATCH_SIZE)
    epochs = []
    with tqdm(total=len(orders) * len(starts), unit="batch", disable=None) as progress:
        for epoch, order in enumerate(orders):
            losses = []
            for start in starts:
                batch = order[start : start + BATCH_SIZE]
                loss = train_step(
                    train_images.pixels[batch], train_images.labels[batch]
                )
                losses.append(loss.item())
                progress.update()
            right = predictions(optimizer.params, test_images.pixels)
            accuracy = np.mean(right == test_images.labels)
            epochs.append(Epoch(np.mean(losses), accuracy))
            line = f"epoch {epoch + 1:2d}: loss {epochs[-1].loss:.6f}"
            if recorded is not None:
                difference = epochs[-1].loss - recorded.losses[epoch]
                line += f", PyTorch {recorded.losses[epoch]:.6f} ({difference:+.1e})"
            progress.write(f"{line}, accuracy {accuracy:.1%}")
    return epochs, optimizer.params


def draw(epochs, recorded, guesses, images, path):
    """Loss and accuracy by epoch, the recorded run, and what is taken for what."""
    figure = plt.figure(figsize=(12, 4.2))
    curves, matrix = figure.subfigures(1, 2, width_ratios=(1.5, 1), wspace=0.03)
    (left, middle), right = curves.subplots(1, 2), matrix.subplots()
    numbers = np.arange(1, len(epochs) + 1)
    losses, accuracies = zip(*epochs, strict=True)
    if recorded is not None:
        values = recorded.losses[: len(epochs)]
        left.plot(
            numbers,
            values,
            marker="o" if len(values) == 1 else "",  # a single point makes no line
            color=PYTORCH,
            lw=7,
            ms=10,
            label="PyTorch (recorded)",
        )
    left.plot(numbers, losses, "o-", color=OURS, lw=2, ms=4, label="optifunc")
    left.set(title="Training loss", ylabel="cross-entropy (nats)")
    left.legend()
    middle.plot(numbers, accuracies, "o-", color=GUESS, lw=2, ms=4)
    middle.set(title="Accuracy", ylim=(0, None), ylabel="right (% of the test images)")
    middle.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=""))
    for ax in (left, middle):
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))

    counts = np.zeros((10, 10))
    np.add.at(counts, (images.labels, guesses), 1)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    mesh = right.imshow(shares, cmap="Blues", vmin=0)
    # Names would have to lie on their side below the columns: they have numbers there.
    names = [i if i == str(n) else f"{i}  {n}" for n, i in enumerate(images.classes)]
    right.set_xticks(range(10), range(10))
    right.set_yticks(range(10), names)
    right.set(xlabel="taken for (numbers as on the left)", ylabel="is")
    right.set_title("Confusion")
    right.grid(visible=False)
    matrix.colorbar(
        mesh,
        ax=right,
        format=PercentFormatter(xmax=1, decimals=0, symbol=""),
        label="share of the row (%)",
    )
    pictures.save(figure, path)


def main(arguments):
    with options.reading(parser, "--data"):
        train_images = cifar10(arguments.data)
        test_images = cifar10(arguments.data, train=False)
    print(f"data: {len(train_images.labels)} images, {train_images.source}")
    print(f"accuracy: on {len(test_images.labels)} images, {test_images.source}")

    if arguments.recorded is None:
        recorded = None
        params = initialize(jax.random.key(arguments.seed))
        rng = np.random.default_rng(arguments.seed)
        images = len(train_images.labels)
        orders = [rng.permutation(images) for _ in range(arguments.epochs)]
    else:
        with options.reading(parser, "--recorded"):
            recorded = read_recorded(arguments.recorded)
        params, orders = recorded.params, recorded.order[: arguments.epochs]
        found = (len(orders), len(train_images.labels))
        if found != (arguments.epochs, orders.shape[1]):
            parser.error(
                f"--recorded is of {recorded.order.shape[0]} epochs of "
                f"{recorded.order.shape[1]} images, asked for {arguments.epochs} "
                f"epochs of {len(train_images.labels)}"
            )
        batch = orders[0][:BATCH_SIZE]
        with jax.default_matmul_precision("highest"):
            loss = loss_fn(
                params, train_images.pixels[batch], train_images.labels[batch]
            )
        with options.reading(parser, "--recorded"):
            npz.check_first_loss(loss, recorded.first_loss)

    epochs, params = train(params, orders, train_images, test_images, recorded)
    if recorded is not None:
        losses = np.array([epoch.loss for epoch in epochs])
        farthest = np.abs(losses - recorded.losses[: len(epochs)]).max()
        print(f"farthest from PyTorch, of {len(epochs)} epochs: {farthest:.1e}")
    guesses = predictions(params, test_images.pixels)
    draw(epochs, recorded, guesses, test_images, arguments.output)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main(arguments)
