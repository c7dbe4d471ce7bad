"""torch.optim's interface: optimizers that hold their parameters and state."""

from . import (
    clip_grad as clip_grad,
    lr_scheduler as lr_scheduler,
    swa_utils as swa_utils,
)
from ._adagrad import (
    Adadelta as Adadelta,
    Adafactor as Adafactor,
    Adagrad as Adagrad,
    RMSprop as RMSprop,
)
from ._adam import (
    Adam as Adam,
    Adamax as Adamax,
    AdamW as AdamW,
    NAdam as NAdam,
    RAdam as RAdam,
    SparseAdam as SparseAdam,
)
from ._functional import Functional as Functional
from ._lbfgs import LBFGS as LBFGS
from ._optimizer import Optimizer as Optimizer
from ._sgd import ASGD as ASGD, SGD as SGD, Muon as Muon, Rprop as Rprop
