"""A step together with a weight decay that `add_decayed_weights` cannot do."""

from __future__ import annotations

from typing import Any

from jax import Array

from .._checks import check_choice, check_range
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._transformation import Stateless, require_params, transformation
from .._tree import PyTree
from ._decay_inside import check_mask_fits, decaying, static_mask


@elementwise(static=("after",))
def _stepped(
    updates: Array, decaying: Array | None, *, lr: Array, share: Array, after: bool
) -> Array:
    step = -lr * updates
    if decaying is None:
        return step
    return step - share * (decaying + step if after else decaying)


@transformation
class step_with_decay(Stateless):
    """A step of descent with a weight decay that needs the learning rate.

    ::

        u = -lr * d - lr^2 / peak_lr * weight_decay * p       (corrected)
        u = -lr * d,  u = u - lr * weight_decay * (p + u)     (after)

    For a layer that is followed by a normalization, decay in units of ``lr`` leads to a
    ratio between gradients and weights that changes as ``lr`` falls, so the norms of
    gradients grow at the end of a run. With corrected decay, the ratio is constant.
    Decay *after* the step shrinks the new parameters, as in some programs.

    The names are those of `assemble`. The block comes last and also applies the
    learning rate to the step, so there is only one to change.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``weight_decay``: the factor, at least 0.
    - ``decay``: ``"corrected"`` or ``"after"``.
    - ``peak_lr``: the largest learning rate, above 0; for corrected decay only.
    - ``mask``: which parameters decay, see `masked`; None: all of them.

    **State:** ``()``.

    **Raises:** `ValueError` for a number out of range, an unknown ``decay``, a
    ``peak_lr`` that is missing or unused, and at `update` if ``params`` is missing.

    **Source:** corrected: Defazio, "Why Gradients Rapidly Increase Near the End of
    Training", 2025, [arXiv:2506.02285](https://arxiv.org/abs/2506.02285).
    """

    lr: Value
    weight_decay: Value
    decay: str = static(default="corrected")
    peak_lr: Value | None = None
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        check_choice("decay", self.decay, ("corrected", "after"))
        if (self.peak_lr is None) is not (self.decay == "after"):
            raise ValueError(
                "peak_lr is for decay='corrected', which needs it, found "
                f"decay={self.decay!r} and peak_lr={self.peak_lr!r}"
            )
        if self.peak_lr is not None:
            check_range("peak_lr", self.peak_lr, above=0)
        object.__setattr__(self, "mask", static_mask(self.mask))

    def init(self, params: PyTree) -> tuple[()]:
        check_mask_fits(self.mask, params)
        return ()

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "step_with_decay")
        share = self.lr * self.weight_decay
        if self.peak_lr is not None:
            share = share * self.lr / self.peak_lr
        return _stepped(
            updates,
            decaying(params, self.mask),
            lr=self.lr,
            share=share,
            after=self.decay == "after",
        )
