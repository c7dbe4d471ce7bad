"""Kourkoutas-beta."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_choice, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import (
    first_moment,
    increment,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like, zeros_of_shape
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import (
    PyTree,
    check_real,
    check_shapes,
    compute_dtype,
    leaf_dtype,
    squared_norm,
)
from ..wrappers._selection import Mask, chosen_values, like, static_choice
from ._assemble import assemble
from ._factory import factory

CORRECTIONS = ("none", "beta2max", "exact")
# The name of each leaf's layer: a tree of names, or a function of (path, leaf).
Layers: TypeAlias = PyTree | Callable[[str, Any], str]


class ScaleByKourkoutasState(NamedTuple):
    """State of `scale_by_kourkoutas`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    - ``grad_ema``: a number for each parameter, the average of its layer's norms.
    - ``weight_sum``: a number for each parameter, the sum of the weights of the squares
      so far; None unless ``bias_correction`` is ``"exact"``.
    - ``max_exp_avg_sq``: the decayed maximum of ``exp_avg_sq``; None without ``decay``.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    grad_ema: NonNegative
    weight_sum: NonNegative | None
    max_exp_avg_sq: NonNegative | None


@leafwise(outputs=6)
def _kourkoutas(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    grad_ema: Array,
    weight_sum: Array | None,
    max_exp_avg_sq: Array | None,
    norm: Array,
    params: Array | None,
    *,
    weight1: Array,
    least_weight2: Array,
    spread: Array,
    weight_norm: Array,
    correction1: Array,
    correction2: Array,
    is_warm: Array,
    kept: Array,
    eps: Array,
    tiny_spike: Array,
    tiny_denom: Array,
    max_ratio: Array,
) -> tuple[Array | None, ...]:
    grad_ema = first_moment(grad_ema, norm, weight_norm)
    ratio = norm / (grad_ema + tiny_spike)
    weight2 = least_weight2 + spread * jnp.where(is_warm > 0, ratio / (1 + ratio), 0.5)
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2)
    if weight_sum is not None:
        weight_sum = first_moment(weight_sum, jnp.ones_like(weight_sum), weight2)
        correction2 = weight_sum
    square = exp_avg_sq
    if max_exp_avg_sq is not None:
        square = max_exp_avg_sq = jnp.maximum(kept * max_exp_avg_sq, exp_avg_sq)
    denominator = sqrt(square / correction2) + eps
    if params is not None:
        mean = jnp.sum(jnp.abs(params)) / max(params.size, 1)
        denominator += tiny_denom * jnp.maximum(mean, 1)
    direction = jnp.clip(exp_avg / correction1 / denominator, -max_ratio, max_ratio)
    return direction, exp_avg, exp_avg_sq, grad_ema, weight_sum, max_exp_avg_sq


def _check_layer(path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"layers must consist of names, found {value!r} at {path!r}")
    return value


@transformation
class scale_by_kourkoutas(GradientTransformation):
    """Adam's direction, whose second moment forgets faster where gradients jump.

    The rule: see `kourkoutas`.

    **Arguments:**

    - ``betas``, ``eps``, ``beta2_min``, ``alpha``, ``tiny_spike``, ``tiny_denom``,
      ``decay``, ``max_ratio``, ``adaptive_tiny``, ``bias_correction``,
      ``warmup_steps``, ``layers``: see `kourkoutas`.

    **State:** `ScaleByKourkoutasState`.

    **Raises:** what `kourkoutas` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8
    beta2_min: Value = 0.9
    alpha: Value = 0.9
    tiny_spike: Value = 1e-8
    tiny_denom: Value = 1e-8
    decay: Value | None = None
    max_ratio: Value | None = None
    adaptive_tiny: bool = static(default=False)
    bias_correction: str = static(default="none")
    warmup_steps: int = static(default=0)
    layers: Any = static(default=None)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("beta2_min", self.beta2_min, at_least=0, below=1)
        check_range("alpha", self.alpha, at_least=0, below=1)
        check_range("tiny_spike", self.tiny_spike, above=0)
        check_range("tiny_denom", self.tiny_denom, at_least=0)
        if self.decay is not None:
            check_range("decay", self.decay, at_least=0, at_most=1)
        if self.max_ratio is not None:
            check_range("max_ratio", self.max_ratio, above=0)
        check_choice("bias_correction", self.bias_correction, CORRECTIONS)
        check_integer("warmup_steps", self.warmup_steps, at_least=0)
        if self.layers is not None:
            choice = static_choice(self.layers, _check_layer)
            object.__setattr__(self, "layers", choice)

    def init(self, params: PyTree) -> ScaleByKourkoutasState:
        check_real(params, ("kourkoutas", "parameters"))
        self._names(params)

        def numbers() -> PyTree:
            return jax.tree.map(
                lambda p: zeros_of_shape(p, (), compute_dtype(leaf_dtype(p))), params
            )

        return ScaleByKourkoutasState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            grad_ema=numbers(),
            weight_sum=numbers() if self.bias_correction == "exact" else None,
            max_exp_avg_sq=None if self.decay is None else zeros_like(params),
        )

    def _names(self, tree: PyTree) -> list[Any]:
        """The name of each leaf's layer; by default, each leaf is a layer."""
        if self.layers is None:
            return list(range(len(jax.tree.leaves(tree))))
        return chosen_values(self.layers, tree, "layers", _check_layer)

    def _norms(self, updates: PyTree) -> PyTree:
        """The norm of the layer's gradients for each leaf."""
        names, totals = self._names(updates), defaultdict(list)
        leaves = jax.tree.leaves(updates)
        for name, leaf in zip(names, leaves, strict=True):
            totals[name].append(squared_norm(leaf))
        dtype = compute_dtype(*(x.dtype for x in leaves))
        norms = {
            name: sqrt(sum((x.astype(dtype) for x in own), jnp.zeros((), dtype)))
            for name, own in totals.items()
        }
        return like(updates, [norms[name] for name in names])

    def update(
        self,
        updates: PyTree,
        state: ScaleByKourkoutasState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByKourkoutasState]:
        check_real(updates, ("kourkoutas", "gradients"))
        check_shapes(updates, state.exp_avg, ("updates", "exp_avg"))
        if self.adaptive_tiny:
            params = require_params(params, updates, "kourkoutas")
        beta1, beta2 = self.betas
        step = increment(state.step)
        corrects = self.bias_correction != "none"
        updates, *trees = _kourkoutas(
            updates,
            *state[1:],
            self._norms(updates),
            params if self.adaptive_tiny else None,
            weight1=1 - beta1,
            least_weight2=1 - beta2,
            spread=beta2 - self.beta2_min,
            weight_norm=1 - self.alpha,
            correction1=one_minus_power(beta1, step) if corrects else 1.0,
            correction2=one_minus_power(beta2, step) if corrects else 1.0,
            is_warm=step > self.warmup_steps,
            kept=0.0 if self.decay is None else self.decay,
            eps=self.eps,
            tiny_spike=self.tiny_spike,
            tiny_denom=self.tiny_denom,
            max_ratio=jnp.inf if self.max_ratio is None else self.max_ratio,
        )
        return updates, ScaleByKourkoutasState(step, *trees)


