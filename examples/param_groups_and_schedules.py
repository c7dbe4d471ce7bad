"""Two learning rates, two schedules, and a run that is interrupted without a trace.

This uses the stateful API, `optifunc.optim`. The lower layers (the base) and the last
one (the classifier) are two parameter groups, each with its own learning rate and its
own function of the epoch in one `LambdaLR`:

- the base waits for a third of the epochs, then learns at its rate, then at twice it;
- the classifier's learning rate shrinks by a twentieth in each epoch.

Halfway, the run is saved to a file. A new optimizer loads it and trains to the end. Its
losses equal those of the run that was never interrupted, to the last bit.

    python examples/param_groups_and_schedules.py --epochs 90
"""

from support import options

parser = options.parser(__doc__, "param_groups_and_schedules.png")
parser.add_argument(
    "--epochs",
    type=options.at_least(2),
    default=90,
    help="passes over the data; the run is saved after half of them",
)
parser.add_argument(
    "--data",
    type=options.existing,
    metavar="FOLDER",
    help="with Fashion-MNIST's four IDX files; without it scikit-learn's digits",
)
if __name__ == "__main__":
    arguments = options.parse(parser)
    checkpoint = arguments.output.with_suffix(".safetensors")
    options.check_beside(parser, checkpoint)

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from support import datasets, pictures
from support.pictures import plt
from tqdm import tqdm

from optifunc import interop, optim
from optifunc.losses import cross_entropy

BATCH_SIZE = 64
HIDDEN_SIZES = (64, 32)
GROUPS = ("base", "classifier")
COLORS = {"base": pictures.BLUE, "classifier": pictures.ORANGE}


def load_data(folder, train):
    """Images as rows of numbers in [0, 1], and their labels."""
    if folder is None:
        found = datasets.digits(8, train=train)
    else:
        fewest = BATCH_SIZE if train else 1
        found = datasets.fashion_mnist(folder, train, fewest)
    rows = found.pixels.reshape(len(found.labels), -1)
    return rows.astype(np.float32) / 255, found.labels


def initialize(key, features):
    """A network in two parts: the layers of the base, and the classifier."""
    layers = []
    for fan_in, fan_out in itertools.pairwise((features, *HIDDEN_SIZES, 10)):
        key, layer_key = jax.random.split(key)
        weight = jax.random.normal(layer_key, (fan_in, fan_out)) * (2 / fan_in) ** 0.5
        layers.append({"weight": weight, "bias": jnp.zeros(fan_out)})
    *base, classifier = layers
    return base, classifier


def logits(params, images):
    base, classifier = params
    for layer in base:
        images = jax.nn.relu(images @ layer["weight"] + layer["bias"])
    return images @ classifier["weight"] + classifier["bias"]


def loss_fn(params, images, labels):
    return cross_entropy(logits(params, images), labels)


@jax.jit
def accuracy(params, images, labels):
    return jnp.mean(jnp.argmax(logits(params, images), axis=1) == labels)


def build(base, classifier, epochs):
    """The optimizer of both groups, and the scheduler of both learning rates."""
    optimizer = optim.SGD(
        [{"params": base}, {"params": classifier, "lr": 5e-2}], lr=1e-2, momentum=0.9
    )
    third = max(1, epochs // 3)
    scheduler = optim.lr_scheduler.LambdaLR(
        optimizer, [lambda epoch: epoch // third, lambda epoch: 0.95**epoch]
    )
    return optimizer, scheduler


def train(optimizer, scheduler, epochs, data, seed, progress):
    """Train for the epochs of a range.

    Returns the loss of each batch, [epochs, batches], and each epoch's learning rates,
    [epochs, groups].
    """
    images, labels = data
    losses, rates = [], []
    for epoch in epochs:
        rates.append(scheduler.get_last_lr())
        # The order depends on the epoch alone, so there is no generator to be saved.
        order = np.random.default_rng([seed, epoch]).permutation(len(labels))
        batches = np.split(order, range(BATCH_SIZE, len(order), BATCH_SIZE))
        for batch in batches[:-1]:  # all but the last are full
            optimizer.zero_grad()
            loss = optimizer.backward(loss_fn, images[batch], labels[batch])
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
        progress.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
        progress.update()
    return np.reshape(losses, (len(epochs), -1)), np.array(rates)


def save(path, optimizer, scheduler):
    """All that the rest of the run depends on, but for the data and their order."""
    saved = {
        "params": optimizer.params,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
    }
    interop.save_safetensors(saved, path)  # unlike a pickle it holds no code


def load(path, epochs):
    """A new optimizer and a new scheduler that go on from the file."""
    saved = interop.load_safetensors(path)
    optimizer, scheduler = build(*jax.tree.map(jnp.asarray, saved["params"]), epochs)
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])
    return optimizer, scheduler


