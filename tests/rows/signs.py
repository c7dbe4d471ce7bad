"""Signs and trust ratios."""

import optifunc as of

from .row import Row

ROWS = [
    Row(
        "lion",
        lambda: of.lion(0.01, weight_decay=0.1),
        optimizer=True,
        needs_params=True,
    ),
    Row("lion_smooth", lambda: of.lion(0.01, mode="smooth"), optimizer=True),
    Row("lion_refined", lambda: of.lion(0.01, mode="refined"), optimizer=True),
    Row(
        "lamb",
        lambda: of.lamb(0.01, weight_decay=0.1),
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row(
        "lars",
        lambda: of.lars(1.0, weight_decay=0.1, nesterov=True),
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row("adabelief", of.adabelief, optimizer=True),
    Row("adabelief_nesterov", lambda: of.adabelief(nesterov=True), optimizer=True),
    Row("yogi", of.yogi, optimizer=True),
    Row(
        "novograd",
        lambda: of.novograd(0.01, weight_decay=0.1),
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row(
        "fromage",
        of.fromage,
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row("sm3", of.sm3, optimizer=True, shapes=True, complex=False),
    Row(
        "sm3_without_momentum",
        lambda: of.sm3(momentum=0.0, beta=0.9),
        optimizer=True,
        shapes=True,
        complex=False,
    ),
    Row("signum", of.signum, optimizer=True),
    Row("tiger", of.tiger, optimizer=True, needs_params=True),
    Row("adan", of.adan, optimizer=True),
    Row(
        "adan_proximal",
        lambda: of.adan(weight_decay=0.1),
        optimizer=True,
        needs_params=True,
    ),
    Row("adabound", of.adabound, optimizer=True),
    Row("amsbound", lambda: of.adabound(amsbound=True), optimizer=True),
    Row("madgrad", of.madgrad, optimizer=True, needs_params=True),
    Row(
        "madgrad_without_momentum",
        lambda: of.madgrad(momentum=0.0),
        optimizer=True,
        needs_params=True,
    ),
    Row("aggmo", of.aggmo, optimizer=True),
    Row("qhadam", of.qhadam, optimizer=True),
    Row("qhm", of.qhm, optimizer=True),
]
