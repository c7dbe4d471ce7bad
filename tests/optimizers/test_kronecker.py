"""Kron, CAME and Shampoo beside their authors' recorded runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .authors import assert_follows

# --- Kron -----------------------------------------------------------------------------


def ones(params, i):
    return {"probes": jnp.ones_like(params)}


def test_kron(x64):
    assert_follows("kron_matrix", of.kron(0.1, weight_decay=0.01), extra=ones)
    assert_follows("kron_vector", of.kron(0.1), extra=ones)


# --- CAME -----------------------------------------------------------------------------


def test_came(x64):
    assert_follows("came", of.came(0.1, weight_decay=0.01))
    assert_follows("came_vector", of.came(0.1))


# --- Shampoo --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "atol"),
    [
        # Sums of rank 1 and 2: what the roots make of their rounding, as large as where
        # the reference itself is restated (to 3e-9 and 1.1e-8).
        (
            "shampoo_adagrad",
            {"target_parameter_dimensionality": 2},
            2e-8,
        ),
        ("shampoo_merged_default", {}, 2e-8),
        (
            "shampoo_adam_graft",
            {
                "betas": (0.9, 0.999),
                "weight_decay": 0.01,
                "precondition_frequency": 2,
                "target_parameter_dimensionality": 2,
                "grafting": "adam",
            },
            4e-8,
        ),
    ],
)
def test_shampoo(name, options, atol, x64):
    assert_follows(name, of.shampoo(0.1, **options), atol=atol)