def draw(losses, resumed, rates, path):
    """The loss of both runs, above the learning rates that they were trained at."""
    epochs = np.arange(len(losses))
    saved = len(losses) - len(resumed)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9, 6), sharex=True, height_ratios=(3, 2)
    )
    whole, second = losses.mean(axis=1), resumed.mean(axis=1)
    top.plot(epochs, whole, color=pictures.SKY, linewidth=6, label="never interrupted")
    label = "loaded from the file and continued"
    marker = "o" if len(second) == 1 else ""  # a single point makes no line
    style = {"color": "black", "linewidth": 1.5, "marker": marker}
    top.plot(epochs[saved:], second, label=label, **style)
    top.set(yscale="log", ylabel="cross-entropy (nats)")
    top.set_title("Training loss", loc="left")
    pictures.plain_ticks(top.yaxis)
    for name, values in zip(GROUPS, rates.T, strict=True):
        bottom.step(
            epochs, values, where="mid", color=COLORS[name], linewidth=2, label=name
        )
    bottom.set_title("Learning rate of each group", loc="left")
    bottom.set(xlabel="epoch", ylabel="learning rate")
    for ax in (top, bottom):
        ax.axvline(saved - 0.5, color="0.5", linestyle=":", label="saved to a file")
        ax.legend()
    pictures.save(figure, path)


def main(arguments, checkpoint):
    seed, epochs, half = arguments.seed, arguments.epochs, arguments.epochs // 2

    with options.reading(parser, "--data"):
        data = load_data(arguments.data, train=True)
        test_data = load_data(arguments.data, train=False)
    base, classifier = initialize(jax.random.key(seed), data[0].shape[1])
    with tqdm(total=epochs + epochs - half, unit="epoch", disable=None) as progress:
        run = {"data": data, "seed": seed, "progress": progress}
        optimizer, scheduler = build(base, classifier, epochs)
        start, start_rates = train(optimizer, scheduler, range(half), **run)
        save(checkpoint, optimizer, scheduler)
        end, end_rates = train(optimizer, scheduler, range(half, epochs), **run)

        optimizer, scheduler = load(checkpoint, epochs)
        resumed, _ = train(optimizer, scheduler, range(half, epochs), **run)

    losses = np.concatenate([start, end])
    rates = np.concatenate([start_rates, end_rates])
    print("epoch   lr(base)  lr(classifier)    loss")
    for epoch in range(0, epochs, max(1, epochs // 9)):
        base_lr, classifier_lr = rates[epoch]
        loss = losses[epoch].mean()
        print(f"{epoch:5}  {base_lr:9.4g}  {classifier_lr:14.4g}  {loss:.4f}")
    print(f"test accuracy: {accuracy(optimizer.params, *test_data):.2%}")
    print(f"checkpoint: {checkpoint.resolve()}")
    difference = np.max(np.abs(resumed - end))
    print(f"largest difference between {end.size} losses, resumed or not: {difference}")
    draw(losses, resumed, rates, arguments.output)
    print(f"picture: {arguments.output.resolve()}")


if __name__ == "__main__":
    main(arguments, checkpoint)
