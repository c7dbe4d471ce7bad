"""AdamW with generalized primal averaging."""

from __future__ import annotations

from typing import Any, NamedTuple

from jax import Array

from .._checks import check_betas, check_range
from .._dataclass import child
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._placement import copied, zeros_like
from .._state import PerParameter
from .._transformation import (
    GradientTransformation,
    State,
    identity,
    require_params,
    transformation,
)
from .._tree import PyTree
from ..transforms._scaling import scale_by_learning_rate
from ..wrappers._schedule_free import extrapolated
from ..wrappers._selection import Mask
from ..wrappers._wrapper import Wrapper
from ._adam import scale_by_adam
from ._assemble import assemble
from ._factory import factory


class StepByGpaState(NamedTuple):
    """State of `step_by_gpa`.

    **Fields:**

    - ``z``: the inner direction's parameters.
    - ``inner``, ``decay``: the states of the two transformations.
    """

    z: PerParameter
    inner: State
    decay: State


@elementwise(outputs=2)
def _primal_averaged(
    updates: Array,
    z: Array,
    decayed: Array,
    params: Array,
    *,
    eval_coefficient: Array,
    train_coefficient: Array,
) -> tuple[Array, Array]:
    # ``decayed`` is the decay of z, which y sees through its mean.
    shrunk = z + decayed
    pull = 1 - eval_coefficient * train_coefficient
    return (
        (1 - eval_coefficient) * (shrunk - params) + pull * updates,
        shrunk + updates,
    )


@transformation
class step_by_gpa(Wrapper):
    """Follow a direction with three sequences, one of which is a constant average.

    The rule: see `gpa_adamw`.

    **Arguments:**

    - ``inner``: the direction, such as `scale_by_adam`.
    - ``decay``: the transformation that adds decay to a direction, such as
      `add_decayed_weights`.
    - ``lr``, ``train_interp_coeff``, ``eval_interp_coeff``: see `gpa_adamw`.

    **State:** `StepByGpaState`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.
    """

    inner: GradientTransformation = child()
    decay: GradientTransformation = child(default=identity())
    lr: Value = 1.0
    train_interp_coeff: Value = 0.7
    eval_interp_coeff: Value = 0.9967

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("train_interp_coeff", self.train_interp_coeff, above=0, at_most=1)
        check_range("eval_interp_coeff", self.eval_interp_coeff, at_least=0, below=1)
        super().__post_init__()

    def init(self, params: PyTree) -> StepByGpaState:
        return StepByGpaState(
            z=copied(params),
            inner=self.inner.init(params),
            decay=self.decay.init(params),
        )

    def evaluated(self, state: StepByGpaState, params: PyTree) -> PyTree:
        return extrapolated(params, state.z, momentum=self.train_interp_coeff)

    def update(
        self,
        updates: PyTree,
        state: StepByGpaState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StepByGpaState]:
        params = require_params(params, updates, "gpa")
        updates, inner = self.inner.update(updates, state.inner, params, **extra)
        decayed, decay = self.decay.update(
            zeros_like(updates), state.decay, state.z, **extra
        )
        times_lr = scale_by_learning_rate(self.lr).apply
        updates, z = _primal_averaged(
            times_lr(updates),
            state.z,
            times_lr(decayed),
            params,
            eval_coefficient=self.eval_interp_coeff,
            train_coefficient=self.train_interp_coeff,
        )
        return updates, StepByGpaState(z, inner, decay)


@factory
def gpa_adamw(
    lr: Hyperparameter = 1.0,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    train_interp_coeff: Hyperparameter = 0.7,
    eval_interp_coeff: Hyperparameter = 0.9967,
    *,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """AdamW with generalized primal averaging, at a constant rate.

    ::

        d = Adam's direction of g at y, see `adam`
        z = z - lr * weight_decay * z,  x such that y stays where it is
        z = z - lr * d
        x = eval_interp_coeff * x + (1 - eval_interp_coeff) * z
        y = train_interp_coeff * x + (1 - train_interp_coeff) * z

    Training holds the parameters ``y``; evaluate ``x``, which `eval_params` returns.
    Unlike in `schedule_free_adamw`, the average forgets at a constant rate, so a
    learning rate schedule is useful, and there is a first moment. It replaces the two
    loops of DiLoCo by one.

    **Arguments:**

    - ``lr``: the learning rate. The authors' default is 1; Adam's usual ones serve.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay of ``z``, in units of the learning rate.
    - ``train_interp_coeff``: the weight of the average in ``y``, above 0 and at most 1.
    - ``eval_interp_coeff``: the decay rate of the average, in [0, 1).
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    Each number may be an array or a schedule.

    **State:** `StepByGpaState`, and in it `ScaleByAdamState`: three numbers a
    parameter.

    **Complex parameters:** see `adam`.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params``
    is missing.

    **Source:** Defazio, Shi et al., 2025,
    [arXiv:2512.17131](https://arxiv.org/abs/2512.17131).
    """
    check_betas(betas)
    direction = step_by_gpa(
        scale_by_adam(betas, eps),
        assemble(lr=None, weight_decay=weight_decay, mask=mask, decay="coupled"),
        lr,
        train_interp_coeff,
        eval_interp_coeff,
    )
    return assemble(direction, lr=None, maximize=maximize)
