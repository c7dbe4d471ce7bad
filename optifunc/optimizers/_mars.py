"""MARS."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_choice, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import first_moment, increment, one_minus_power, second_moment, sqrt
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, check_shapes, leaves_with_names
from ..linalg._newton_schulz import orthogonalize
from ..transforms._scaling import negate
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._options import check_option

_TYPES = ("mars-adamw", "mars-lion", "mars-shampoo")


class ScaleByMarsState(NamedTuple):
    """State of `scale_by_mars`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's corrected gradients, from 0 and not
      debiased.
    - ``exp_avg_sq``: the same for their squares; None unless ``mars_type`` is
      ``"mars-adamw"``.
    - ``last_grad``: the last gradient, initially 0; None unless ``is_approx``.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative | None, Keeps("betas", 1)]
    last_grad: PerParameter | None


# A complex leaf is a pair of real ones, with a common norm.
@elementwise(outputs=3, static=("mars_type", "ns_dtype"))
def _mars(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array | None,
    last_grad: Array,
    *,
    correction: Array,
    weight1: Array,
    weight2: Array,
    scale: Array,
    eps: Array,
    mars_type: str,
    ns_dtype: Any,
) -> tuple[Array, Array, Array | None]:
    corrected = updates + correction * (updates - last_grad)
    corrected /= jnp.maximum(sqrt(jnp.sum(corrected * corrected)), 1)
    exp_avg = first_moment(exp_avg, corrected, weight1)
    if mars_type == "mars-lion":
        return jnp.sign(exp_avg), exp_avg, None
    if mars_type == "mars-shampoo":
        rows, columns = updates.shape
        polar = orthogonalize(exp_avg / weight1, ns_dtype=ns_dtype)
        return math.sqrt(max(1, rows / max(columns, 1))) * polar, exp_avg, None
    assert exp_avg_sq is not None
    exp_avg_sq = second_moment(exp_avg_sq, corrected, weight2)
    return scale * exp_avg / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq


@transformation
class scale_by_mars(GradientTransformation):
    """Correct gradients by their change since the last step, then precondition.

    The rule: see `mars`.

    **Arguments:**

    - ``betas``, ``eps``, ``gamma``, ``is_approx``, ``mars_type``, ``ns_dtype``: see
      `mars`.

    **State:** `ScaleByMarsState`.

    **Raises:** what `mars` does.
    """

    betas: tuple[Value, Value] = (0.95, 0.99)
    eps: Value = 1e-8
    gamma: Value = 0.025
    is_approx: bool = static(default=True)
    mars_type: str = static(default="mars-adamw")
    ns_dtype: Any = static(default=jnp.bfloat16)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        check_range("gamma", self.gamma, at_least=0)
        check_choice("mars_type", self.mars_type, _TYPES)
        if not jnp.issubdtype(self.ns_dtype, jnp.floating):
            raise ValueError(
                f"ns_dtype must be a real floating-point dtype, found {self.ns_dtype!r}"
            )
        # A canonical form of each dtype, so that equal transformations compile once.
        object.__setattr__(self, "ns_dtype", jnp.dtype(self.ns_dtype))

    def init(self, params: PyTree) -> ScaleByMarsState:
        if self.mars_type == "mars-shampoo":
            _check_matrices(params)
        with_squares = self.mars_type == "mars-adamw"
        return ScaleByMarsState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params) if with_squares else None,
            last_grad=zeros_like(params) if self.is_approx else None,
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByMarsState,
        params: PyTree | None = None,
        *,
        previous_grad: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByMarsState]:
        check_option(self, "is_approx", state.last_grad, state.exp_avg)
        before = state.last_grad if self.is_approx else previous_grad
        if not self.is_approx:
            _check_given(previous_grad, updates)
        beta1, beta2 = self.betas
        step = increment(state.step)
        root_correction2 = jnp.sqrt(one_minus_power(beta2, step))
        direction, exp_avg, exp_avg_sq = _mars(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            before,
            correction=self.gamma * beta1 / (1 - beta1),
            weight1=1 - beta1,
            weight2=1 - beta2,
            scale=root_correction2 / one_minus_power(beta1, step),
            eps=root_correction2 * self.eps,
            mars_type=self.mars_type,
            ns_dtype=self.ns_dtype,
        )
        last_grad = _stored(state.last_grad, updates) if self.is_approx else None
        return direction, ScaleByMarsState(step, exp_avg, exp_avg_sq, last_grad)


