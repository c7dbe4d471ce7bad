"""The optimizers: one file each."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from ._acprop import (
        ScaleByAcpropState as ScaleByAcpropState,
        acprop as acprop,
        scale_by_acprop as scale_by_acprop,
    )
    from ._adabelief import (
        ScaleByAdabeliefState as ScaleByAdabeliefState,
        adabelief as adabelief,
        scale_by_adabelief as scale_by_adabelief,
    )
    from ._adabound import (
        StepByAdaboundState as StepByAdaboundState,
        adabound as adabound,
        step_by_adabound as step_by_adabound,
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
    from ._adahessian import (
        ScaleByAdahessianState as ScaleByAdahessianState,
        adahessian as adahessian,
        scale_by_adahessian as scale_by_adahessian,
    )
    from ._adalomo import (
        ScaleByAdalomoState as ScaleByAdalomoState,
        adalomo as adalomo,
        scale_by_adalomo as scale_by_adalomo,
    )
    from ._adam import (
        ScaleByAdamState as ScaleByAdamState,
        adam as adam,
        adamw as adamw,
        scale_by_adam as scale_by_adam,
    )
    from ._adam_atan2 import (
        ScaleByAdamAtan2State as ScaleByAdamAtan2State,
        adam_atan2 as adam_atan2,
        scale_by_adam_atan2 as scale_by_adam_atan2,
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
    from ._adamuon import (
        ScaleByAdamuonState as ScaleByAdamuonState,
        adamuon as adamuon,
        scale_by_adamuon as scale_by_adamuon,
    )
    from ._adan import (
        ScaleByAdanState as ScaleByAdanState,
        adan as adan,
        scale_by_adan as scale_by_adan,
    )
    from ._ademamix import (
        ScaleByAdemamixState as ScaleByAdemamixState,
        ademamix as ademamix,
        scale_by_ademamix as scale_by_ademamix,
    )
    from ._adopt import (
        ScaleByAdoptState as ScaleByAdoptState,
        adopt as adopt,
        scale_by_adopt as scale_by_adopt,
    )
    from ._aggmo import (
        ScaleByAggmoState as ScaleByAggmoState,
        aggmo as aggmo,
        scale_by_aggmo as scale_by_aggmo,
    )
    from ._amos import (
        StepByAmosState as StepByAmosState,
        amos as amos,
        step_by_amos as step_by_amos,
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
    from ._came import (
        ScaleByCameState as ScaleByCameState,
        came as came,
        scale_by_came as scale_by_came,
    )
    from ._cocob import (
        StepByCocobState as StepByCocobState,
        cocob as cocob,
        step_by_cocob as step_by_cocob,
    )
    from ._dadapt_adagrad import (
        StepByDadaptAdagradState as StepByDadaptAdagradState,
        dadapt_adagrad as dadapt_adagrad,
        step_by_dadapt_adagrad as step_by_dadapt_adagrad,
    )
    from ._dadapt_adam import (
        StepByDadaptAdamState as StepByDadaptAdamState,
        dadapt_adam as dadapt_adam,
        step_by_dadapt_adam as step_by_dadapt_adam,
    )
    from ._dadapt_adan import (
        StepByDadaptAdanState as StepByDadaptAdanState,
        dadapt_adan as dadapt_adan,
        step_by_dadapt_adan as step_by_dadapt_adan,
    )
    from ._dadapt_lion import (
        StepByDadaptLionState as StepByDadaptLionState,
        dadapt_lion as dadapt_lion,
        step_by_dadapt_lion as step_by_dadapt_lion,
    )
    from ._dadapt_sgd import (
        StepByDadaptSgdState as StepByDadaptSgdState,
        dadapt_sgd as dadapt_sgd,
        step_by_dadapt_sgd as step_by_dadapt_sgd,
    )
    from ._diffgrad import (
        ScaleByDiffgradState as ScaleByDiffgradState,
        diffgrad as diffgrad,
        scale_by_diffgrad as scale_by_diffgrad,
    )
    from ._dion import (
        ScaleByDionState as ScaleByDionState,
        dion as dion,
        scale_by_dion as scale_by_dion,
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
    from ._fromage import fromage as fromage, step_by_fromage as step_by_fromage
    from ._galore import (
        ScaleByGaloreState as ScaleByGaloreState,
        galore as galore,
        scale_by_galore as scale_by_galore,
    )
    from ._gpa_adamw import (
        StepByGpaState as StepByGpaState,
        gpa_adamw as gpa_adamw,
        step_by_gpa as step_by_gpa,
    )
    from ._hyperball import (
        StepByHyperballState as StepByHyperballState,
        step_by_hyperball as step_by_hyperball,
    )
    from ._kourkoutas import (
        ScaleByKourkoutasState as ScaleByKourkoutasState,
        kourkoutas as kourkoutas,
        scale_by_kourkoutas as scale_by_kourkoutas,
    )
    from ._kron import (
        ScaleByKronState as ScaleByKronState,
        kron as kron,
        scale_by_kron as scale_by_kron,
    )
    from ._lamb import lamb as lamb
    from ._laprop import (
        StepByLapropState as StepByLapropState,
        laprop as laprop,
        step_by_laprop as step_by_laprop,
    )
    from ._lars import lars as lars
    from ._lbfgs import (
        StepByLbfgsState as StepByLbfgsState,
        lbfgs as lbfgs,
        step_by_lbfgs as step_by_lbfgs,
    )
    from ._lbfgs_direction import (
        ScaleByLbfgsState as ScaleByLbfgsState,
        scale_by_lbfgs as scale_by_lbfgs,
    )
    from ._lion import (
        ScaleByLionState as ScaleByLionState,
        lion as lion,
        scale_by_lion as scale_by_lion,
    )
    from ._madgrad import (
        StepByMadgradState as StepByMadgradState,
        madgrad as madgrad,
        step_by_madgrad as step_by_madgrad,
    )
    from ._mars import (
        ScaleByMarsState as ScaleByMarsState,
        mars as mars,
        scale_by_mars as scale_by_mars,
    )
    from ._momo import (
        StepByMomoState as StepByMomoState,
        momo as momo,
        step_by_momo as step_by_momo,
    )
    from ._momo_adam import (
        StepByMomoAdamState as StepByMomoAdamState,
        momo_adam as momo_adam,
        step_by_momo_adam as step_by_momo_adam,
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
    from ._novograd import (
        ScaleByNovogradState as ScaleByNovogradState,
        novograd as novograd,
        scale_by_novograd as scale_by_novograd,
    )
    from ._optimistic import (
        ScaleByOptimismState as ScaleByOptimismState,
        optimistic_adam as optimistic_adam,
        optimistic_gradient_descent as optimistic_gradient_descent,
        scale_by_optimism as scale_by_optimism,
    )
    from ._pid import (
        ScaleByPidState as ScaleByPidState,
        pid as pid,
        scale_by_pid as scale_by_pid,
    )
    from ._polyak_sgd import (
        StepByPolyakSgdState as StepByPolyakSgdState,
        polyak_sgd as polyak_sgd,
        step_by_polyak_sgd as step_by_polyak_sgd,
    )
    from ._prodigy import (
        StepByProdigyState as StepByProdigyState,
        prodigy as prodigy,
        step_by_prodigy as step_by_prodigy,
    )
    from ._qhadam import (
        ScaleByQhadamState as ScaleByQhadamState,
        ScaleByQhmState as ScaleByQhmState,
        qhadam as qhadam,
        qhm as qhm,
        scale_by_qhadam as scale_by_qhadam,
        scale_by_qhm as scale_by_qhm,
    )
    from ._radam import (
        ScaleByRadamState as ScaleByRadamState,
        radam as radam,
        scale_by_radam as scale_by_radam,
    )
    from ._ranger import ranger as ranger
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
    from ._signum import signum as signum, tiger as tiger
    from ._simplified_ademamix import (
        ScaleBySimplifiedAdemamixState as ScaleBySimplifiedAdemamixState,
        scale_by_simplified_ademamix as scale_by_simplified_ademamix,
        simplified_ademamix as simplified_ademamix,
    )
    from ._sm3 import (
        ScaleBySm3State as ScaleBySm3State,
        scale_by_sm3 as scale_by_sm3,
        sm3 as sm3,
    )
    from ._soap import (
        StepBySoapState as StepBySoapState,
        soap as soap,
        step_by_soap as step_by_soap,
    )
    from ._sophia import (
        ScaleBySophiaState as ScaleBySophiaState,
        scale_by_sophia as scale_by_sophia,
        sophia as sophia,
    )
    from ._sophia_g import (
        ScaleBySophiaGState as ScaleBySophiaGState,
        scale_by_sophia_g as scale_by_sophia_g,
        sophia_g as sophia_g,
    )
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
    from ._splus import (
        StepBySplusState as StepBySplusState,
        splus as splus,
        step_by_splus as step_by_splus,
    )
    from ._stable_spam import (
        ScaleByStableSpamState as ScaleByStableSpamState,
        scale_by_stable_spam as scale_by_stable_spam,
        stable_spam as stable_spam,
    )
    from ._stableadamw import (
        ScaleByStableadamwState as ScaleByStableadamwState,
        scale_by_stableadamw as scale_by_stableadamw,
        stableadamw as stableadamw,
    )
    from ._step_with_decay import step_with_decay as step_with_decay
    from ._swats import (
        ScaleBySwatsState as ScaleBySwatsState,
        scale_by_swats as scale_by_swats,
        swats as swats,
    )
    from ._yogi import (
        ScaleByYogiState as ScaleByYogiState,
        scale_by_yogi as scale_by_yogi,
        yogi as yogi,
    )
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
