"""Two functions of two variables that optimizers walk through."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import matplotlib.colors
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm, PowerNorm


class Landscape(NamedTuple):
    height: Callable
    start: tuple[float, float]
    minimum: tuple[float, float]
    window: tuple[float, float, float, float]  # left, right, bottom, top
    levels: np.ndarray
    norm: matplotlib.colors.Normalize


def rosenbrock(x, y):
    """A curved valley: easy to find, hard to follow."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def rastrigin(x, y):
    """A bowl full of dents."""
    dents = jnp.cos(2 * jnp.pi * x) + jnp.cos(2 * jnp.pi * y)
    return 20 + x**2 + y**2 - 10 * dents


LANDSCAPES = {
    "rosenbrock": Landscape(
        rosenbrock,
        start=(-2.0, 2.0),
        minimum=(1.0, 1.0),
        window=(-2.4, 2.0, -1.0, 3.4),
        levels=np.geomspace(0.03, 4000, 22),
        norm=LogNorm(0.03, 4000),
    ),
    "rastrigin": Landscape(
        rastrigin,
        start=(-2.0, 3.5),
        minimum=(0.0, 0.0),
        window=(-3.5, 2.5, -1.8, 4.2),
        levels=np.linspace(0, 64, 13),
        norm=PowerNorm(0.7, 0, 64),
    ),
}
BACKGROUND = LinearSegmentedColormap.from_list(
    "slate", ["#34495e", "#7f93a8", "#d5dee6", "#fbfcfd"]
)


def draw_background(ax, landscape):
    """The height in shades, where walks start, and where the minimum is."""
    left, right, bottom, top = landscape.window
    x, y = np.meshgrid(np.linspace(left, right, 300), np.linspace(bottom, top, 300))
    height = np.maximum(landscape.height(x, y), landscape.levels[0])
    ax.contourf(
        x,
        y,
        height,
        landscape.levels,
        cmap=BACKGROUND,
        norm=landscape.norm,
        extend="both",
        antialiased=False,
    )
    ax.plot(*landscape.start, "o", color="black", markersize=5)
    ax.plot(*landscape.minimum, "*", color="gold", markersize=13, markeredgecolor="k")
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set(xticks=range(-3, 3), yticks=range(-1, 5), xlabel="x", ylabel="y")
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.grid(visible=False)
