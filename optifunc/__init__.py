"""torch.optim's mathematics as pure, chainable JAX gradient transformations."""

from . import (
    interop as interop,
    losses as losses,
    optim as optim,
    schedules as schedules,
)
from ._dataclass import static as static
from ._hyperparameters import (
    current_hyperparameters as current_hyperparameters,
    replace_hyperparameters as replace_hyperparameters,
    scheduled as scheduled,
)
from ._transformation import (
    GradientTransformation as GradientTransformation,
    apply_updates as apply_updates,
    identity as identity,
    transformation as transformation,
)
from ._tree import global_norm as global_norm
from .optimizers._adadelta import (
    adadelta as adadelta,
    scale_by_adadelta as scale_by_adadelta,
)
from .optimizers._adafactor import (
    adafactor as adafactor,
    step_by_adafactor as step_by_adafactor,
)
from .optimizers._adagrad import (
    adagrad as adagrad,
    scale_by_adagrad as scale_by_adagrad,
)
from .optimizers._adam import (
    adam as adam,
    adamw as adamw,
    scale_by_adam as scale_by_adam,
)
from .optimizers._adamax import adamax as adamax, scale_by_adamax as scale_by_adamax
from .optimizers._asgd import asgd as asgd, step_by_asgd as step_by_asgd
from .optimizers._lbfgs import lbfgs as lbfgs, step_by_lbfgs as step_by_lbfgs
from .optimizers._muon import (
    muon as muon,
    orthogonalize as orthogonalize,
    scale_by_muon as scale_by_muon,
)
from .optimizers._nadam import nadam as nadam, scale_by_nadam as scale_by_nadam
from .optimizers._radam import radam as radam, scale_by_radam as scale_by_radam
from .optimizers._rmsprop import (
    rmsprop as rmsprop,
    scale_by_rmsprop as scale_by_rmsprop,
)
from .optimizers._rprop import rprop as rprop, step_by_rprop as step_by_rprop
from .optimizers._sgd import sgd as sgd
from .optimizers._sparse_adam import (
    scale_by_sparse_adam as scale_by_sparse_adam,
    sparse_adam as sparse_adam,
)
from .transforms._accumulation import accumulate_gradients as accumulate_gradients
from .transforms._averaging import (
    average_parameters as average_parameters,
    ema_parameters as ema_parameters,
)
from .transforms._centralize import centralize as centralize
from .transforms._chain import (
    as_transformation as as_transformation,
    chain as chain,
)
from .transforms._clipping import (
    adaptive_grad_clip as adaptive_grad_clip,
    clip as clip,
    clip_by_block_rms as clip_by_block_rms,
    clip_by_global_norm as clip_by_global_norm,
)
from .transforms._conditional import conditionally as conditionally
from .transforms._flatten import flatten as flatten
from .transforms._masking import masked as masked, partition as partition
from .transforms._momentum import momentum as momentum
from .transforms._noise import add_noise as add_noise
from .transforms._non_finite import (
    skip_not_finite as skip_not_finite,
    zero_nans as zero_nans,
)
from .transforms._plateau import reduce_on_plateau as reduce_on_plateau
from .transforms._scaling import (
    negate as negate,
    scale as scale,
    scale_by_learning_rate as scale_by_learning_rate,
    scale_by_sign as scale_by_sign,
    set_to_zero as set_to_zero,
)
from .transforms._weight_decay import add_decayed_weights as add_decayed_weights
