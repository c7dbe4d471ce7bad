"""Gradient noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_known_range, check_whole
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment, sqrt
from .._state import Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree


class NoiseState(NamedTuple):
    """State of `add_noise` and of `privatize`.

    **Fields:**

    - ``key``: uint32 [2], the key of the whole run.
    - ``step``: int32 [], updates done so far.
    """

    key: Shared
    step: Shared


@elementwise()
def with_noise(updates: Array, noise: Array, *, deviation: Array) -> Array:
    """Updates plus standard noise times a deviation."""
    return updates + deviation * noise


def _standard_normal(key: Array, leaf: Any) -> Array:
    """Noise in float32 for any dtype of the leaf, so that it is the same for all."""
    if not jnp.iscomplexobj(leaf):
        return jax.random.normal(key, np.shape(leaf), jnp.float32)
    parts = jax.random.normal(key, (2, *np.shape(leaf)), jnp.float32)
    return lax.complex(parts[0], parts[1])


def first_noise_state(seed: Value) -> NoiseState:
    """The state of a transformation that draws noise, before the first update."""
    # Raw data, not a typed key, so that it can be saved like any other array.
    key = jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))
    return NoiseState(key, jnp.zeros((), jnp.int32))


def standard_normal_like(tree: PyTree, state: NoiseState) -> PyTree:
    """Noise of variance 1 for each leaf, different in every step."""
    key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
    leaves, treedef = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.fold_in(key, state.step), len(leaves))
    return jax.tree.unflatten(treedef, map(_standard_normal, keys, leaves))


@transformation
class add_noise(GradientTransformation):
    """Add Gaussian noise that fades: ``u = g + N(0, eta / (1 + t)**gamma)``.

    ``t`` counts the updates from 0. Both parts of a complex element get noise of that
    variance. The noise depends only on the seed, the step and a leaf's position and
    shape, not on its dtype.

    **Arguments:**

    - ``eta``: the variance at the first update, at least 0.
    - ``gamma``: how fast it decreases, at least 0.
    - ``seed``: an integer of at least 0, which `init` reads.

    **State:** `NoiseState`.

    **Raises:** `ValueError` if a number is out of range, `TypeError` if ``seed`` is not
    an integer, and at `update` for a sparse leaf.

    **Source:** Neelakantan et al., "Adding gradient noise improves learning for very
    deep networks", 2015, [arXiv:1511.06807](https://arxiv.org/abs/1511.06807).
    """

    eta: Value
    gamma: Value = 0.55
    seed: Value = 0

    def __post_init__(self) -> None:
        check_known_range("eta", self.eta, at_least=0)
        check_known_range("gamma", self.gamma, at_least=0)
        check_whole("seed", self.seed, at_least=0)

    def init(self, params: PyTree) -> NoiseState:
        return first_noise_state(self.seed)

    def update(
        self,
        updates: PyTree,
        state: NoiseState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, NoiseState]:
        noise = standard_normal_like(updates, state)
        fading = jnp.log1p(as_scalar(state.step)) * as_scalar(self.gamma)
        deviation = sqrt(as_scalar(self.eta) * jnp.exp(-fading))
        updates = with_noise(updates, noise, deviation=deviation)
        return updates, NoiseState(state.key, increment(state.step))
