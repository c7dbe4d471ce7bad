"""Relatives of Adam, beside their authors' implementations and formulas."""

import jax.numpy as jnp
import optax
import pytest

import optifunc as of

from .authors import PROBLEMS, assert_follows

RECORDED = {
    "ademamix": lambda: of.ademamix(0.1, alpha=5.0, weight_decay=0.01),
    "ademamix_torch": lambda: of.ademamix(0.1, weight_decay=0.01),
    "ademamix_torch_warmup": lambda: of.ademamix(
        0.1, alpha=5.0, beta3_warmup=10, alpha_warmup=10
    ),
    "adopt": lambda: of.adopt(0.1),
    "adopt_nesterov": lambda: of.adopt(0.1, nesterov=True),
    "adopt_torch": lambda: of.adopt(0.1, weight_decay=0.01, decouple=True),
    "simplified_ademamix": lambda: of.simplified_ademamix(
        0.01, alpha=2.0, weight_decay=0.01
    ),
    "optimistic_gradient_descent": lambda: of.optimistic_gradient_descent(
        0.1, beta=0.5
    ),
    "optimistic_adam": lambda: of.optimistic_adam(0.1, beta=0.05 / 0.1, nesterov=True),
    "optimistic_adam_v2": lambda: of.optimistic_adam(0.1, beta=0.5, nesterov=True),
    "polyak_sgd": lambda: of.polyak_sgd(0.2),
    "polyak_sgd_spsplus": lambda: of.polyak_sgd(f_min=9.0, eps=0.1, variant="sps+"),
    "momo": of.momo,
    "momo_adam": lambda: of.momo_adam(0.1),
    "laprop": lambda: of.laprop(0.1, weight_decay=0.01),
    "laprop_centered": lambda: of.laprop(
        0.1, centered=True, steps_before_using_centered=1
    ),
    "stableadamw": lambda: of.stableadamw(0.1),
    "stableadamw_decouple_lr": lambda: of.stableadamw(
        0.1, weight_decay=1e-3, decouple_lr=True
    ),
    "adam_atan2": lambda: of.adam_atan2(0.1, weight_decay=0.01),
    "rmsprop": lambda: of.rmsprop(0.1, 0.9, momentum=0.9, eps_in_sqrt=True),
    "rmsprop_bias_correction": lambda: of.rmsprop(0.1, 0.9, bias_correction=True),
    "rmsprop_centered": lambda: of.rmsprop(
        0.1, 0.9, momentum=0.5, centered=True, eps_in_sqrt=True, nesterov=True
    ),
    "adagrad_optax": lambda: of.adagrad(
        0.1, initial_accumulator_value=0.1, eps=1e-7, eps_in_sqrt=True
    ),
    "adamaxw": lambda: of.adamax(0.1, weight_decay=0.01, decoupled_weight_decay=True),
    "nadam_optax": lambda: of.adam(0.1, nesterov=True),
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_runs_of_the_authors(name, x64):
    assert_follows(name, RECORDED[name]())


def test_momo_with_an_adapted_bound(x64):
    tx = of.momo(weight_decay=0.01, lower_bound=-1.0, adapt_lower_bound=True)
    assert_follows(
        "momo_adaptlb_wd", tx, read=lambda state, _: of.find_in_state(state, "lb")
    )


def with_loss(tx, value_fn):
    """``tx``, shown another loss than the gradients are of."""

    def update(updates, state, params, **extra):
        return tx.update(updates, state, params, **(extra | {"value_fn": value_fn}))

    return of.as_transformation(optax.GradientTransformationExtraArgs(tx.init, update))


def test_sophia_with_the_exact_diagonal(x64):
    # The Hessian of this loss is the diagonal of that of the run: signs do not matter.
    diagonal = jnp.diag(jnp.asarray(PROBLEMS["V"]["H"]))
    tx = of.sophia(0.1, update_interval=2)
    tx = with_loss(tx, lambda params: 0.5 * jnp.sum(diagonal * params**2))
    assert_follows("sophia_h_diag", tx)


def test_sophia_g(x64):
    h = jnp.asarray(PROBLEMS["V"]["H"])

    def extra(params, i):
        return {"sampled_grad": 0.5 * h @ params} if i in (0, 2) else {}

    assert_follows("sophia_g", of.sophia_g(0.1, bs=10.0), extra=extra)
