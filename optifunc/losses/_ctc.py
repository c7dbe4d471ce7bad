"""Connectionist temporal classification."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from .._checks import check_integer
from ._arguments import as_floats, check_values, is_traced
from ._labels import as_integers, evaluated, in_range, nan_unless
from ._reduction import Reduction, reduce
from ._softplus import softplus

# The logarithm of a probability of 0: finite, so that no difference of two is NaN, and
# below any that a network outputs. A sum of 1e8 of them is still finite in float32.
_IMPOSSIBLE = -1e30


def ctc_loss(
    log_probs: ArrayLike,
    targets: ArrayLike,
    input_lengths: ArrayLike,
    target_lengths: ArrayLike,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
) -> Array:
    """The negative log-likelihood of label sequences, summed over their alignments.

    ::

        loss = -log sum_{a aligned with target} prod_t exp(log_probs[t, a[t]])

    An alignment ``a`` has a class for each of the ``input_lengths`` frames: the labels
    of the target in order, each repeated one or more times, with any number of blanks
    before, after and between them, and at least one between equal labels.

    **Arguments:**

    - ``log_probs``: floating-point log-probabilities of shape (T, N, C), or (T, C) for
      one sample.
    - ``targets``: integers in [0, C) other than ``blank``, of shape (N, S), padded with
      any numbers; or all sequences concatenated, of shape (sum of ``target_lengths``,).
    - ``input_lengths``, ``target_lengths``: integers in [0, T] and [0, S] of shape
      (N,), or () for one sample.
    - ``blank``: the class of the blank.
    - ``reduction``: ``"none"``, ``"mean"`` or ``"sum"``.
    - ``zero_infinity``: whether a target that has no alignment (because it is too long
      for its input) costs 0 instead of infinity.

    **Returns:** for ``"none"``, the losses of shape (N,), or () for one sample; for
    ``"mean"``, the mean of the losses, each divided by the length of its target, or by
    1 for an empty one; for ``"sum"``, their sum. The dtype is that of ``log_probs``.

    **Gradient:** the derivative of this formula. For ``log_probs`` from `log_softmax`,
    the gradient with respect to the logits equals torch's. With respect to
    ``log_probs`` themselves, torch's is right only if they come from `log_softmax`.
    Where a loss is infinite, the gradient is 0.

    **Accuracy:** likelihoods are scaled by the largest one at each frame, so in float32
    the loss is accurate to rounding for any T: the relative error is 1.3e-7 for T =
    512, and 3e-5 for the gradient, compared to torch's 1e-6 and 2e-3.

    **Under vmap** over samples, pad the targets and pass each sample's with shape (1,
    S): one-dimensional targets must have the length ``target_lengths``, without
    padding.

    **Speed:** with concatenated ``targets`` and traced ``target_lengths``, S is only
    known to be at most their sum; pass padded targets instead.

    **Raises:** `TypeError` for other dtypes; `ValueError` for other shapes, labels or
    lengths out of range, or an unknown ``reduction``. Under `jit`, where labels and
    lengths cannot be checked, those out of range make the loss NaN, and in some frames
    its gradient.

    **Source:** A. Graves, S. Fernandez, F. Gomez and J. Schmidhuber, *Connectionist
    Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural
    Networks*, ICML 2006.
    """
    dtype, (log_p,) = as_floats(log_probs=log_probs)
    if log_p.ndim not in (2, 3):
        raise ValueError(
            f"log_probs must be of shape (T, N, C) or (T, C), found {log_p.shape}"
        )
    is_batch = log_p.ndim == 3
    if not is_batch:
        log_p = log_p[:, None]
    frames, samples, classes = log_p.shape
    check_integer("blank", blank, at_least=0)
    if blank >= classes:
        raise ValueError(f"blank must be in [0, {classes}), found {blank}")
    input_lengths = _lengths("input_lengths", input_lengths, is_batch, samples)
    target_lengths = _lengths("target_lengths", target_lengths, is_batch, samples)
    _check_within("input_lengths", input_lengths, frames)
    labels, is_whole = _padded(as_integers("targets", targets), target_lengths)
    if labels.shape[0] != samples:
        raise ValueError(
            f"targets must be of shape ({samples}, S), or of one dimension with all "
            f"sequences one after the other, found {labels.shape}"
        )
    longest = labels.shape[1]
    _check_within("target_lengths", target_lengths, longest)

    def is_label_or_padding(labels: Array) -> Array:
        is_padding = jnp.arange(longest)[None] >= target_lengths[:, None]
        return is_padding | (in_range(labels, classes) & (labels != blank))

    if not is_traced(target_lengths):
        expected = f"in [0, {classes}) and not the blank, {blank}"
        check_values("targets", labels, is_label_or_padding, expected)
    is_valid = (
        is_whole
        & _is_within(input_lengths, frames)
        & _is_within(target_lengths, longest)
        & is_label_or_padding(labels).all(1)
    )
    log_likelihoods = _log_likelihoods(
        log_p,
        jnp.where(in_range(labels, classes), labels, 0),
        input_lengths,
        target_lengths,
        blank,
    )
    is_impossible = log_likelihoods < _IMPOSSIBLE / 2
    losses = jnp.where(is_impossible, 0 if zero_infinity else jnp.inf, -log_likelihoods)
    # One frame's gradient is enough to notice, and takes no time.
    losses = nan_unless(is_valid, losses, log_p[:1], (0, 2))
    if reduction == "mean":
        losses = losses / jnp.maximum(target_lengths, 1).astype(losses.dtype)
    return reduce(losses if is_batch else losses[0], reduction).astype(dtype)


def _lengths(name: str, value: ArrayLike, is_batch: bool, samples: int) -> Array:
    lengths = as_integers(name, value)
    if lengths.shape != (samples,) and (is_batch or lengths.shape != ()):
        expected = f"({samples},)" if is_batch else "()"
        raise ValueError(f"{name} must be of shape {expected}, found {lengths.shape}")
    with evaluated(lengths):
        return lengths.reshape(samples)


def _is_within(lengths: Array, longest: int) -> Array:
    return (lengths >= 0) & (lengths <= longest)


def _check_within(name: str, lengths: Array, longest: int) -> None:
    expected = f"in [0, {longest}]"
    check_values(name, lengths, lambda n: _is_within(n, longest), expected)


def _padded(targets: Array, lengths: Array) -> tuple[Array, Array]:
    """Each sequence in a row, and whether the lengths add up to the total.

    Rows of concatenated sequences are as long as the longest sequence or, if that is
    traced, as all together; each sequence is followed by the next ones.
    """
    if targets.ndim == 2:
        return targets, jnp.array(True)
    if targets.ndim != 1:
        raise ValueError(
            f"targets must be of one or two dimensions, found shape {targets.shape}"
        )
    longest = total = targets.size
    if not is_traced(lengths):
        _check_within("target_lengths", lengths, total)
        known = np.asarray(lengths)
        if known.sum() != total:
            raise ValueError(
                f"targets must be as long as target_lengths add up to, {known.sum()}, "
                f"found {total}"
            )
        longest = int(known.max(initial=0))
    with evaluated(targets, lengths):
        begin = jnp.cumsum(lengths) - lengths
        index = begin[:, None] + jnp.arange(longest)[None]
        return targets.at[index].get(mode="clip"), jnp.sum(lengths) == total


@partial(jax.jit, static_argnames="blank")
def _log_likelihoods(
    log_probs: Array,
    labels: Array,
    input_lengths: Array,
    target_lengths: Array,
    blank: int,
) -> Array:
    """The logarithm of the summed probability of all alignments of each sample.

    The state of a sample is the position of an alignment in its target: ``on_blank[k]``
    is after k labels, ``on_label[k]`` is on label k. The carry holds the logarithms of
    their likelihoods so far, divided by ``exp(scale)``.
    """
    frames = log_probs.shape[0]
    dtype = log_probs.dtype
    log_probs = jnp.maximum(log_probs, _IMPOSSIBLE)
    # Frames last: whole rows of them are gathered, and scattered by the gradient, which
    # is faster on a CPU than single numbers.
    by_class = log_probs.transpose(1, 2, 0)
    by_label = jax.vmap(
        lambda rows, index: rows.at[index].get(mode="promise_in_bounds")
    )(by_class, labels)
    # From one label to the next without a blank, unless they are equal.
    is_other = labels != jnp.pad(labels, ((0, 0), (1, 0)))[:, :-1]

    def behind(on_blank: Array, on_label: Array) -> Array:
        """Everything that has just left the previous label, with or without a blank."""
        edge = ((0, 0), (1, 0))
        return _logaddexp(
            on_blank, jnp.pad(on_label, edge, constant_values=_IMPOSSIBLE)
        )

    def step(
        carry: tuple[Array, Array, Array, Array], frame: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array, Array, Array], None]:
        on_blank, on_label, scale, lost = carry
        time, of_blank, of_label = frame
        arrived = behind(on_blank, on_label)
        entered = jnp.where(is_other, arrived[:, :-1], on_blank[:, :-1])
        is_frame = (time < input_lengths)[:, None]
        on_label = jnp.where(
            is_frame, of_label + _logaddexp(on_label, entered), on_label
        )
        on_blank = jnp.where(is_frame, of_blank[:, None] + arrived, on_blank)
        # Held constant, the scale cancels in the derivative.
        largest = lax.stop_gradient(
            jnp.maximum(on_blank.max(1), on_label.max(1, initial=_IMPOSSIBLE))
        )
        # Kahan's sum: after 1000 frames, a plain one would have lost the last digit.
        summand = largest - lost
        total = scale + summand
        lost = (total - scale) - summand
        return (
            on_blank - largest[:, None],
            on_label - largest[:, None],
            total,
            lost,
        ), None

    # Computed from a frame's inputs, so that it varies over the same mesh axes.
    like = by_label.sum(2) + input_lengths[:, None].astype(dtype)
    nowhere = jnp.full_like(like, _IMPOSSIBLE)
    at_start = jnp.pad(nowhere, ((0, 0), (1, 0)))  # behind 0 labels
    zero = jnp.zeros_like(like.sum(1))
    (on_blank, on_label, scale, _), _ = lax.scan(
        step,
        (at_start, nowhere, zero, zero),
        (jnp.arange(frames), log_probs[:, :, blank], by_label.transpose(2, 0, 1)),
    )
    at_end = jnp.take_along_axis(
        behind(on_blank, on_label), target_lengths[:, None], 1, mode="clip"
    )
    return scale + at_end[:, 0]


@jax.custom_jvp
def _logaddexp(a: Array, b: Array) -> Array:
    """``log(exp(a) + exp(b))`` of finite numbers."""
    return jnp.maximum(a, b) + softplus(-jnp.abs(a - b))


@_logaddexp.defjvp
def _logaddexp_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    # The shares add up to 1, and do not contain the sum's rounding error.
    share = lax.logistic(primals[0] - primals[1])
    return _logaddexp(*primals), share * tangents[0] + (1 - share) * tangents[1]
