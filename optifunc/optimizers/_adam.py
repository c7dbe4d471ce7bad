"""Adam and AdamW."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import (
    as_scalar,
    first_moment,
    increment,
    one_minus_power,
    second_moment,
    sqrt,
)
from .._placement import zeros_like
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory
from ._options import check_option


class ScaleByAdamState(NamedTuple):
    """State of `scale_by_adam`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: the same for their squares.
    - ``max_exp_avg_sq``: the largest of these so far; None without ``amsgrad``.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]
    max_exp_avg_sq: NonNegative | None


@elementwise(outputs=4, static=("by_modulus",))
def _adam(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    max_exp_avg_sq: Array | None,
    *,
    weight1: Array,
    weight2: Array,
    scale: Array,
    grad_scale: Array | None,
    eps: Array,
    eps_root: Array | None,
    by_modulus: bool,
) -> tuple[Array, Array, Array, Array | None]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    exp_avg_sq = second_moment(exp_avg_sq, updates, weight2, by_modulus)
    square = exp_avg_sq
    if max_exp_avg_sq is not None:
        square = max_exp_avg_sq = jnp.maximum(max_exp_avg_sq, exp_avg_sq)
    mean = scale * exp_avg
    if grad_scale is not None:
        mean = mean + grad_scale * updates
    if eps_root is not None:
        square = square + eps_root
    return mean / (sqrt(square) + eps), exp_avg, exp_avg_sq, max_exp_avg_sq


@transformation
class scale_by_adam(GradientTransformation):
    """Divide the mean of the gradients by the root of the mean of their squares.

    The rule: see `adam`.

    **Arguments:**

    - ``betas``, ``eps``, ``amsgrad``, ``nesterov``: see `adam`.
    - ``eps_root``: added inside the root, after the correction (None: nothing), as
      optax does for derivatives through an update.
    - ``by_modulus``: divide both parts of a complex element by the root of the mean of
      ``|g|^2``, as optax does; False: divide each part by its own.

    **State:** `ScaleByAdamState`.

    **Raises:** `ValueError` for a number out of range, and at `update` for a state that
    was made with the other value of ``amsgrad``.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8
    amsgrad: bool = static(default=False)
    _: dataclasses.KW_ONLY
    nesterov: bool = static(default=False)
    eps_root: Value | None = None
    by_modulus: bool = static(default=False)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        if self.eps_root is not None:
            check_range("eps_root", self.eps_root, at_least=0)

    def init(self, params: PyTree) -> ScaleByAdamState:
        return ScaleByAdamState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            max_exp_avg_sq=zeros_like(params) if self.amsgrad else None,
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdamState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdamState]:
        check_option(self, "amsgrad", state.max_exp_avg_sq, state.exp_avg)
        beta1, beta2 = self.betas
        step = increment(state.step)
        # Both corrections are applied to scalars, where they cost nothing.
        root_correction2 = jnp.sqrt(one_minus_power(beta2, step))
        scale = root_correction2 / one_minus_power(beta1, step)
        grad_scale = None
        if self.nesterov:
            grad_scale = (1 - beta1) * scale
            after = one_minus_power(beta1, as_scalar(step) + 1)
            scale = beta1 * root_correction2 / after
        updates, *trees = _adam(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            state.max_exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            scale=scale,
            grad_scale=grad_scale,
            eps=root_correction2 * self.eps,
            eps_root=(
                None
                if self.eps_root is None
                else root_correction2 * root_correction2 * self.eps_root
            ),
            by_modulus=self.by_modulus,
        )
        return updates, ScaleByAdamState(step, *trees)


@factory
def adam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    amsgrad: bool = False,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
    nesterov: bool = False,
) -> GradientTransformation:
    """`torch.optim.Adam`: steps whose size does not depend on that of the gradients.

    ::

        g = g + weight_decay * p                              (coupled decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g^2
        w = max(w, v)  with amsgrad,  else  v
        m' = m / (1 - betas[0]^t),  or with nesterov
             betas[0] * m / (1 - betas[0]^(t + 1))
             + (1 - betas[0]) * g / (1 - betas[0]^t)
        d = m' / (sqrt(w / (1 - betas[1]^t)) + eps)
        d = d + weight_decay * p                              (decoupled decay)
        u = -lr * d

    With amsgrad, the maximum is taken over ``v`` before its correction, as in torch.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: L2 penalty, or with ``decoupled_weight_decay`` the decay of
      `adamw`.
    - ``amsgrad``: divide by the largest second moment so far.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.
    - ``decoupled_weight_decay``: keep the decay out of the moments.
    - ``nesterov``: look ahead by one more step of the mean, like optax's ``nadam``
      does; torch's, which is `nadam`, lets the momentum grow.

    Each number may be an array or a schedule.

    **State:** `ScaleByAdamState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters,
    as in torch; pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, and at `update` if there is
    decay and ``params`` is missing.

    **Source:** Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015,
    [arXiv:1412.6980](https://arxiv.org/abs/1412.6980); amsgrad: Reddi, Kale and Kumar,
    2018, [arXiv:1904.09237](https://arxiv.org/abs/1904.09237).
    """
    return assemble(
        scale_by_adam(betas, eps, amsgrad, nesterov=nesterov),
        lr=lr,
        weight_decay=weight_decay,
        decay="decoupled" if decoupled_weight_decay else "coupled",
        mask=mask,
        maximize=maximize,
    )


@factory
def adamw(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 1e-2,
    amsgrad: bool = False,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """`torch.optim.AdamW`: Adam with weight decay separate from the moments.

    The rule: see `adam`, with decoupled decay. Biases and normalization scales are
    better left out::

        def is_weight(path, leaf):
            return leaf.ndim > 1 and not path.endswith("bias")

        tx = of.adamw(1e-3, weight_decay=0.1, mask=is_weight)

    **Arguments:**

    - ``lr``, ``betas``, ``eps``: see `adam`.
    - ``weight_decay``: the fraction of a parameter that a step removes, in units of the
      learning rate.
    - ``amsgrad``, ``mask``, ``maximize``: see `adam`.

    **State:** `ScaleByAdamState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019,
    [arXiv:1711.05101](https://arxiv.org/abs/1711.05101).
    """
    return assemble(
        scale_by_adam(betas, eps, amsgrad),
        lr=lr,
        weight_decay=weight_decay,
        decay="decoupled",
        mask=mask,
        maximize=maximize,
    )
