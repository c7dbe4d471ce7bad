"""Lion."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_choice, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import first_moment
from .._placement import zeros_like
from .._state import Keeps, PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory

Mode: TypeAlias = Literal["sign", "smooth", "refined"]


class ScaleByLionState(NamedTuple):
    """State of `scale_by_lion`.

    **Fields:**

    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    """

    exp_avg: Annotated[PerParameter, Keeps("betas", 1)]


@elementwise(outputs=2, static=("mode",))
def _lion(
    updates: Array,
    exp_avg: Array,
    *,
    weight1: Array,
    weight2: Array,
    smooth_beta: Array,
    mode: Mode,
) -> tuple[Array, Array]:
    mixed = first_moment(exp_avg, updates, weight1)
    exp_avg = first_moment(exp_avg, updates, weight2)
    if mode == "smooth":
        return jnp.tanh(smooth_beta * mixed), exp_avg
    if mode == "refined":
        return jnp.clip(mixed, -1, 1), exp_avg
    return jnp.sign(mixed), exp_avg


@transformation
class scale_by_lion(GradientTransformation):
    """The sign of a mean of the gradients that weights the newest one more.

    The rule: see `lion`.

    **Arguments:**

    - ``betas``, ``mode``, ``smooth_beta``: see `lion`.

    **State:** `ScaleByLionState`.

    **Raises:** `ValueError` for a number out of range or an unknown ``mode``.
    """

    betas: tuple[Value, Value] = (0.9, 0.99)
    mode: Mode = static(default="sign")
    smooth_beta: Value = 1.0

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_choice("mode", self.mode, get_args(Mode))
        check_range("smooth_beta", self.smooth_beta, above=0)

    def init(self, params: PyTree) -> ScaleByLionState:
        return ScaleByLionState(zeros_like(params))

    def update(
        self,
        updates: PyTree,
        state: ScaleByLionState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByLionState]:
        beta1, beta2 = self.betas
        updates, exp_avg = _lion(
            updates,
            state.exp_avg,
            weight1=1 - beta1,
            weight2=1 - beta2,
            smooth_beta=self.smooth_beta,
            mode=self.mode,
        )
        return updates, ScaleByLionState(exp_avg)


@factory
def lion(
    lr: Hyperparameter = 1e-4,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.99),
    weight_decay: Hyperparameter = 0.0,
    decoupled_weight_decay: bool = False,
    *,
    mode: Mode = "sign",
    smooth_beta: Hyperparameter = 1.0,
    peak_lr: Hyperparameter | None = None,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Lion: the sign of a mean of the gradients, with one number of state.

    ::

        c = betas[0] * m + (1 - betas[0]) * g
        m = betas[1] * m + (1 - betas[1]) * g
        d = sign(c)                                           (mode "sign")
        d = tanh(smooth_beta * c)                             (mode "smooth")
        d = min(max(c, -1), 1)                                (mode "refined")
        u = -lr * (d + weight_decay * p)
        u = -lr * (d + weight_decay / peak_lr * p)            (decoupled_weight_decay)

    Every element moves by ``lr`` in each step, or not at all where ``c`` is 0. Compared
    with `adamw`, a learning rate 3 to 10 times smaller and a decay 3 to 10 times larger
    are usual. The other two modes move elements with small gradients less, so the
    learning rate depends on the scale of the loss.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean in the direction and of the mean that is kept,
      each in [0, 1).
    - ``weight_decay``: decoupled decay, in units of ``lr``; or with
      ``decoupled_weight_decay`` the fraction of a parameter that a step removes.
    - ``decoupled_weight_decay``: make the decay independent of the learning rate, like
      ``decay="independent"`` in `assemble`.
    - ``mode``: ``"sign"``, ``"smooth"`` or ``"refined"``.
    - ``smooth_beta``: how steep the smooth mode is at 0.
    - ``peak_lr``: the largest learning rate, for ``decoupled_weight_decay``, see
      `assemble`; None: ``lr``, which then must not be a schedule.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `ScaleByLionState`, in the parameters' shapes and dtypes. In bfloat16 the
    mean loses most of what a step adds to it (a fraction of 0.01 by default).

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, for an unknown ``mode``, for a
    ``peak_lr`` that is missing or unused, and at `update` if there is decay and
    ``params`` is missing.

    **Source:** Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023,
    [arXiv:2302.06675](https://arxiv.org/abs/2302.06675). Names and defaults are those
    of lion-pytorch; the two other modes are optax's.
    """
    return assemble(
        scale_by_lion(betas, mode, smooth_beta),
        lr=lr,
        weight_decay=weight_decay,
        decay="independent" if decoupled_weight_decay else "decoupled",
        peak_lr=peak_lr,
        mask=mask,
        maximize=maximize,
    )
