"""Kron, CAME and Shampoo beside their authors' recorded runs."""

import functools

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


# --- what they are made for -----------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda lr: of.soap(lr, weight_decay=0.0, precondition_frequency=5),
        lambda lr: of.kron(lr),
    ],
    ids=["soap", "kron"],
)
def test_fewer_steps_than_adam_where_axes_are_ill_conditioned(build):
    """Each with its best learning rate, which falls to 0 at the end."""
    rng = np.random.default_rng(0)

    def positive(size, condition):
        basis, _ = np.linalg.qr(rng.normal(size=(size, size)))
        return jnp.asarray(
            basis * np.geomspace(1, 1 / condition, size) @ basis.T, jnp.float32
        )

    left, right = positive(12, 100), positive(10, 100)
    start = jnp.asarray(rng.normal(size=(12, 10)), jnp.float32)

    def value(p):
        return 0.5 * jnp.sum(p * (left @ p @ right))

    @functools.partial(jax.jit, static_argnames="count")
    def last(tx, count):
        def step(carry, i):
            params, state = carry
            updates, state = tx.update(jax.grad(value)(params), state, params)
            fading = 1 - i / count
            updates = jax.tree.map(lambda u: fading * u, updates)
            return (of.apply_updates(params, updates), state), None

        carry = start, tx.init(start)
        (params, _), _ = jax.lax.scan(step, carry, jnp.arange(float(count)))
        return value(params)

    grid = (0.03, 0.1, 0.3)
    ours = min(float(last(build(lr), 200)) for lr in grid)
    adam = min(float(last(of.adam(lr), 400)) for lr in grid)
    # In half the steps.
    assert ours < adam
