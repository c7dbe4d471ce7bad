"""Kron, CAME, AdaLomo and Shampoo beside their authors' recorded runs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .authors import assert_follows

pytestmark = pytest.mark.slow

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


# --- AdaLomo --------------------------------------------------------------------------


def test_adalomo(x64):
    assert_follows("adalomo", of.adalomo(0.1))


# --- Shampoo --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "atol"),
    [
        # Sums of rank 1 and 2: what the roots make of their rounding, as large as where
        # the reference itself is restated (to 3e-9 and 1.1e-8).
        (
            "shampoo_adagrad",
            {"target_parameter_dimensionality": 2},
            1e-8,
        ),
        ("shampoo_merged_default", {}, 1e-8),
        (
            "shampoo_adam_graft",
            {
                "betas": (0.9, 0.999),
                "weight_decay": 0.01,
                "precondition_frequency": 2,
                "target_parameter_dimensionality": 2,
                "grafting": "adam",
            },
            3e-8,
        ),
        # Of bases of rank 2 in 3 dimensions; restated to 7e-9.
        (
            "shampoo_soap",
            {
                "betas": (0.9, 0.95),
                "eps": 1e-8,
                "precondition_frequency": 2,
                "target_parameter_dimensionality": 2,
                "eigenvalue_corrected": True,
            },
            2e-8,
        ),
    ],
)
def test_shampoo(name, options, atol, x64):
    assert_follows(name, of.shampoo(0.1, **options), atol=atol)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: of.kron(beta1=1.0), ValueError, "beta1 must be .* below 1, found 1"),
        (
            lambda: of.kron(preconditioner_update_probability=0.0),
            ValueError,
            "preconditioner_update_probability must be above 0",
        ),
        (lambda: of.kron(memory_save_mode="none"), ValueError, "mode must be one of"),
        (lambda: of.kron(precond_lr=-1.0), ValueError, "precond_lr must be at least"),
        (lambda: of.kron(precond_init_scale=0.0), ValueError, "scale must be above 0"),
        (lambda: of.kron(max_size_triangular=1.5), TypeError, "must be an integer"),
        (lambda: of.kron(seed=-1), ValueError, "seed must be at least 0"),
        (lambda: of.came(betas=(0.9, 0.99)), ValueError, "betas must be three numbers"),
        (lambda: of.came(betas=(0.9, 0.99, 1.0)), ValueError, r"betas\[2\] must be"),
        (lambda: of.came(eps=(0.0, 1.0)), ValueError, r"eps\[0\] must be above 0"),
        (lambda: of.came(eps=1e-30), ValueError, "eps must be a pair"),
        (lambda: of.came(clip_threshold=0.0), ValueError, "clip_threshold must be"),
        (lambda: of.adalomo(-1.0), ValueError, "lr must be at least 0, found -1.0"),
        (lambda: of.adalomo(eps=(0.0, 1.0)), ValueError, r"eps\[0\] must be above 0"),
        (lambda: of.adalomo(eps=(1.0, -1.0)), ValueError, r"eps\[1\] must be at least"),
        (lambda: of.adalomo(eps=1e-30), ValueError, "eps must be a pair"),
        (lambda: of.adalomo(clip_threshold=0.0), ValueError, "clip_threshold must be"),
        (lambda: of.adalomo(decay_rate=0.8), ValueError, "decay_rate must be at most"),
        (lambda: of.adalomo(weight_decay=-1.0), ValueError, "weight_decay must be at"),
        (lambda: of.shampoo(betas=(0.9, 0.0)), ValueError, r"betas\[1\] must be above"),
        (lambda: of.shampoo(eps=0.0), ValueError, "eps must be above 0"),
        (lambda: of.shampoo(beta3=1.0), ValueError, "beta3 must be .* below 1"),
        (lambda: of.shampoo(grafting="adamw"), ValueError, "grafting must be one of"),
        (
            lambda: of.shampoo(precondition_frequency=0),
            ValueError,
            "precondition_frequency must be at least 1",
        ),
        (
            lambda: of.shampoo(start_preconditioning_step=-1),
            ValueError,
            "start_preconditioning_step must be at least 1",
        ),
        (
            lambda: of.shampoo(target_parameter_dimensionality=0),
            ValueError,
            "target_parameter_dimensionality must be at least 1",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize("build", [of.kron, of.came, of.adalomo, of.shampoo])
def test_complex_parameters_and_other_shapes_are_named(build):
    tx = build()
    with pytest.raises(TypeError, match=r"only real .* complex64 at 'z'"):
        tx.init({"z": jnp.ones((2, 2), jnp.complex64)})
    params = {"w": jnp.ones((3, 2))}
    with pytest.raises(ValueError, match="differ in shape at 'w'"):
        tx.update({"w": jnp.ones((2, 3))}, tx.init(params), params)


def test_a_state_of_the_other_shampoo_is_refused():
    params = {"w": jnp.ones((3, 2))}
    corrected, other = of.shampoo(eigenvalue_corrected=True), of.shampoo()
    for tx, state in ((corrected, other.init(params)), (other, corrected.init(params))):
        with pytest.raises(ValueError, match="by scale_by_shampoo with eigenvalue_co"):
            tx.update(params, state, params)


def test_adalomo_needs_the_parameters():
    tx, params = of.adalomo(), {"w": jnp.ones((3, 2))}
    with pytest.raises(ValueError, match="adalomo needs the parameters"):
        tx.update(params, tx.init(params))


# --- what they are made for -----------------------------------------------------------

MATRICES = {
    "betas": (0.95, 0.95),
    "eps": 1e-8,
    "precondition_frequency": 5,
    "target_parameter_dimensionality": 2,
}


@pytest.mark.parametrize(
    "build",
    [
        lambda lr: of.soap(lr, weight_decay=0.0, precondition_frequency=5),
        lambda lr: of.kron(lr),
        lambda lr: of.shampoo(lr, **MATRICES, grafting="adam"),
        lambda lr: of.shampoo(lr, **MATRICES, eigenvalue_corrected=True),
    ],
    ids=["soap", "kron", "shampoo", "shampoo_corrected"],
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


def test_adalomo_moves_large_and_small_weights_by_the_same_share():
    """With row and column means for its state; Adam's steps fit one of the layers."""
    sizes = {"large": 10.0, "small": 1e-3}
    rng = np.random.default_rng(0)
    start = jnp.asarray(1 + 0.5 * rng.normal(size=(16, 16)), jnp.float32)
    noise = jnp.asarray(rng.normal(size=(300, 16, 16)), jnp.float32)

    @jax.jit
    def distance(tx):
        """From a minimum where all weights of a layer are of its size, as a share."""

        def step(carry, noise):
            params, state = carry
            grads = {k: params[k] - (1 - 0.1 * noise) * n for k, n in sizes.items()}
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        params = {k: n * start for k, n in sizes.items()}
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), noise)
        errors = [jnp.mean(jnp.abs(params[k] / n - 1)) for k, n in sizes.items()]
        return jnp.stack(errors).max()

    tx = of.adalomo(0.01)
    assert distance(tx) < 0.05
    kept = sum(leaf.size for leaf in jax.tree.leaves(tx.init({"w": start})))
    assert kept == 16 + 16 + 1
    for lr in (0.1, 0.01, 1e-3, 1e-4, 1e-5):
        assert distance(of.adam(lr)) > 0.1
