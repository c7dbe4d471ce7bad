"""An optimizer, assembled from its parts."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from .._checks import check_choice
from .._hyperparameters import Hyperparameter, is_schedule
from .._numerics import is_zero
from .._transformation import GradientTransformation
from ..transforms._scaling import negate, scale_by_learning_rate
from ..transforms._weight_decay import add_decayed_weights
from ..wrappers._cautious import cautious as cautiously
from ..wrappers._chain import chain
from ..wrappers._masked import masked
from ..wrappers._selection import Mask
from ._factory import checks_arguments
from ._step_with_decay import step_with_decay

Decay: TypeAlias = Literal[
    "coupled", "decoupled", "cautious", "independent", "corrected", "after"
]
# The kinds of decay that compare the learning rate with its largest value.
_NEED_PEAK = ("independent", "corrected")
# Those that are part of the step.
_IN_STEP = ("corrected", "after")


@checks_arguments
def assemble(
    *direction: Any,
    lr: Hyperparameter | None,
    weight_decay: Hyperparameter = 0.0,
    decay: Decay = "decoupled",
    peak_lr: Hyperparameter | None = None,
    mask: Mask | None = None,
    maximize: bool = False,
    cautious: bool = False,
) -> GradientTransformation:
    """An optimizer from its direction, learning rate and weight decay.

    ::

        g = -g                                                (maximize)
        g = g + weight_decay * p                              (coupled)
        d = direction(g)
        d = d where d * g > 0, enlarged,  else  0             (cautious=True)
        d = d + weight_decay * p                              (decoupled)
        d = d + weight_decay * p  where d * p >= 0            (cautious)
        d = d + weight_decay / peak_lr * p                    (independent)
        d = d + weight_decay * lr / peak_lr * p               (corrected)
        u = -lr * d
        u = u - lr * weight_decay * (p + u)                   (after)

    All factories in this library use it::

        tx = of.assemble(
            of.scale_by_adam(), lr=1e-3, weight_decay=0.1, decay="cautious"
        )

    Coupled decay is an L2 penalty, a part of the gradient. With decoupled decay, a step
    removes the fraction ``lr * weight_decay`` of a parameter; cautious decay does so
    only for elements that the step does not move away from 0. With independent decay,
    the fraction is ``weight_decay`` at the peak of the learning rate and ``lr /
    peak_lr * weight_decay`` elsewhere, so a good value, such as 1e-5, does not depend
    on the learning rate. Corrected decay is decoupled at the peak and falls with the
    square of the learning rate, which is right for weights before a normalization; use
    `partition` for a different decay of the others. Decay after the step is decoupled
    decay of the new parameters.

    A cautious *direction* differs from cautious decay: it leaves out elements that go
    against the gradient. See `cautious`, which also has other ways to scale the rest.

    Biases and normalization scales are better left out of the decay. Equinox's
    convolutions have biases with several axes, so a mask also needs their names::

        def is_weight(path, leaf):
            return leaf.ndim > 1 and not path.endswith("bias")

    **Arguments:**

    - ``direction``: transformations, ours or optax's, one after another. If there are
      none, the direction is the gradient.
    - ``lr``: the learning rate; None if the last transformation contains it, as with
      ``step_by_...``.
    - ``weight_decay``: how strongly parameters are pulled toward 0.
    - ``decay``: ``"coupled"``, ``"decoupled"``, ``"cautious"``, ``"independent"``,
      ``"corrected"`` or ``"after"``.
    - ``peak_lr``: the largest learning rate, for independent and corrected decay. The
      default is ``lr``. It is required if that is a schedule, and does not change if
      ``lr`` is replaced later.
    - ``mask``: which parameters decay, as in `masked`; None: all of them.
    - ``maximize``: climb instead of descending.
    - ``cautious``: wrap the direction in `cautious`. The decay stays outside.

    **State:** a tuple with a state for each member of the chain. The decay and the
    learning rate have none, and parts that would do nothing (a ``weight_decay`` that is
    the number 0) are left out.

    **Returns:** a `chain`.

    **Raises:** `ValueError` for a number out of range, an unknown ``decay``, a
    ``peak_lr`` that is missing or unused, and if the decay is not coupled although
    ``lr`` is None; at `update`, if there is decay and ``params`` is missing.

    **Source:** decoupled: Loshchilov and Hutter, 2019,
    [arXiv:1711.05101](https://arxiv.org/abs/1711.05101), which also proposes a decay
    that does not depend on the learning rate; cautious: Chen et al., 2025,
    [arXiv:2510.12402](https://arxiv.org/abs/2510.12402); corrected: Defazio, 2025,
    [arXiv:2506.02285](https://arxiv.org/abs/2506.02285).
    """
    check_choice("decay", decay, get_args(Decay))
    if peak_lr is not None and decay not in _NEED_PEAK:
        raise ValueError(
            f"peak_lr is only for decay='independent' or 'corrected', found {decay=}"
        )
    if cautious:
        whole = direction[0] if len(direction) == 1 else chain(*direction)
        direction = (cautiously(whole, direction=lr is not None),)
    has_decay = not is_zero(weight_decay)
    if has_decay and lr is None and decay != "coupled":
        raise ValueError(
            "the learning rate is inside the direction (lr=None), and a decay after it "
            f"would not be scaled by it: decay must be 'coupled', found {decay!r}"
        )
    if has_decay and decay in _NEED_PEAK:
        peak_lr = _peak(lr, peak_lr, decay)
    decayed: list[GradientTransformation] = []
    scaled: list[GradientTransformation] = []
    if has_decay and decay in _IN_STEP:
        scaled = [step_with_decay(lr, weight_decay, decay, peak_lr, mask)]
    elif lr is not None:
        scaled = [scale_by_learning_rate(lr)]
    if has_decay and decay not in _IN_STEP:
        block = add_decayed_weights(weight_decay, decay == "cautious", peak_lr)
        decayed = [block if mask is None else masked(block, mask)]
    return chain(
        *([negate()] if maximize else []),
        *(decayed if decay == "coupled" else []),
        *direction,
        *(decayed if decay != "coupled" else []),
        *scaled,
    )


def _peak(
    lr: Hyperparameter | None, peak_lr: Hyperparameter | None, decay: Decay
) -> Hyperparameter | None:
    """The largest learning rate, by default ``lr`` itself."""
    if peak_lr is None and is_schedule(lr):
        raise ValueError(
            f"{decay=} needs peak_lr, the largest value of the schedule lr={lr!r}"
        )
    return lr if peak_lr is None else peak_lr
