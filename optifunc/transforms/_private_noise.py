"""Differentially private gradients: clipping single examples, and noise."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_choice, check_known_range, check_whole
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._numerics import as_scalar, increment, sqrt
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, compute_dtype, leaf_dtype, leaves_with_names
from ._noise import NoiseState, first_noise_state, standard_normal_like


def clip_per_example(
    grads: PyTree, max_norm: Any, *, by: str = "global"
) -> tuple[PyTree, Array]:
    """Clip the gradient of each example, and sum over the examples.

    ::

        sum_i g_i * min(1, max_norm / norm(g_i))

    Use ``jax.vmap`` of a gradient to get the gradients of single examples::

        grads = jax.vmap(jax.grad(loss_fn), in_axes=(None, 0))(params, examples)
        total, clipped = of.clip_per_example(grads, 1.0)

    An example whose norm is not finite counts as 0, so no example moves the sum by more
    than ``max_norm``.

    **Arguments:**

    - ``grads``: a tree of arrays with the examples along their first axis.
    - ``max_norm``: the largest norm of one example's gradient, at least 0.
    - ``by``: ``"global"``: the norm of all leaves together. ``"leaf"``: the norm of
      each leaf, with the bound ``max_norm / sqrt(number of leaves)``; ``"size"``: the
      same with ``max_norm * sqrt(size of the leaf / size of all)``. With all three, the
      global norm is at most ``max_norm``.

    **Returns:** the sum, a tree without the first axis; and the number of examples that
    were scaled down (by leaf: a tree of such numbers), int32.

    **Raises:** `ValueError` for leaves with different numbers of examples or an unknown
    ``by``.

    **Source:** Abadi et al., "Deep learning with differential privacy", 2016,
    [arXiv:1607.00133](https://arxiv.org/abs/1607.00133); by leaf: McMahan et al.,
    2018, [arXiv:1710.06963](https://arxiv.org/abs/1710.06963).
    """
    check_known_range("max_norm", max_norm, at_least=0)
    check_choice("by", by, ("global", "leaf", "size"))
    count = _number_of_examples(grads)
    treedef: Any
    leaves, treedef = jax.tree.flatten(grads)
    squares = [_squares_per_example(x) for x in leaves]
    if by == "global":
        total = sum(squares, start=jnp.zeros(count, jnp.result_type(float)))
        bounds, norms = [1.0] * len(leaves), [sqrt(total)] * len(leaves)
    else:
        sizes = [x.size if by == "size" else 1 for x in leaves]
        bounds = [(size / max(sum(sizes), 1)) ** 0.5 for size in sizes]
        norms = list(map(sqrt, squares))
    limits = [as_scalar(max_norm) * bound for bound in bounds]
    sums = [
        _clipped_sum(x, *pair) for x, *pair in zip(leaves, norms, limits, strict=True)
    ]
    counts = [
        jnp.sum(~(norm <= limit), dtype=jnp.int32)
        for norm, limit in zip(norms, limits, strict=True)
    ]
    none = jnp.zeros((), jnp.int32)
    clipped = treedef.unflatten(counts)
    if by == "global":
        clipped = counts[0] if counts else none
    return treedef.unflatten(sums), clipped


def _number_of_examples(grads: PyTree) -> int:
    named = list(leaves_with_names(grads))
    for name, leaf in named:
        if not np.ndim(leaf) or np.shape(leaf)[0] != np.shape(named[0][1])[0]:
            raise ValueError(
                "grads must have the examples along the first axis of each leaf: "
                f"found shape {np.shape(leaf)} at {name!r} and "
                f"{np.shape(named[0][1])} at {named[0][0]!r}"
            )
    return int(np.shape(named[0][1])[0]) if named else 0


def _squares_per_example(leaf: Array) -> Array:
    if jnp.iscomplexobj(leaf):
        return _squares_per_example(leaf.real) + _squares_per_example(leaf.imag)
    wide = lax.convert_element_type(leaf, compute_dtype(leaf_dtype(leaf)))
    return as_scalar(jnp.sum(wide * wide, axis=tuple(range(1, leaf.ndim))))


def _clipped_sum(leaf: Array, norms: Array, limit: Array) -> Array:
    dtype = compute_dtype(leaf_dtype(leaf))
    is_finite = jnp.isfinite(norms)
    safe = jnp.where(is_finite & (norms > 0), norms, 1)
    factors = jnp.where(is_finite, jnp.minimum(1, limit / safe), 0)
    shape = (-1, *[1] * (leaf.ndim - 1))
    kept = jnp.where(is_finite.reshape(shape), leaf, jnp.zeros_like(leaf))
    factors = lax.convert_element_type(factors.reshape(shape), dtype)
    total = jnp.sum(lax.convert_element_type(kept, dtype) * factors, axis=0)
    return lax.convert_element_type(total, leaf_dtype(leaf))


@elementwise()
def _privatized(
    updates: Array, noise: Array, *, deviation: Array, divisor: Array
) -> Array:
    return (updates + deviation * noise) / divisor


@transformation
class privatize(GradientTransformation):
    """Add the noise of DP-SGD to a sum of clipped gradients, and take the mean.

    ::

        u = (sum + N(0, (noise_multiplier * max_norm)**2)) / batch_size

    The sum is that of `clip_per_example`. DP-SGD is this before any optimizer::

        tx = of.chain(of.privatize(1.0, 1.1, batch_size=256), of.sgd(0.1))

        @jax.jit
        def step(params, state, examples):
            grads = jax.vmap(jax.grad(loss_fn), in_axes=(None, 0))(params, examples)
            total, _ = of.clip_per_example(grads, 1.0)
            updates, state = tx.update(total, state, params)
            return of.apply_updates(params, updates), state

    To sum a batch in parts, use ``of.accumulate_gradients(tx, every,
    reduction="sum")``, which adds noise once.

    **What it does and does not cover.** Each sum of clipped gradients is released by
    the Gaussian mechanism with the given noise multiplier; that is all. It does not
    compute epsilon and delta: for these, use an accountant with ``noise_multiplier``,
    the sampling rate and the number of updates. An accountant for Poisson sampling
    requires that batches are drawn that way, and that ``batch_size`` is the expected
    size, not the actual size. Data-dependent choices (hyperparameters, when to stop, a
    reported loss, statistics of batch normalization) are not covered. The noise comes
    from JAX's Threefry generator in float32, with a seed that must be secret and used
    for only one run: it is not a cryptographically secure source, and there is no
    protection against floating-point attacks.

    **Arguments:**

    - ``max_norm``: the bound to which the examples were clipped, at least 0.
    - ``noise_multiplier``: the standard deviation of the noise in units of
      ``max_norm``, at least 0.
    - ``batch_size``: the (expected) number of examples in the sum, above 0.
    - ``seed``: an integer of at least 0, which `init` reads.

    **State:** `NoiseState`.

    **Raises:** `ValueError` if a number is out of range, `TypeError` if ``seed`` is not
    an integer.

    **Source:** Abadi et al., "Deep learning with differential privacy", 2016,
    [arXiv:1607.00133](https://arxiv.org/abs/1607.00133).
    """

    max_norm: Value
    noise_multiplier: Value
    batch_size: Value
    seed: Value = 0

    def __post_init__(self) -> None:
        check_known_range("max_norm", self.max_norm, at_least=0)
        check_known_range("noise_multiplier", self.noise_multiplier, at_least=0)
        check_known_range("batch_size", self.batch_size, above=0)
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
        deviation = as_scalar(self.max_norm) * as_scalar(self.noise_multiplier)
        updates = _privatized(
            updates,
            standard_normal_like(updates, state),
            deviation=deviation,
            divisor=self.batch_size,
        )
        return updates, NoiseState(state.key, increment(state.step))
