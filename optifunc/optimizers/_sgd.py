"""Stochastic gradient descent."""

from .._hyperparameters import Hyperparameter
from .._numerics import is_zero
from .._transformation import GradientTransformation, identity
from ..transforms._chain import chain
from ..transforms._momentum import momentum as momentum_
from ..transforms._scaling import negate, scale_by_learning_rate
from ..transforms._weight_decay import add_decayed_weights


def sgd(
    lr: Hyperparameter = 1e-3,
    momentum: Hyperparameter = 0.0,
) -> GradientTransformation:
    return chain(identity())
