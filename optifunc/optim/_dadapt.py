"""Gradient descent, Adagrad, Lion and Adan with D-Adaptation."""

from __future__ import annotations

from ..optimizers._dadapt_adagrad import dadapt_adagrad
from ..optimizers._dadapt_adan import dadapt_adan
from ..optimizers._dadapt_lion import dadapt_lion
from ..optimizers._dadapt_sgd import dadapt_sgd
from ._optimizer import Optimizer


class DAdaptSGD(Optimizer):
    """Descent that finds its learning rate; `optifunc.dadapt_sgd`, stateful.

    Each group has its own estimate.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `dadapt_sgd`.
    """

    factory = dadapt_sgd


class DAdaptAdaGrad(Optimizer):
    """Adagrad that finds its learning rate; `optifunc.dadapt_adagrad`, stateful.

    Each group has its own estimate.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `dadapt_adagrad`.
    """

    factory = dadapt_adagrad


class DAdaptLion(Optimizer):
    """Lion that finds its learning rate; `optifunc.dadapt_lion`, stateful.

    Each group has its own estimate.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `dadapt_lion`.
    """

    factory = dadapt_lion


class DAdaptAdan(Optimizer):
    """Adan that finds its learning rate; `optifunc.dadapt_adan`, stateful.

    Each group has its own estimate.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `dadapt_adan`.
    """

    factory = dadapt_adan
