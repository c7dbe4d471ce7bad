"""Optimizers of matrices in float32 beside float64, over many steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

STEPS = 5000
SHAPE = (6, 6)


def final(tx, dtype):
    """The sum of the updates from the same float32 gradients."""
    rng = np.random.default_rng(0)
    # Eigenvalues that differ and are not 0, so that their vectors are not arbitrary.
    left, right = (
        np.linalg.qr(rng.normal(size=(n, n)))[0] * np.geomspace(1, 0.3, n)
        for n in SHAPE
    )
    noise = rng.normal(size=(STEPS, *SHAPE))
    grads = (left @ (noise + 0.1) @ right.T).astype(np.float32)

    @jax.jit
    def run(grads):
        def step(carry, grads):
            params, state = carry
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        start = jnp.zeros(SHAPE, dtype)
        (params, _), _ = jax.lax.scan(step, (start, tx.init(start)), grads)
        return params

    found = run(jnp.asarray(grads, dtype))
    assert found.dtype == dtype
    return np.asarray(found, np.float64)


@pytest.mark.parametrize(
    ("build", "bound"),
    [
        (lambda: of.adam(1e-3), 2e-5),
        (lambda: of.muon(1e-3, 0.0, ns_dtype="float32", bias_correction=True), 2e-5),
        (lambda: of.normuon(1e-3, ns_dtype="float32"), 2e-5),
        (lambda: of.adamuon(1e-3, sign=False, ns_dtype="float32"), 2e-5),
        (lambda: of.dion(1e-3, weight_decay=0.0, rank_fraction=0.5), 2e-5),
        (lambda: of.scion(1e-3, 0.1, ns_dtype="float32", unconstrained=True), 2e-5),
        (lambda: of.soap(1e-3, weight_decay=0.0), 2e-5),
        (lambda: of.shampoo(1e-3, (0.9, 0.99), 1e-6, grafting="adam"), 2e-5),
        (
            lambda: of.shampoo(
                1e-3,
                (0.9, 0.99),
                1e-8,
                precondition_frequency=100,
                target_parameter_dimensionality=2,
                eigenvalue_corrected=True,
            ),
            2e-5,
        ),
        # Where a rotated mean is near 0 its sign may differ.
        (lambda: of.splus(1e-2, inverse_steps=100), 5e-4),
        (lambda: of.kron(1e-3), 2e-5),
        (lambda: of.came(1e-3), 2e-5),
        (lambda: of.adalomo(1e-3), 2e-5),
    ],
    ids=[
        "adam",
        "muon",
        "normuon",
        "adamuon",
        "dion",
        "scion",
        "soap",
        "shampoo",
        "shampoo_corrected",
        "splus",
        "kron",
        "came",
        "adalomo",
    ],
)
def test_float32_beside_float64(build, bound, x64):
    exact, found = final(build(), "float64"), final(build(), "float32")
    # Relative to the way: a step rounds by 1e-7 of where it arrives. Adam: 2e-6.
    error = np.abs(found - exact).max()
    assert error < bound * np.abs(exact).max()
