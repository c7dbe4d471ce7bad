"""PyTorch's quickstart in JAX: a network with three layers on Fashion-MNIST.

It has the quickstart's two functions, `train_loop` and `test_loop`, and prints what
they print. `optifunc.optim.SGD` holds the parameters; `jax.value_and_grad` computes the
gradient.

Without `--data`, the images are scikit-learn's handwritten digits at 28x28. There are
so few of them that an epoch is twenty passes over the data.

    python examples/fashion_mlp.py --data data/FashionMNIST/raw --epochs 5
"""

from support import options

parser = options.parser(__doc__, "fashion_mlp.png", seed="of the weights and the order")
parser.add_argument(
    "--epochs", type=options.positive, default=5, help="passes over the data"
)
options.add_data(parser, "folder with the four files of Fashion-MNIST")
if __name__ == "__main__":
    arguments = options.parse(parser)

import jax
import jax.numpy as jnp
import numpy as np
from support import pictures
from support.datasets import fashion_mnist
from support.pictures import plt
from tqdm import tqdm

from optifunc import optim
from optifunc.losses import cross_entropy

LR = 1e-3
BATCH_SIZE = 64
LAYERS = {  # (out, in), as in torch
    "hidden1": (512, 28 * 28),
    "hidden2": (512, 512),
    "output": (10, 512),
}
PASSES_OVER_DIGITS = 20


class DataLoader:
    """Batches of pixels in [0, 1] and labels; in a new order each time, with a seed."""

    def __init__(self, images, passes=1, seed=None):
        self.images = images
        self.size = passes * len(images.labels)
        self.rng = None if seed is None else np.random.default_rng(seed)

    def __len__(self):
        return -(-self.size // BATCH_SIZE)

    def __iter__(self):
        order = np.arange(self.size)
        if self.rng is not None:
            self.rng.shuffle(order)
        order %= len(self.images.labels)
        for start in range(0, self.size, BATCH_SIZE):
            chosen = order[start : start + BATCH_SIZE]
            pixels = self.images.pixels[chosen].astype(np.float32) / 255
            yield pixels, self.images.labels[chosen]


def initialize(key):
    """Weights and biases drawn as `torch.nn.Linear` draws its own."""
    params = {}
    for name, shape in LAYERS.items():
        key, weight_key, bias_key = jax.random.split(key, 3)
        bound = shape[1] ** -0.5
        params[name] = {
            "weight": jax.random.uniform(
                weight_key, shape, minval=-bound, maxval=bound
            ),
            "bias": jax.random.uniform(
                bias_key, shape[:1], minval=-bound, maxval=bound
            ),
        }
    return params


def linear(layer, x):
    return x @ layer["weight"].T + layer["bias"]


def model(params, x):
    """[batch, 1, 28, 28] pixels to [batch, 10] logits."""
    x = x.reshape(len(x), -1)
    x = jax.nn.relu(linear(params["hidden1"], x))
    x = jax.nn.relu(linear(params["hidden2"], x))
    return linear(params["output"], x)


def loss_fn(params, x, y):
    return cross_entropy(model(params, x), y)


value_and_grad = jax.jit(jax.value_and_grad(loss_fn))


@jax.jit
def evaluate(params, x, y):
    """The loss, and how many labels of the batch were right."""
    logits = model(params, x)
    return cross_entropy(logits, y), jnp.sum(jnp.argmax(logits, axis=1) == y)


def train_loop(dataloader, optimizer, progress):
    losses = []
    for batch, (x, y) in enumerate(dataloader):
        loss, grads = value_and_grad(optimizer.params, x, y)
        optimizer.step(grads=grads)
        losses.append(loss.item())
        progress.update()
        if batch % 100 == 0:
            current = batch * BATCH_SIZE + len(x)
            progress.write(
                f"loss: {losses[-1]:>7f}  [{current:>5d}/{dataloader.size:>5d}]"
            )
    return losses


def test_loop(dataloader, params, progress):
    test_loss, correct = 0.0, 0
    for x, y in dataloader:
        loss, right = evaluate(params, x, y)
        test_loss += loss.item()
        correct += right.item()
    test_loss /= len(dataloader)
    accuracy = correct / dataloader.size
    figures = f"Accuracy: {100 * accuracy:>0.1f}%, Avg loss: {test_loss:>8f}"
    progress.write(f"Test Error: \n {figures} \n")
    return test_loss, accuracy


def draw(train_losses, tests, params, images, path):
    """The losses, and what the network makes of the first test images."""
    figure = plt.figure(figsize=(11, 4.7))
    # To the right there is room for the longest names of Fashion-MNIST.
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.5), wspace=0.03)

    ax = left.subplots()
    train_losses = np.array(train_losses)
    steps = np.arange(train_losses.size) / train_losses.shape[1]
    ax.plot(steps, train_losses.ravel(), color=pictures.SKY, lw=0.7, label="batch")
    ends = np.arange(1, len(tests) + 1)
    test_losses, accuracies = zip(*tests, strict=True)
    ax.plot(ends, test_losses, "o-", color=pictures.BLUE, lw=2, label="test images")
    ax.set(xlabel="epochs", ylabel="cross-entropy (nats)", title="Loss")
    ax.axhline(np.log(10), color="0.4", linestyle=":", label="guessing: ln 10 = 2.30")
    ax.legend()

    title = f"Guesses at the end; {accuracies[-1]:.1%} of all test images right"
    right.suptitle(title, fontsize=12)
    axes = right.subplots(3, 6).ravel()
    for ax in axes:
        ax.set_axis_off()
    logits = model(params, images.pixels[: len(axes)].astype(np.float32) / 255)
    for ax, image, label, guess in zip(
        axes, images.pixels, images.labels, logits.argmax(axis=1), strict=False
    ):
        ax.imshow(image[0], cmap="gray_r")
        name = images.classes[guess]
        if guess == label:
            ax.set_title(name, fontsize=8)
        else:
            title = f"{name}\nnot {images.classes[label]}"
            ax.set_title(title, fontsize=8, color=pictures.ORANGE, weight="bold")
    pictures.save(figure, path)


def main(arguments):
    with options.reading(parser, "--data"):
        train_images = fashion_mnist(arguments.data)
        test_images = fashion_mnist(arguments.data, train=False)
    passes = PASSES_OVER_DIGITS if arguments.data is None else 1
    print(f"data: {len(train_images.labels)} images, {train_images.source}")
    if passes > 1:
        print(f"an epoch is {passes} passes over them")

    train_dataloader = DataLoader(train_images, passes, arguments.seed)
    test_dataloader = DataLoader(test_images)
    optimizer = optim.SGD(initialize(jax.random.key(arguments.seed)), lr=LR)
    train_losses, tests = [], []
    steps = arguments.epochs * len(train_dataloader)
    with tqdm(total=steps, unit="batch", disable=None) as progress:
        for epoch in range(arguments.epochs):
            progress.write(f"Epoch {epoch + 1}\n-------------------------------")
            train_losses.append(train_loop(train_dataloader, optimizer, progress))
            tests.append(test_loop(test_dataloader, optimizer.params, progress))
    print("Done!")
    draw(train_losses, tests, optimizer.params, test_images, arguments.output)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main(arguments)
