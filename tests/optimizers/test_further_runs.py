"""Further optimizers and options on recorded runs of their authors' code."""

import pytest

import optifunc as of

from .authors import assert_follows

RECORDED = {
    "radam_optax": lambda: of.radam(0.1, eps_after_correction=True),
    "kourkoutas": lambda: of.kourkoutas(0.1),
    "kourkoutas_exact": lambda: of.kourkoutas(0.1, bias_correction="exact"),
    "ranger_optimi": lambda: of.ranger(0.1, sync_period=3),
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_runs_of_the_authors(name, x64):
    assert_follows(name, RECORDED[name]())
