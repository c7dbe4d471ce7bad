"""torch.optim's interface: optimizers that hold their parameters and state."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from .._suggestions import unknown_attribute as _unknown_attribute
from . import (
    clip_grad as clip_grad,
    lr_scheduler as lr_scheduler,
    swa_utils as swa_utils,
)
from ._acprop import ACProp as ACProp
from ._adadelta import Adadelta as Adadelta
from ._adafactor import Adafactor as Adafactor
from ._adagrad import Adagrad as Adagrad
from ._adam import Adam as Adam
from ._adam_mini import AdamMini as AdamMini
from ._adamax import Adamax as Adamax
from ._adamw import AdamW as AdamW
from ._apollo import Apollo as Apollo
from ._asgd import ASGD as ASGD
from ._diffgrad import DiffGrad as DiffGrad
from ._galore import GaLoreAdamW as GaLoreAdamW
from ._lbfgs import LBFGS as LBFGS
from ._mars import MARS as MARS
from ._muon import Muon as Muon
from ._nadam import NAdam as NAdam
from ._optimizer import Optimizer as Optimizer
from ._pid import PID as PID
from ._radam import RAdam as RAdam
from ._rmsprop import RMSprop as RMSprop
from ._rprop import Rprop as Rprop
from ._sgd import SGD as SGD
from ._spam import SPAM as SPAM
from ._sparse_adam import SparseAdam as SparseAdam
from ._stable_spam import StableSPAM as StableSPAM
from ._stateful import Stateful as Stateful

# Type checkers would take it for a sign that any name exists.
if not _TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        raise _unknown_attribute(__name__, name, globals())
