"""What devices hold and exchange, in numbers and in pictures."""

import re
from collections import Counter

import jax
import numpy as np
from matplotlib.patches import Rectangle

from . import pictures
from .pictures import plt

SHOWN = ("embedding", "block0.qkv", "block0.down", "scale")


def held_bytes(tree):
    """How much of arrays, or of shapes with shardings, is on each device."""
    return sum(
        int(np.prod(x.sharding.shard_shape(x.shape))) * x.dtype.itemsize
        for x in jax.tree.leaves(tree)
    )


def exchanges(program):
    """How often devices exchange something in a compiled program: {kind: count}."""
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    return Counter(re.findall(rf"= .*? ({kinds})(?:-start)?\(", program))


def leaf_at(tree, path):
    for name in path.split("."):
        tree = tree[name]
    return tree


def parts_of(array):
    """The parts of an array as {(rows, columns): devices}, each side a (start, stop).

    Sides are shares of the array. Rows are the first axis that is cut, columns the
    second; axes that are not cut make no difference.
    """
    found = {}
    indices = array.sharding.devices_indices_map(array.shape)
    for device, slices in indices.items():
        sides = [
            (s.start / n if s.start else 0.0, s.stop / n if s.stop else 1.0)
            for s, n in zip(slices, array.shape, strict=True)
        ]
        found.setdefault(tuple(sides), []).append(device.id)
    cut = [i for i in range(len(array.shape)) if len({s[i] for s in found}) > 1][:2]
    whole = (0.0, 1.0)
    return {
        tuple([*(sides[i] for i in cut), whole, whole][:2]): sorted(devices)
        for sides, devices in found.items()
    }


def draw_array(ax, array, count):
    """A square cut as the array is; in each part the numbers of its devices."""
    colors = plt.get_cmap("tab10").colors
    for ((top, bottom), (left, right)), devices in parts_of(array).items():
        lightness = 0.25 if len(devices) == count else 0.6
        ax.add_patch(
            Rectangle(
                (left, top),
                right - left,
                bottom - top,
                facecolor=(*colors[devices[0]], lightness),
                edgecolor="black",
                linewidth=0.8,
            )
        )
        text = "all" if len(devices) == count else " ".join(map(str, devices))
        middle = (left + right) / 2, (top + bottom) / 2
        ax.text(*middle, text, ha="center", va="center", fontsize=9)
    ax.set(xlim=(-0.02, 1.02), ylim=(1.02, -0.02), xticks=[], yticks=[])
    ax.set_aspect("equal")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def draw_arrays(figure, trees, count):
    axes = figure.subplots(len(SHOWN), len(trees))
    for row, path in zip(axes, SHOWN, strict=True):
        for ax, (title, tree) in zip(row, trees.items(), strict=True):
            array = leaf_at(tree, path)
            draw_array(ax, array, count)
            if path == SHOWN[0]:
                ax.set_title(title, fontsize=10)
        sizes = " x ".join(map(str, array.shape))
        style = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 9}
        row[0].set_ylabel(f"{path}\n{sizes}", **style)
    figure.suptitle("Which devices hold which part", fontsize=11)


def draw_bytes(ax, trees):
    """For each device the bytes of parameters and moments."""
    # Of the two moments one is given; both lie alike.
    kilobytes = [
        held_bytes(tree) * (1 if title == "parameters" else 2) / 1024
        for title, tree in trees.items()
    ]
    colors = ["0.6", pictures.ORANGE, pictures.GREEN]
    bars = ax.barh(list(trees), kilobytes, color=colors)
    ax.bar_label(bars, [f"{n:.0f} KiB" for n in kilobytes], padding=3, fontsize=9)
    ax.set_xlim(0, 1.25 * max(kilobytes))
    ax.set(title="Memory of each device", xlabel="KiB")
    ax.grid(visible=False, axis="y")
    ax.invert_yaxis()


def draw_losses(ax, losses, others):
    ax.plot(losses.keys(), losses.values(), color="0.5", label="8 devices")
    ax.plot(
        others.keys(),
        others.values(),
        color=pictures.ORANGE,
        linestyle=(0, (2, 2)),
        linewidth=2,
        label=f"4 devices, resumed after step {min(others) - 1}",
    )
    ax.set(title="Training loss", xlabel="step", ylabel="cross-entropy (nats)")
    ax.legend()


def draw(trees, losses, others, path):
    """Save a picture of shardings, bytes and losses.

    ``trees``: {name: tree of arrays or shapes with shardings}; the losses: {step: loss}
    of a run, and of one that was resumed.
    """
    count = len(jax.tree.leaves(trees["parameters"])[0].sharding.device_set)
    figure = plt.figure(figsize=(11, 6.4))
    left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1))
    draw_arrays(left, trees, count)
    bars, curves = right.subplots(2, 1, height_ratios=(1, 2))
    draw_bytes(bars, trees)
    draw_losses(curves, losses, others)
    pictures.save(figure, path)
