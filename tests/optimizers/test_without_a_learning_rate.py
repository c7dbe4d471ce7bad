"""Optimizers that find their step size: the authors' runs, and what they are for."""

import pytest

import optifunc as of

from .authors import assert_follows


def estimate(state, params):
    return of.find_in_state(state, "d")


ESTIMATING = {
    "prodigy": of.prodigy,
    "prodigy_bias_wd": lambda: of.prodigy(
        weight_decay=0.01,
        use_bias_correction=True,
        safeguard_warmup=True,
        d0=1e-3,
        d_coef=2.0,
        growth_rate=2.0,
    ),
    "prodigy_optax": lambda: of.prodigy(use_bias_correction=True),
    "prodigy_optax_safeguard": lambda: of.prodigy(
        weight_decay=0.01,
        use_bias_correction=True,
        safeguard_warmup=True,
        d_coef=2.0,
    ),
    "dadapt_adam": lambda: of.dadapt_adam(d0=1e-3),
    "dadapt_adamw": lambda: of.dadapt_adam(decouple=True, use_bias_correction=True),
}


@pytest.mark.parametrize("name", ESTIMATING)
def test_the_authors_runs(name, x64):
    assert_follows(name, ESTIMATING[name](), read=estimate)
