"""torch.optim's interface: optimizers that hold their parameters and state."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from . import (
        clip_grad as clip_grad,
        lr_scheduler as lr_scheduler,
        swa_utils as swa_utils,
    )
    from ._acprop import ACProp as ACProp
    from ._adabelief import AdaBelief as AdaBelief
    from ._adabound import AdaBound as AdaBound
    from ._adadelta import Adadelta as Adadelta
    from ._adafactor import Adafactor as Adafactor
    from ._adagrad import Adagrad as Adagrad
    from ._adalomo import AdaLomo as AdaLomo
    from ._adam import Adam as Adam
    from ._adam_atan2 import AdamAtan2 as AdamAtan2
    from ._adam_mini import AdamMini as AdamMini
    from ._adamax import Adamax as Adamax
    from ._adamuon import AdaMuon as AdaMuon
    from ._adamw import AdamW as AdamW
    from ._adan import Adan as Adan
    from ._ademamix import AdEMAMix as AdEMAMix
    from ._adopt import ADOPT as ADOPT
    from ._aggmo import AggMo as AggMo
    from ._amos import Amos as Amos
    from ._apollo import Apollo as Apollo
    from ._asgd import ASGD as ASGD
    from ._came import CAME as CAME
    from ._cocob import COCOB as COCOB
    from ._dadapt import (
        DAdaptAdaGrad as DAdaptAdaGrad,
        DAdaptAdan as DAdaptAdan,
        DAdaptLion as DAdaptLion,
        DAdaptSGD as DAdaptSGD,
    )
    from ._dadapt_adam import DAdaptAdam as DAdaptAdam
    from ._diffgrad import DiffGrad as DiffGrad
    from ._dion import Dion as Dion
    from ._dog import DoG as DoG, DoWG as DoWG
    from ._fromage import Fromage as Fromage
    from ._galore import GaLoreAdamW as GaLoreAdamW
    from ._gpa_adamw import GPAAdamW as GPAAdamW
    from ._kourkoutas import Kourkoutas as Kourkoutas
    from ._kron import Kron as Kron
    from ._lamb import Lamb as Lamb
    from ._laprop import LaProp as LaProp
    from ._lars import LARS as LARS
    from ._lbfgs import LBFGS as LBFGS
    from ._lion import Lion as Lion
    from ._madgrad import MADGRAD as MADGRAD
    from ._mars import MARS as MARS
    from ._momo import Momo as Momo, MomoAdam as MomoAdam
    from ._muon import Muon as Muon
    from ._nadam import NAdam as NAdam
    from ._normuon import NorMuon as NorMuon
    from ._novograd import NovoGrad as NovoGrad
    from ._optimistic import (
        OptimisticAdam as OptimisticAdam,
        OptimisticGradientDescent as OptimisticGradientDescent,
    )
    from ._optimizer import Optimizer as Optimizer
    from ._pid import PID as PID
    from ._polyak_sgd import PolyakSGD as PolyakSGD
    from ._prodigy import Prodigy as Prodigy
    from ._qhadam import QHAdam as QHAdam
    from ._qhm import QHM as QHM
    from ._radam import RAdam as RAdam
    from ._ranger import Ranger as Ranger
    from ._rmsprop import RMSprop as RMSprop
    from ._rprop import Rprop as Rprop
    from ._schedule_free import (
        AdamWScheduleFree as AdamWScheduleFree,
        RAdamScheduleFree as RAdamScheduleFree,
        SGDScheduleFree as SGDScheduleFree,
    )
    from ._scion import Scion as Scion
    from ._sgd import SGD as SGD
    from ._shampoo import Shampoo as Shampoo
    from ._signum import Signum as Signum
    from ._simplified_ademamix import SimplifiedAdEMAMix as SimplifiedAdEMAMix
    from ._sm3 import SM3 as SM3
    from ._soap import SOAP as SOAP
    from ._sophia import Sophia as Sophia
    from ._sophia_g import SophiaG as SophiaG
    from ._spam import SPAM as SPAM
    from ._sparse_adam import SparseAdam as SparseAdam
    from ._splus import SPlus as SPlus
    from ._stable_spam import StableSPAM as StableSPAM
    from ._stableadamw import StableAdamW as StableAdamW
    from ._stateful import Stateful as Stateful
    from ._swats import SWATS as SWATS
    from ._tiger import Tiger as Tiger
    from ._yogi import Yogi as Yogi
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
