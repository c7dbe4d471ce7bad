"""An optimizer, put together from its parts."""

from typing import Any, Literal, TypeAlias, get_args

from .._checks import check_choice
from .._hyperparameters import Hyperparameter, is_schedule
from .._numerics import is_zero
from .._transformation import GradientTransformation
from ..transforms._scaling import negate, scale_by_learning_rate
from ..transforms._weight_decay import add_decayed_weights
from ..wrappers._chain import chain
from ..wrappers._masked import masked
from ..wrappers._selection import Mask
from ._factory import checks_arguments

Decay: TypeAlias = Literal["coupled", "decoupled", "cautious", "independent"]


@checks_arguments
def assemble(
    *direction: Any,
    lr: Hyperparameter | None,
    weight_decay: Hyperparameter = 0.0,
    decay: Decay = "decoupled",
    peak_lr: Hyperparameter | None = None,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """An optimizer from its direction, learning rate and weight decay.

    ::

        g = -g                                                (maximize)
        g = g + weight_decay * p                              (coupled)
        d = direction(g)
        d = d + weight_decay * p                              (decoupled)
        d = d + weight_decay * p  where d * p >= 0            (cautious)
        d = d + weight_decay / peak_lr * p                    (independent)
        u = -lr * d

    All factories of this library are written with it::

        tx = of.assemble(
            of.scale_by_adam(), lr=1e-3, weight_decay=0.1, decay="cautious"
        )

    Coupled decay is an L2 penalty, a part of the gradient. Decoupled, a step takes away
    the share ``lr * weight_decay`` of a parameter; cautious decay does so only for
    elements that the step does not move away from 0. With independent decay the share
    is ``weight_decay`` at the peak of the learning rate and ``lr / peak_lr *
    weight_decay`` elsewhere, so that a good value, such as 1e-5, does not depend on the
    learning rate.

    Biases and the scales of normalizations are better left without decay. Equinox's
    convolutions have biases with several axes, so that a mask needs their names, too::

        def is_weight(path, leaf):
            return leaf.ndim > 1 and not path.endswith("bias")

    **Arguments:**

    - ``direction``: transformations, ours or optax's, one after another. None of them:
      the gradient itself.
    - ``lr``: the learning rate; None if the last transformation contains it, as
      ``step_by_...`` do.
    - ``weight_decay``: how strongly parameters are drawn towards 0.
    - ``decay``: ``"coupled"``, ``"decoupled"``, ``"cautious"`` or ``"independent"``.
    - ``peak_lr``: the largest learning rate, for independent decay. By default it is
      ``lr``; it is needed if that is a schedule, and stays what it is if ``lr`` is
      replaced later.
    - ``mask``: which parameters decay, as `masked` takes it; None: all of them.
    - ``maximize``: climb instead of descending.

    **State:** a tuple with a state for each member of the chain. The decay and the
    learning rate have none, and what would do nothing (a ``weight_decay`` that is the
    number 0) is left out.

    **Returns:** a `chain`.

    **Raises:** `ValueError` for a number out of range, an unknown ``decay``, a
    ``peak_lr`` that is missing or has no use, and if the decay is not coupled although
    ``lr`` is None; at `update` if there is decay and ``params`` is missing.

    **Source:** decoupled: Loshchilov and Hutter, 2019,
    [arXiv:1711.05101](https://arxiv.org/abs/1711.05101), which also proposes a decay
    that does not depend on the learning rate; cautious: Chen et al., 2025,
    [arXiv:2510.12402](https://arxiv.org/abs/2510.12402).
    """
    check_choice("decay", decay, get_args(Decay))
    if peak_lr is not None and decay != "independent":
        raise ValueError(
            f"peak_lr is for decay='independent' only, found decay={decay!r}"
        )
    decayed = _decay_links(lr, weight_decay, decay, peak_lr, mask)
    if decayed and lr is None and decay != "coupled":
        raise ValueError(
            "the learning rate is inside the direction (lr=None), and a decay after it "
            f"would not be scaled by it: decay must be 'coupled', found {decay!r}"
        )
    return chain(
        *([negate()] if maximize else []),
        *(decayed if decay == "coupled" else []),
        *direction,
        *(decayed if decay != "coupled" else []),
        *([] if lr is None else [scale_by_learning_rate(lr)]),
    )


def _decay_links(
    lr: Hyperparameter | None,
    weight_decay: Hyperparameter,
    decay: Decay,
    peak_lr: Hyperparameter | None,
    mask: Mask | None,
) -> list[GradientTransformation]:
    """The decay, unless it is the number 0."""
    if is_zero(weight_decay):
        return []
    if decay == "independent" and peak_lr is None:
        if is_schedule(lr):
            raise ValueError(
                "decay='independent' needs peak_lr, the largest value of the schedule "
                f"lr={lr!r}"
            )
        peak_lr = lr
    block = add_decayed_weights(weight_decay, decay == "cautious", peak_lr)
    return [block if mask is None else masked(block, mask)]