@elementwise(inline=True)
def _stored(before: Array, grads: Array) -> Array:
    return grads


def _check_given(previous_grad: PyTree | None, updates: PyTree) -> None:
    if previous_grad is None and updates is not None:
        raise TypeError(
            "mars with is_approx=False needs previous_grad, the gradient of this batch "
            "at the parameters before the last step; call update(updates, state, "
            "params, previous_grad=...)"
        )
    check_shapes(updates, previous_grad, ("updates", "previous_grad"))


def _check_matrices(params: PyTree) -> None:
    check_real(params, ("mars with mars_type='mars-shampoo'", "parameters"))
    for name, leaf in leaves_with_names(params):
        if jnp.ndim(leaf) != 2:
            raise ValueError(
                "mars with mars_type='mars-shampoo' takes only matrices, found shape "
                f"{jnp.shape(leaf)} at {name!r}; give the others to another optimizer "
                "by partition"
            )


@factory
def mars(
    lr: Hyperparameter = 3e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.95, 0.99),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    gamma: Hyperparameter = 0.025,
    is_approx: bool = True,
    mars_type: str = "mars-adamw",
    ns_dtype: Any = jnp.bfloat16,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """MARS: variance reduction before AdamW, Lion or an orthogonalization.

    ::

        c = g + gamma * betas[0] / (1 - betas[0]) * (g - g')
        c = c / max(1, norm(c))
        m = betas[0] * m + (1 - betas[0]) * c
        v = betas[1] * v + (1 - betas[1]) * c^2
        d = (m / (1 - betas[0]^t)) / (sqrt(v / (1 - betas[1]^t)) + eps)  (mars-adamw)
        d = sign(m)                                                      (mars-lion)
        d = sqrt(max(1, rows / columns)) * orthogonalize(m)              (mars-shampoo)
        u = -lr * (d + weight_decay * p)

    ``norm`` is that of a leaf. ``g'`` is the last gradient, initially 0. With
    ``is_approx=False``, it is the gradient of the current batch at the parameters
    before the last step, ``previous_grad``: an extra argument of ``update``, which
    costs a second pass through the model::

        grads, previous = jax.grad(loss)(params, batch), jax.grad(loss)(before, batch)
        updates, state = tx.update(grads, state, params, previous_grad=previous)

    The authors use MARS for matrices, and AdamW for everything else::

        tx = of.partition(
            {
                "matrix": of.mars(3e-3, weight_decay=0.1),
                "other": of.adamw(3e-3, betas=(0.9, 0.95), weight_decay=0.1),
            },
            lambda path, leaf: "matrix" if leaf.ndim == 2 else "other",
        )

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``gamma``: how much of the correction is applied.
    - ``is_approx``: use the last gradient as ``g'``.
    - ``mars_type``: ``"mars-adamw"``, ``"mars-lion"`` or ``"mars-shampoo"``. The last
      takes only matrices; see `linalg.orthogonalize`.
    - ``ns_dtype``: the dtype of the orthogonalization.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByMarsState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate
    parameters with one norm; not with ``"mars-shampoo"``.

    **Raises:** `ValueError` for a number out of range, for an unknown ``mars_type``, at
    `init` for a parameter that is not a matrix with ``"mars-shampoo"``, and at `update`
    if there is decay and ``params`` is missing; `TypeError` at `update` if
    ``previous_grad`` is needed and missing.

    **Source:** Yuan, Liu, Wu, Zhou and Gu, "MARS: Unleashing the Power of Variance
    Reduction for Training Large Models", 2024,
    [arXiv:2411.10438](https://arxiv.org/abs/2411.10438).
    """
    # Negate the direction instead of the gradient, because of `previous_grad`.
    return assemble(
        scale_by_mars(betas, eps, gamma, is_approx, mars_type, ns_dtype),
        *([negate()] if maximize else []),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
    )
