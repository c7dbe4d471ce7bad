"""Links of a chain that an optimizer leaves out where they would do nothing."""

from .._hyperparameters import Hyperparameter
from .._numerics import is_zero
from .._transformation import GradientTransformation
from ..transforms._scaling import negate
from ..transforms._weight_decay import add_decayed_weights


def oriented(maximize: bool) -> list[GradientTransformation]:
    """The gradient turned round, where the objective is to be maximised."""
    return [negate()] if maximize else []


def decayed(weight_decay: Hyperparameter) -> list[GradientTransformation]:
    """Weight decay, unless it is the number 0."""
    return [] if is_zero(weight_decay) else [add_decayed_weights(weight_decay)]
