"""Relatives of Adam."""

import optifunc as of

from .row import Row


def one_layer(path, leaf):
    return "all"


ROWS = [
    Row(
        "rmsprop_optax",
        lambda: of.rmsprop(
            momentum=0.9,
            initial_scale=0.1,
            eps_in_sqrt=True,
            bias_correction=True,
            nesterov=True,
        ),
        optimizer=True,
    ),
    Row("adam_nesterov", lambda: of.adam(nesterov=True), optimizer=True),
    Row("ademamix", of.ademamix, optimizer=True),
    Row(
        "ademamix_warmup",
        lambda: of.ademamix(
            betas=(0.0, 0.999, 0.9999),
            beta3_warmup=2,
            alpha_warmup=4,
            weight_decay=0.1,
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row("simplified_ademamix", of.simplified_ademamix, optimizer=True),
    Row("adopt", of.adopt, optimizer=True),
    Row(
        "adopt_decoupled",
        lambda: of.adopt(
            clip_lambda=None, weight_decay=0.1, decouple=True, nesterov=True
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row("optimistic_gradient_descent", of.optimistic_gradient_descent, optimizer=True),
    Row("optimistic_adam", of.optimistic_adam, optimizer=True),
    # The bound is below the least loss, so that no step is the last one.
    Row("polyak_sgd", lambda: of.polyak_sgd(f_min=-1.0), optimizer=True, value=True),
    Row(
        "momo",
        lambda: of.momo(lower_bound=-1.0),
        optimizer=True,
        shapes=True,
        needs_params=True,
        value=True,
    ),
    Row(
        "momo_adapted",
        lambda: of.momo(weight_decay=0.1, adapt_lower_bound=True),
        optimizer=True,
        shapes=True,
        needs_params=True,
        value=True,
    ),
    Row(
        "momo_adam",
        # A small one: small squares are 0 in float16.
        lambda: of.momo_adam(1e-3),
        optimizer=True,
        shapes=True,
        needs_params=True,
        value=True,
    ),
    Row("laprop", of.laprop, optimizer=True),
    Row(
        "laprop_centered",
        lambda: of.laprop(
            weight_decay=0.1, centered=True, steps_before_using_centered=1
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "stableadamw",
        of.stableadamw,
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row("adam_atan2", of.adam_atan2, optimizer=True),
    Row(
        "adam_atan2_cautious",
        lambda: of.adam_atan2(weight_decay=0.1, cautious_wd=True, cautious_factor=0.5),
        optimizer=True,
        shapes=True,
        needs_params=True,
    ),
    Row("radam_optax", lambda: of.radam(eps_after_correction=True), optimizer=True),
    Row(
        "ranger",
        lambda: of.ranger(0.1, weight_decay=0.1, sync_period=2, centralized=True),
        optimizer=True,
        shapes=True,
        needs_params=True,
    ),
    Row(
        "amos",
        lambda: of.amos(0.1, momentum=0.9, extra_l2=1e-4),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row("kourkoutas", of.kourkoutas, optimizer=True, shapes=True, complex=False),
    Row(
        "kourkoutas_options",
        lambda: of.kourkoutas(
            weight_decay=0.1,
            decay=0.99,
            max_ratio=3.0,
            adaptive_tiny=True,
            bias_correction="exact",
            warmup_steps=1,
            layers=one_layer,
        ),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row("sophia", of.sophia, optimizer=True, needs_params=True, value_fn=True),
    Row("swats", lambda: of.swats(tolerance=0.5), optimizer=True),
    Row(
        "adahessian",
        lambda: of.adahessian(hessian_power=0.5, weight_decay=0.1),
        optimizer=True,
        needs_params=True,
        value_fn=True,
    ),
    Row(
        "sophia_g",
        of.sophia_g,
        optimizer=True,
        needs_params=True,
        sampled_grad=True,
    ),
]
