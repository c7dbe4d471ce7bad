"""The optimizers: one file each."""

from ._adadelta import (
    ScaleByAdadeltaState as ScaleByAdadeltaState,
    adadelta as adadelta,
    scale_by_adadelta as scale_by_adadelta,
)
from ._adafactor import (
    StepByAdafactorState as StepByAdafactorState,
    adafactor as adafactor,
    step_by_adafactor as step_by_adafactor,
)
from ._adagrad import (
    ScaleByAdagradState as ScaleByAdagradState,
    adagrad as adagrad,
    scale_by_adagrad as scale_by_adagrad,
)
from ._adam import (
    ScaleByAdamState as ScaleByAdamState,
    adam as adam,
    adamw as adamw,
    scale_by_adam as scale_by_adam,
)
from ._adamax import (
    ScaleByAdamaxState as ScaleByAdamaxState,
    adamax as adamax,
    scale_by_adamax as scale_by_adamax,
)
from ._adamuon import (
    ScaleByAdamuonState as ScaleByAdamuonState,
    adamuon as adamuon,
    scale_by_adamuon as scale_by_adamuon,
)
from ._asgd import (
    StepByAsgdState as StepByAsgdState,
    asgd as asgd,
    step_by_asgd as step_by_asgd,
)
from ._assemble import assemble as assemble
from ._came import (
    ScaleByCameState as ScaleByCameState,
    came as came,
    scale_by_came as scale_by_came,
)
from ._dion import (
    ScaleByDionState as ScaleByDionState,
    dion as dion,
    scale_by_dion as scale_by_dion,
)
from ._hyperball import (
    StepByHyperballState as StepByHyperballState,
    step_by_hyperball as step_by_hyperball,
)
from ._kron import (
    ScaleByKronState as ScaleByKronState,
    kron as kron,
    scale_by_kron as scale_by_kron,
)
from ._lbfgs import (
    StepByLbfgsState as StepByLbfgsState,
    lbfgs as lbfgs,
    step_by_lbfgs as step_by_lbfgs,
)
from ._muon import (
    ScaleByMuonState as ScaleByMuonState,
    muon as muon,
    scale_by_muon as scale_by_muon,
)
from ._nadam import (
    ScaleByNadamState as ScaleByNadamState,
    nadam as nadam,
    scale_by_nadam as scale_by_nadam,
)
from ._normuon import (
    ScaleByNormuonState as ScaleByNormuonState,
    normuon as normuon,
    scale_by_normuon as scale_by_normuon,
)
from ._radam import (
    ScaleByRadamState as ScaleByRadamState,
    radam as radam,
    scale_by_radam as scale_by_radam,
)
from ._rmsprop import (
    ScaleByRmspropState as ScaleByRmspropState,
    rmsprop as rmsprop,
    scale_by_rmsprop as scale_by_rmsprop,
)
from ._rprop import (
    StepByRpropState as StepByRpropState,
    rprop as rprop,
    step_by_rprop as step_by_rprop,
)
from ._scion import (
    ScaleByScionState as ScaleByScionState,
    scale_by_scion as scale_by_scion,
    scion as scion,
)
from ._sgd import sgd as sgd
from ._shampoo import (
    ScaleByShampooState as ScaleByShampooState,
    scale_by_shampoo as scale_by_shampoo,
    shampoo as shampoo,
)
from ._soap import (
    StepBySoapState as StepBySoapState,
    soap as soap,
    step_by_soap as step_by_soap,
)
from ._sparse_adam import (
    ScaleBySparseAdamState as ScaleBySparseAdamState,
    scale_by_sparse_adam as scale_by_sparse_adam,
    sparse_adam as sparse_adam,
)
