"""Signs and trust ratios: the authors' numbers, precision, and what each is made for."""

import pytest

import optifunc as of

from .authors import assert_follows

NONE = False  # a mask that selects nothing
# The recorded runs: name -> (transformation, tolerance).
RECORDED = {
    "lion": lambda: of.lion(0.1, weight_decay=0.01),
    "lion_torch": lambda: of.lion(0.1, weight_decay=0.01),
    "lion_torch_decoupled": lambda: of.lion(
        0.1, weight_decay=0.01, decoupled_weight_decay=True
    ),
    "lion_smooth": lambda: of.lion(0.1, mode="smooth"),
    "lion_refined": lambda: of.lion(0.1, mode="refined"),
    "lion_cautious_wd": lambda: of.assemble(
        of.scale_by_lion(), lr=0.1, weight_decay=0.1, decay="cautious"
    ),
    "lamb": lambda: of.lamb(0.1, weight_decay=0.01),
    "lars": lambda: of.lars(1.0, weight_decay=0.01, trust_coefficient=0.05),
    # It leaves vectors alone.
    "lars_po": lambda: of.lars(
        0.1, weight_decay=0.01, mask=NONE, trust_ratio_mask=NONE
    ),
    "scale_by_trust_ratio": lambda: of.chain(
        of.scale_by_trust_ratio(trust_coefficient=0.1, eps=0.01), of.scale(-1.0)
    ),
    "adabelief": lambda: of.adabelief(0.1),
    "adabelief_nesterov": lambda: of.adabelief(0.1, nesterov=True),
    "adabelief_po": lambda: of.adabelief(0.1),
    "yogi": lambda: of.yogi(0.1),
    "yogi_po": lambda: of.yogi(0.1),
    "novograd": lambda: of.novograd(
        0.1, betas=(0.9, 0.25), eps=1e-6, weight_decay=0.01
    ),
    "novograd_po": lambda: of.novograd(0.1),
    "fromage": lambda: of.fromage(0.1, min_norm=1e-6),
    "fromage_po": lambda: of.fromage(0.1),
    "sm3_matrix": lambda: of.sm3(0.1),
    "sm3_vector": lambda: of.sm3(0.1),
    "sm3_po": lambda: of.sm3(0.1, momentum=0.0, eps=1e-30),
    "signum": lambda: of.signum(0.1),
    "tiger": lambda: of.tiger(0.1),
    "adan": lambda: of.adan(
        0.1,
        weight_decay=0.01,
        no_prox=True,
        eps_root=1e-8,
        difference_weight=1 - 0.92,
    ),
    "adan_optimi": lambda: of.adan(0.1, weight_decay=0.02, eps=1e-6),
    "adan_po": lambda: of.adan(0.1, weight_decay=0.02, no_prox=True),
    "adabound": lambda: of.adabound(0.1, final_lr=0.5),
    "madgrad": lambda: of.madgrad(0.1),
    "madgrad_po": lambda: of.madgrad(0.1),
    "aggmo": lambda: of.aggmo(0.1),
    "qhadam": lambda: of.qhadam(0.1),
    "qhm": lambda: of.qhm(0.1),
}
# The references have float32 constants inside: optax a root of the step, and
# pytorch_optimizer weights.
COARSE = {"madgrad": 5e-9, "qhadam": 3e-9}


@pytest.mark.parametrize("name", RECORDED)
def test_the_recorded_runs(name, x64):
    assert_follows(name, RECORDED[name](), atol=COARSE.get(name, 1e-9))
