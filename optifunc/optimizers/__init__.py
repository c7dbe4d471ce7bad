"""The optimizers: one file each."""

from ._acprop import (
    ScaleByAcpropState as ScaleByAcpropState,
    acprop as acprop,
    scale_by_acprop as scale_by_acprop,
)
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
from ._adam_mini import (
    ScaleByAdamMiniState as ScaleByAdamMiniState,
    adam_mini as adam_mini,
    scale_by_adam_mini as scale_by_adam_mini,
)
from ._adamax import (
    ScaleByAdamaxState as ScaleByAdamaxState,
    adamax as adamax,
    scale_by_adamax as scale_by_adamax,
)
from ._apollo import (
    ScaleByApolloState as ScaleByApolloState,
    apollo as apollo,
    scale_by_apollo as scale_by_apollo,
)
from ._asgd import (
    StepByAsgdState as StepByAsgdState,
    asgd as asgd,
    step_by_asgd as step_by_asgd,
)
from ._assemble import assemble as assemble
from ._diffgrad import (
    ScaleByDiffgradState as ScaleByDiffgradState,
    diffgrad as diffgrad,
    scale_by_diffgrad as scale_by_diffgrad,
)
from ._galore import (
    ScaleByGaloreState as ScaleByGaloreState,
    galore as galore,
    scale_by_galore as scale_by_galore,
)
from ._lbfgs import (
    StepByLbfgsState as StepByLbfgsState,
    lbfgs as lbfgs,
    step_by_lbfgs as step_by_lbfgs,
)
from ._mars import (
    ScaleByMarsState as ScaleByMarsState,
    mars as mars,
    scale_by_mars as scale_by_mars,
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
from ._pid import (
    ScaleByPidState as ScaleByPidState,
    pid as pid,
    scale_by_pid as scale_by_pid,
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
from ._sgd import sgd as sgd
from ._spam import (
    ScaleBySpamState as ScaleBySpamState,
    scale_by_spam as scale_by_spam,
    spam as spam,
)
from ._sparse_adam import (
    ScaleBySparseAdamState as ScaleBySparseAdamState,
    scale_by_sparse_adam as scale_by_sparse_adam,
    sparse_adam as sparse_adam,
)
from ._stable_spam import (
    ScaleByStableSpamState as ScaleByStableSpamState,
    scale_by_stable_spam as scale_by_stable_spam,
    stable_spam as stable_spam,
)
from ._step_with_decay import step_with_decay as step_with_decay
