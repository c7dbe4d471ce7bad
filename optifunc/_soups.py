"""Averages of several models: of one run's checkpoints, or of several runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array, lax

from ._tree import PyTree, check_inexact, check_shapes, compute_dtype, leaf_dtype


def weighted_sum(
    trees: Sequence[PyTree], weights: Sequence[float], name: str, divisor: float = 1.0
) -> PyTree:
    """``sum_i weights[i] * trees[i] / divisor``, in the dtypes of ``trees[0]``.

    It is summed in at least float32 and rounded once.

    **Raises:** `ValueError` if the trees differ, `TypeError` for leaves that are not
    floating point or complex; ``name`` says what to call ``trees``.
    """
    for i, tree in enumerate(trees):
        check_inexact(tree, f"{name}[{i}]")
        check_shapes(tree, trees[0], (f"{name}[{i}]", f"{name}[0]"))

    def combined(*leaves: Array) -> Array:
        dtype = compute_dtype(*map(leaf_dtype, leaves))
        pairs = zip(weights, leaves, strict=True)
        total = sum(float(w) * lax.convert_element_type(x, dtype) for w, x in pairs)
        return lax.convert_element_type(total / divisor, leaf_dtype(leaves[0]))

    return jax.tree.map(combined, *trees)


def uniform_soup(models: Sequence[PyTree]) -> PyTree:
    """The mean of the parameters of several models.

    ::

        (models[0] + ... + models[n - 1]) / n

    Use it for models that were fine-tuned from the same parameters with different
    seeds and hyperparameters, or for checkpoints of one run. `greedy_soup` leaves out
    harmful models. During a run, `average_parameters` and `lawa_parameters` keep the
    mean.

    **Arguments:**

    - ``models``: trees of floating-point arrays, with the same structure and shapes.

    **Returns:** a tree in the dtypes of ``models[0]``, summed in at least float32.

    **Raises:** `ValueError` if there are no models or if they differ, `TypeError` for a
    leaf that is not floating point or complex.

    **Source:** Wortsman et al., "Model soups: averaging weights of multiple fine-tuned
    models improves accuracy without increasing inference time", 2022,
    [arXiv:2203.05482](https://arxiv.org/abs/2203.05482).
    """
    _check_count(models)
    return weighted_sum(models, [1.0] * len(models), "models", len(models))


def greedy_soup(
    models: Sequence[PyTree],
    score_fn: Callable[[PyTree], Any],
    scores: Sequence[float] | None = None,
) -> tuple[PyTree, tuple[int, ...]]:
    """The mean of those models that improve it, tried in order from the best one.

    ::

        soup = the best model
        for model in the others, the best first:
            keep it if score_fn(mean of those kept, with model) >= score_fn(soup)

    On the data that ``score_fn`` uses, the soup is never worse than the best model.
    These data should be held out, but not be the test set.

    It runs on the host and calls ``score_fn``, which may be compiled, up to twice for
    each model.

    **Arguments:**

    - ``models``: trees of floating-point arrays, with the same structure and shapes.
    - ``score_fn``: ``score_fn(params)`` returns a number, such as the accuracy on
      validation data. Higher is better: for a loss, return its negative.
    - ``scores``: the score of each model alone, if already known.

    **Returns:** the soup, a tree in the dtypes of the best model, summed in at least
    float32; and the indices of the models in it, in the order in which they were added.

    **Raises:** `ValueError` without models, if they or the number of ``scores`` differ,
    or if every score is NaN (one that is NaN counts as the worst); `TypeError` for a
    leaf that is not floating point or complex.

    **Source:** see `uniform_soup`.
    """
    _check_count(models)
    if scores is None:
        scores = [float(score_fn(model)) for model in models]
    if len(scores) != len(models):
        raise ValueError(
            "scores must have one number for each model, found "
            f"{len(scores)} for {len(models)} models"
        )
    known = [-np.inf if np.isnan(x) else float(x) for x in scores]
    if np.all(np.isnan(np.asarray(scores, np.float64))):
        raise ValueError("the score of every model is NaN; check score_fn")
    first, *rest = sorted(range(len(models)), key=lambda i: -known[i])
    kept, best = [first], known[first]
    soup = uniform_soup([models[first]])
    for i in rest:
        candidate = uniform_soup([models[j] for j in (*kept, i)])
        score = float(score_fn(candidate))
        if score >= best:  # false for NaN
            kept.append(i)
            soup, best = candidate, score
    return soup, tuple(kept)


def _check_count(models: Sequence[PyTree]) -> None:
    if not len(models):
        raise ValueError("models must hold at least one tree, found none")
