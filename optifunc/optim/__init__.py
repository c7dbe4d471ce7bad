"""torch.optim's interface: optimizers that hold their parameters and state."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from .._suggestions import unknown_attribute as _unknown_attribute
from . import (
    clip_grad as clip_grad,
    lr_scheduler as lr_scheduler,
    swa_utils as swa_utils,
)
from ._adadelta import Adadelta as Adadelta
from ._adafactor import Adafactor as Adafactor
from ._adagrad import Adagrad as Adagrad
from ._adam import Adam as Adam
from ._adamax import Adamax as Adamax
from ._adamuon import AdaMuon as AdaMuon
from ._adamw import AdamW as AdamW
from ._asgd import ASGD as ASGD
from ._came import CAME as CAME
from ._dion import Dion as Dion
from ._kron import Kron as Kron
from ._lbfgs import LBFGS as LBFGS
from ._muon import Muon as Muon
from ._nadam import NAdam as NAdam
from ._normuon import NorMuon as NorMuon
from ._optimizer import Optimizer as Optimizer
from ._radam import RAdam as RAdam
from ._rmsprop import RMSprop as RMSprop
from ._rprop import Rprop as Rprop
from ._scion import Scion as Scion
from ._sgd import SGD as SGD
from ._shampoo import Shampoo as Shampoo
from ._soap import SOAP as SOAP
from ._sparse_adam import SparseAdam as SparseAdam
from ._stateful import Stateful as Stateful

# Type checkers would take it for a sign that any name exists.
if not _TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        raise _unknown_attribute(__name__, name, globals())