@factory
def kourkoutas(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    beta2_min: Hyperparameter = 0.9,
    alpha: Hyperparameter = 0.9,
    tiny_spike: Hyperparameter = 1e-8,
    tiny_denom: Hyperparameter = 1e-8,
    decay: Hyperparameter | None = None,
    max_ratio: Hyperparameter | None = None,
    adaptive_tiny: bool = False,
    bias_correction: str = "none",
    warmup_steps: int = 0,
    layers: Layers | None = None,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Kourkoutas-beta: Adam, whose second moment forgets faster where gradients jump.

    ::

        n = ||g||                                             (of the layer)
        e = alpha * e + (1 - alpha) * n
        r = n / (e + tiny_spike)
        b = betas[1] - (betas[1] - beta2_min) * r / (1 + r)
        m = betas[0] * m + (1 - betas[0]) * g
        v = b * v + (1 - b) * g^2
        w = max(decay * w, v)                                 (with decay), else  w = v
        d = (m / c1) / (sqrt(w / c2) + eps)
        u = -lr * (clip(d, -max_ratio, max_ratio) + weight_decay * p)

    A steady layer has ``r = 1``, and the decay rate halfway between ``beta2_min`` and
    ``betas[1]``; the rate falls when the norm rises above its average. The corrections
    ``c1`` and ``c2`` are 1 by default, so the first steps are short.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: the decay rate of the mean, and the largest one of the mean square,
      each in [0, 1).
    - ``eps``: added to the root.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``beta2_min``: the smallest decay rate of the mean square, in [0, 1).
    - ``alpha``: the decay rate of the average norm, in [0, 1).
    - ``tiny_spike``: added to the average norm.
    - ``tiny_denom``: with ``adaptive_tiny``, added to the root, times the parameter's
      mean size or 1, whichever is larger.
    - ``decay``: the decay rate of the largest mean square, in [0, 1]; None: use the
      current one, as in Adam. 1 is AMSGrad's rule.
    - ``max_ratio``: the bound on each element's direction; None: no bound.
    - ``adaptive_tiny``: use ``tiny_denom``.
    - ``bias_correction``: ``"none"``; ``"beta2max"``: ``c1`` and ``c2`` as in Adam,
      with ``betas[1]``; ``"exact"``: with the product of the rates that were used.
    - ``warmup_steps``: the number of updates for which the rate is held halfway.
    - ``layers``: a tree of names, or a function of ``(path, leaf)``: leaves with the
      same name are a layer with a common norm. None: each leaf is a layer.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the count may be arrays or schedules.

    **State:** `ScaleByKourkoutasState`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing where there is decay or ``adaptive_tiny``; `TypeError` for complex
    parameters, sparse gradients, and a layer that is not a string.

    **Source:** Kassinos, "Kourkoutas-beta: A Sunspike-Driven Adam Optimizer with Desert
    Flair", 2025, [arXiv:2508.12996](https://arxiv.org/abs/2508.12996).
    """
    return assemble(
        scale_by_kourkoutas(
            betas,
            eps,
            beta2_min,
            alpha,
            tiny_spike,
            tiny_denom,
            decay,
            max_ratio,
            adaptive_tiny,
            bias_correction,
            warmup_steps,
            layers,
        ),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
