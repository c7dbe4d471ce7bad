"""Without a learning rate or a schedule."""

import optifunc as of

from .row import Row

ROWS = [
    Row("schedule_free_sgd", of.schedule_free_sgd, optimizer=True, needs_params=True),
    Row(
        "schedule_free_adamw",
        lambda: of.schedule_free_adamw(0.1, weight_decay=0.1, warmup_steps=2, r=1.0),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "schedule_free_radam",
        lambda: of.schedule_free_radam(0.1, (0.9, 0.99), silent_sgd_phase=False),
        optimizer=True,
        needs_params=True,
    ),
    Row("prodigy", of.prodigy, optimizer=True, needs_params=True),
    Row(
        "prodigy_options",
        lambda: of.prodigy(
            weight_decay=0.1,
            use_bias_correction=True,
            safeguard_warmup=True,
            d0=1e-2,
            growth_rate=1.5,
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row("dadapt_adam", lambda: of.dadapt_adam(d0=1e-2), optimizer=True),
    Row(
        "dadapt_adam_decoupled",
        lambda: of.dadapt_adam(
            weight_decay=0.1, decouple=True, use_bias_correction=True, d0=1e-2
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "dadapt_sgd",
        lambda: of.dadapt_sgd(momentum=0.5, weight_decay=0.1, d0=1e-2),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "dadapt_adagrad",
        lambda: of.dadapt_adagrad(momentum=0.5, d0=1e-2),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "dadapt_lion",
        lambda: of.dadapt_lion(weight_decay=0.1, d0=1e-2),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "dadapt_adan",
        lambda: of.dadapt_adan(d0=1e-2),
        optimizer=True,
        needs_params=True,
    ),
    Row("dog", lambda: of.dog(reps_rel=0.1), optimizer=True, needs_params=True),
    Row(
        "dog_layerwise",
        lambda: of.dog(init_eta=0.1, weight_decay=0.1, layerwise=True),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row("dowg", lambda: of.dowg(weight_decay=0.1), optimizer=True, needs_params=True),
    Row("cocob", of.cocob, optimizer=True, needs_params=True),
    Row(
        "gpa_adamw",
        lambda: of.gpa_adamw(0.1, weight_decay=0.1, eval_interp_coeff=0.9),
        optimizer=True,
        needs_params=True,
    ),
]
