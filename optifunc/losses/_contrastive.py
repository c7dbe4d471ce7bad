"""Losses for which examples of a batch are alike."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from .._checks import check_choice
from .._numerics import Scalar
from ._arguments import as_floats, check_number
from ._embedding import cosine_similarity
from ._labels import as_integers
from ._reduction import Reduction, reduce
from ._softplus import softplus


def ntxent_loss(
    input: ArrayLike,
    target: ArrayLike,
    temperature: Scalar = 0.07,
    reduction: Reduction = "mean",
) -> Array:
    """Normalized, temperature-scaled cross-entropy of pairs: NT-Xent, SimCLR's loss.

    ::

        s[i, j] = cosine_similarity(x[i], x[j]) / temperature
        loss[i, j] = -log(exp(s[i, j]) / (exp(s[i, j]) + sum_k exp(s[i, k])))

    for each ordered pair with the same label, where ``k`` runs over the examples with
    other labels. (Other examples with the same label are not in the denominator.)

    **Arguments:**

    - ``input``: embeddings, floats of shape (N, D).
    - ``target``: integers of shape (N,), equal for examples that should be alike.
    - ``temperature``: a number above 0.
    - ``reduction``: ``"none"``, ``"mean"`` over the pairs or ``"sum"``.

    **Returns:** for ``"none"``, an array (N, N) that is 0 where two are not a pair;
    otherwise a scalar; in the dtype of ``input``. The mean over no pairs is NaN.

    **Raises:** `ValueError` for other shapes, a ``temperature`` that is not above 0 or
    an unknown ``reduction``; `TypeError` if ``input`` is not of a float dtype or
    ``target`` not of an integer one.

    **Source:** Chen et al., "A simple framework for contrastive learning of visual
    representations", 2020, [arXiv:2002.05709](https://arxiv.org/abs/2002.05709).
    """
    check_choice("reduction", reduction, ("none", "mean", "sum"))
    check_number("temperature", temperature, above=0)
    dtype, (x,) = as_floats(input=input)
    labels = as_integers("target", target)
    if x.ndim != 2:
        raise ValueError(f"input must be of shape (N, D), found {x.shape}")
    if labels.shape != x.shape[:1]:
        raise ValueError(f"target must be of shape {x.shape[:1]}, found {labels.shape}")
    similarity = cosine_similarity(x[:, None], x[None], dim=-1) / temperature
    is_alike = labels[:, None] == labels[None]
    is_pair = is_alike & ~jnp.eye(len(x), dtype=bool)
    others = jnp.where(is_alike, -jnp.inf, similarity)
    has_others = jnp.any(~is_alike, 1, keepdims=True)
    total = jax.nn.logsumexp(jnp.where(has_others, others, 0), 1, keepdims=True)
    losses = jnp.where(is_pair & has_others, softplus(total - similarity), 0)
    if reduction == "mean":
        return (jnp.sum(losses) / jnp.sum(is_pair, dtype=x.dtype)).astype(dtype)
    return reduce(losses, reduction).astype(dtype)
