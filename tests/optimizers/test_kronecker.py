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
