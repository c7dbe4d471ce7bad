"""Filtered and low-rank gradients."""

import jax.numpy as jnp

import optifunc as of

from .row import Row

ROWS = [
    Row(
        "adafactor_like_optax",
        lambda: of.adafactor(
            0.1,
            eps=(1e-30, 1e-3),
            weight_decay=0.1,
            factored_axes="largest",
            relative_step=False,
            momentum=0.9,
            momentum_dtype=jnp.float32,
            beta2_cap=0.99,
            add_eps=True,
            scale_weight_decay=False,
        ),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "adam_mini",
        lambda: of.adam_mini(weight_decay=0.1),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "galore",
        lambda: of.galore(weight_decay=0.1, rank=1, update_proj_gap=2),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "apollo",
        lambda: of.apollo(weight_decay=0.1, rank=2, update_proj_gap=2),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "apollo_mini",
        lambda: of.apollo(
            rank=1, scale=16.0, proj="svd", scale_type="tensor", scale_front=True
        ),
        optimizer=True,
        shapes=True,
        complex=False,
    ),
    Row(
        "mars",
        lambda: of.mars(weight_decay=0.1),
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row(
        "mars_lion",
        lambda: of.mars(mars_type="mars-lion"),
        optimizer=True,
        shapes=True,
        magnitudes=True,
    ),
    Row(
        "mars_shampoo",
        lambda: of.mars(mars_type="mars-shampoo"),
        optimizer=True,
        shapes=True,
        matrices=True,
        complex=False,
    ),
    Row(
        "pid",
        lambda: of.pid(weight_decay=0.1),
        optimizer=True,
        needs_params=True,
    ),
    Row("diffgrad", of.diffgrad, optimizer=True),
    Row("acprop", lambda: of.acprop(betas=(0.9, 0.9), eps=1e-3), optimizer=True),
    Row(
        "spam",
        lambda: of.spam(
            betas=(0.9, 0.9),
            weight_decay=0.1,
            threshold=0.5,
            grad_accu_steps=1,
            update_proj_gap=2,
            warmup_epoch=1,
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "stable_spam",
        lambda: of.stable_spam(weight_decay=0.1, update_proj_gap=2),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "corrected_decay",
        lambda: of.assemble(
            of.scale_by_adam(), lr=0.1, weight_decay=0.1, decay="corrected"
        ),
        optimizer=True,
        needs_params=True,
    ),
]
