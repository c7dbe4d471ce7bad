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
from ._asgd import (
    StepByAsgdState as StepByAsgdState,
    asgd as asgd,
    step_by_asgd as step_by_asgd,
)
from ._assemble import assemble as assemble
from ._cocob import (
    StepByCocobState as StepByCocobState,
    cocob as cocob,
    step_by_cocob as step_by_cocob,
)
from ._dadapt_adam import (
    StepByDadaptAdamState as StepByDadaptAdamState,
    dadapt_adam as dadapt_adam,
    step_by_dadapt_adam as step_by_dadapt_adam,
)
from ._dog import (
    StepByDogState as StepByDogState,
    dog as dog,
    step_by_dog as step_by_dog,
)
from ._dowg import (
    StepByDowgState as StepByDowgState,
    dowg as dowg,
    step_by_dowg as step_by_dowg,
)
from ._gpa_adamw import (
    StepByGpaState as StepByGpaState,
    gpa_adamw as gpa_adamw,
    step_by_gpa as step_by_gpa,
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
from ._prodigy import (
    StepByProdigyState as StepByProdigyState,
    prodigy as prodigy,
    step_by_prodigy as step_by_prodigy,
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
from ._schedule_free import (
    ScaleByCorrectedRmsState as ScaleByCorrectedRmsState,
    scale_by_corrected_rms as scale_by_corrected_rms,
    schedule_free_adamw as schedule_free_adamw,
    schedule_free_sgd as schedule_free_sgd,
)
from ._schedule_free_radam import (
    StepByRectifiedRmsState as StepByRectifiedRmsState,
    schedule_free_radam as schedule_free_radam,
    step_by_rectified_rms as step_by_rectified_rms,
)
from ._sgd import sgd as sgd
from ._sparse_adam import (
    ScaleBySparseAdamState as ScaleBySparseAdamState,
    scale_by_sparse_adam as scale_by_sparse_adam,
    sparse_adam as sparse_adam,
)
