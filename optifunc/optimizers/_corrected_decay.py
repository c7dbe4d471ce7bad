"""The learning rate together with a weight decay that follows it."""

from typing import Any

from jax import Array

from .._checks import check_range
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import elementwise
from .._transformation import Stateless, identity, require_params, transformation
from .._tree import PyTree
from ..wrappers._masked import masked
from ..wrappers._selection import check_mask, chosen_leaves, static_choice


@elementwise()
def _stepped(
    updates: Array, decaying: Array | None, *, lr: Array, share: Array
) -> Array:
    direction = updates if decaying is None else updates + share * decaying
    return -lr * direction


@transformation
class step_with_corrected_decay(Stateless):
    """A step with the weight decay of AdamC.

    ::

        u = -lr * (d + weight_decay * lr / peak_lr * p)

    Between a gradient and the weights of a layer that is followed by a normalization,
    a decay in units of ``lr`` holds a ratio that changes as ``lr`` falls; norms of
    gradients grow at the end of a run. With the square of ``lr`` the ratio stays.

    This is ``decay="corrected"`` of `assemble`, in which it stands last. The learning
    rate is here twice, so that the two are one block.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``weight_decay``: in units of ``lr`` where that is ``peak_lr``.
    - ``peak_lr``: the largest learning rate, above 0.
    - ``mask``: which parameters decay, as `masked` takes it; None: all of them.

    **State:** ``()``.

    **Raises:** `ValueError` for a number out of range, and at `update` if ``params`` is
    missing.

    **Source:** Defazio, "Why Gradients Rapidly Increase Near the End of Training",
    2025, [arXiv:2506.02285](https://arxiv.org/abs/2506.02285).
    """

    lr: Value
    weight_decay: Value
    peak_lr: Value
    mask: Any = static(default=None)

    def __post_init__(self) -> None:
        check_range("lr", self.lr, at_least=0)
        check_range("weight_decay", self.weight_decay, at_least=0)
        check_range("peak_lr", self.peak_lr, above=0)
        if self.mask is not None:
            object.__setattr__(self, "mask", static_choice(self.mask, check_mask))

    def init(self, params: PyTree) -> tuple[()]:
        if self.mask is not None:
            # Looks at the mask as it does for every other optimizer.
            masked(identity(), self.mask).init(params)
        return ()

    def apply(self, updates: PyTree, params: PyTree | None = None) -> PyTree:
        params = require_params(params, updates, "step_with_corrected_decay")
        return _stepped(
            updates,
            chosen_leaves(self.mask, params),
            lr=self.lr,
            share=self.weight_decay * self.lr / self.peak_lr,
        )
