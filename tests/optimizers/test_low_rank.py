"""GaLore and APOLLO: recorded runs, optax, and what they are for."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

from .authors import assert_follows

pytestmark = pytest.mark.slow


def test_recorded_runs(x64):
    options = {"rank": 1, "update_proj_gap": 2}
    assert_follows("galore_adamw", of.galore(0.1, weight_decay=0.01, **options))
    for kind in ("channel", "tensor"):
        tx = of.apollo(0.1, rank=1, proj="svd", scale_type=kind)
        assert_follows(f"apollo_svd_{kind}", tx)


def adam_eps(step):
    """An eps that is 1e-8 after the correction, as optax's."""
    return 1e-8 * jnp.sqrt(1 - 0.999 ** (step + 1).astype(float))


def like_optax(**options):
    return of.galore(0.1, eps=adam_eps, scale=1.0, proj_type="reverse_std", **options)


def test_recorded_run_of_optax(x64):
    # Which decomposes in float32.
    tx = like_optax(rank=1, update_proj_gap=2)
    assert_follows("galore_matrix", tx, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5)])
def test_agrees_with_optax(shape, x64):
    """Over a gap of 20 steps: later singular vectors may have other signs."""
    grads = jnp.asarray(np.random.default_rng(0).normal(size=(20, *shape)))

    def path(tx, apply_updates):
        def step(carry, grads):
            params, state = carry
            updates, state = tx.update(grads, state, params)
            params = apply_updates(params, updates)
            return (params, state), params

        start = jnp.ones(shape)
        with jax.numpy_dtype_promotion("standard"):
            return jax.lax.scan(step, (start, tx.init(start)), grads)[1]

    found = path(like_optax(rank=2), of.apply_updates)
    expected = path(optax.contrib.galore(0.1, rank=2), optax.apply_updates)
    np.testing.assert_allclose(found, expected, 0, 1e-5)  # their float32


SHAPES = {"wide": (4, 7), "tall": (7, 4), "small": (2, 9), "vector": (5,)}


def tree(seed=0):
    rng = np.random.default_rng(seed)
    return {k: jnp.asarray(rng.normal(size=s), "float32") for k, s in SHAPES.items()}


@pytest.mark.parametrize("name", ["galore", "apollo"])
def test_what_is_kept(name):
    tx = getattr(of, f"scale_by_{name}")(rank=2)
    state = tx.init(tree())
    for proj_type, low, projection in (
        ("std", {"wide": (2, 7), "tall": (7, 2)}, {"wide": (4, 2), "tall": (2, 4)}),
        (
            "reverse_std",
            {"wide": (4, 2), "tall": (2, 4)},
            {"wide": (2, 7), "tall": (7, 2)},
        ),
        ("left", {"wide": (2, 7), "tall": (2, 4)}, {"wide": (4, 2), "tall": (7, 2)}),
        ("right", {"wide": (4, 2), "tall": (7, 2)}, {"wide": (2, 7), "tall": (2, 4)}),
    ):
        tx = getattr(of, f"scale_by_{name}")(rank=2, proj_type=proj_type)
        state = tx.init(tree())
        low, projection = (
            {**low, "small": (2, 9), "vector": (5,)},
            {**projection, "small": None, "vector": None},
        )
        for trees, expected in (
            ((state.exp_avg, state.exp_avg_sq), low),
            ((state.projection,), projection),
        ):
            for found in trees:
                assert {
                    k: None if x is None else x.shape for k, x in found.items()
                } == (expected)
        updates, _ = tx.update(tree(1), state, tree())
        assert {k: x.shape for k, x in updates.items()} == SHAPES


@pytest.mark.parametrize("name", ["galore", "apollo"])
def test_projections_are_recomputed_where_they_are_due(name):
    """And by a branch that a step in between does not take."""
    tx = getattr(of, f"scale_by_{name}")(rank=2, update_proj_gap=3)
    state = tx.init(tree())
    update, seen = jax.jit(tx.update), []
    for i in range(7):
        _, state = update(tree(i + 1), state)
        seen.append(np.asarray(state.projection["wide"]))
    changed = [not np.array_equal(x, y) for x, y in itertools.pairwise(seen)]
    assert changed == [False, False, True, False, False, True]
    jaxpr = jax.make_jaxpr(tx.update)(tree(), state).jaxpr
    kinds = {equation.primitive.name for equation in jaxpr.eqns}
    assert "cond" in kinds
    assert not kinds & {"svd", "random_bits", "threefry2x32"}


def restated(grads, projections, scale, scale_type, front, eps=1e-3):
    """APOLLO in NumPy for a wide matrix, ``grads`` and ``projections`` of each step."""
    param, m, v, last = np.zeros(grads[0].shape), 0.0, 0.0, 0.0
    for t, (g, p) in enumerate(zip(grads, projections, strict=True), 1):
        x = p.T @ g
        m, v = 0.9 * m + 0.1 * x, 0.99 * v + 0.01 * x**2
        u = m / (np.sqrt(v) + eps)
        axis = 0 if scale_type == "channel" else None
        y = g * np.linalg.norm(u, axis=axis) / (np.linalg.norm(x, axis=axis) + 1e-8)
        y = y * np.sqrt(scale) if front else y
        norm = np.linalg.norm(y)
        limit = max(norm / (last + 1e-8), 1.01) / 1.01 if t > 1 else 1.0
        y, last = y / limit, norm / limit
        y = y if front else y * np.sqrt(scale)
        param = param - 0.1 * np.sqrt(1 - 0.99**t) / (1 - 0.9**t) * y
    return param


@pytest.mark.parametrize("scale_type", ["channel", "tensor"])
@pytest.mark.parametrize("front", [False, True])
def test_random_projections_against_numpy(scale_type, front, x64):
    grads = np.random.default_rng(0).normal(size=(20, 4, 7))
    grads *= np.linspace(0.1, 3, 20)[:, None, None]  # which the limiter holds back
    tx = of.apollo(
        0.1,
        betas=(0.9, 0.99),
        eps=1e-3,
        rank=2,
        update_proj_gap=6,
        scale=4.0,
        scale_type=scale_type,
        scale_front=front,
    )
    params, projections = jnp.zeros((4, 7)), []
    state, update = tx.init(params), jax.jit(tx.update)
    for g in grads:
        updates, state = update(jnp.asarray(g), state, params)
        params = of.apply_updates(params, updates)
        projections.append(np.asarray(of.find_in_state(state, "projection")))
    expected = restated(grads, projections, 4.0, scale_type, front)
    # The projections are numbers of float32.
    np.testing.assert_allclose(params, expected, 0, 1e-12)


def test_random_projections_have_the_right_variance():
    """And each its own, by leaf, by time and by seed."""
    params = {"a": jnp.zeros((200, 300)), "b": jnp.zeros((200, 300))}

    def drawn(seed, steps=1):
        tx = of.scale_by_apollo(rank=50, update_proj_gap=1, seed=seed)
        state = tx.init(params)
        for _ in range(steps):
            _, state = tx.update(params, state)
        return state.projection

    first = drawn(0)
    assert first["a"].shape == (200, 50)
    # 10,000 numbers: a hundredth of relative error is one deviation.
    np.testing.assert_allclose(np.var(first["a"]), 1 / 50, rtol=0.05)
    others = (first["b"], drawn(1)["a"], drawn(0, steps=2)["a"])
    for other in others:
        correlation = np.mean(np.asarray(first["a"]) * np.asarray(other)) * 50
        assert abs(correlation) < 0.05
    np.testing.assert_array_equal(first["a"], drawn(0)["a"])


def test_a_first_gradient_of_zeros_does_not_hold_apollo():
    """The growth of norms is limited from the first that is not 0."""
    tx = of.apollo(0.1, rank=1)
    params = jnp.ones((3, 4))
    state = tx.init(params)
    updates, state = tx.update(jnp.zeros((3, 4)), state, params)
    np.testing.assert_array_equal(updates, 0)
    updates, state = tx.update(params, state, params)
    assert np.linalg.norm(updates) > 0.01


# --- what they are for ----------------------------------------------------------------

RANK = 4


def final_loss(tx, steps=400):
    """Of finding a matrix of rank 4, with columns of very different curvatures."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=(64, RANK)) @ rng.normal(size=(RANK, 96)) / 2
    target = jnp.asarray(target, "float32")
    curvature = jnp.broadcast_to(jnp.logspace(-3, 0, 96), (64, 96))

    def step(carry, _):
        params, state = carry
        grads = curvature * (params - target)
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    start = jnp.zeros_like(target)
    state = tx.init(start)
    (params, _), _ = jax.lax.scan(step, (start, state), length=steps)
    kept = sum(leaf.size for leaf in jax.tree.leaves(state))
    return float(jnp.mean((params - target) ** 2)), kept


def falling(step):
    return 0.15 * (1 + jnp.cos(jnp.pi * step.astype(float) / 400))


def test_the_loss_of_adamw_with_less_state():
    """From a loss of 1, at one learning rate, where gradient descent does nothing."""
    options = {"rank": RANK, "update_proj_gap": 50}
    adamw, full = final_loss(of.adamw(falling, weight_decay=0))
    descent, _ = final_loss(of.sgd(falling))
    assert descent > 0.1
    for tx in (
        of.galore(falling, scale=1.0, **options),
        of.apollo(falling, **options),
    ):
        loss, kept = final_loss(tx)
        print(f"loss {loss:.3g} with {kept} numbers, AdamW {adamw:.3g} with {full}")
        assert max(loss, adamw) < 1e-9
        # Two moments of 4 x 96 numbers and a projection of 64 x 4, not two of 64 x 96.
        assert kept < 0.1 * full


@pytest.mark.parametrize("name", ["galore", "apollo"])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rank": 0}, ValueError, "rank must be at least 1, found 0"),
        ({"rank": 2.0}, TypeError, "rank must be an integer, found 2.0"),
        ({"update_proj_gap": 0}, ValueError, "update_proj_gap must be at least 1"),
        ({"scale": -1.0}, ValueError, "scale must be at least 0, found -1.0"),
        ({"proj_type": "full"}, ValueError, "proj_type must be one of .* 'full'"),
        ({"eps": -1.0}, ValueError, "eps must be at least 0"),
        ({"betas": (0.9, 1.0)}, ValueError, r"betas\[1\] must be .* below 1"),
    ],
)
def test_bad_arguments(name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(of, name)(**arguments)


def test_bad_arguments_of_apollo_alone():
    for arguments, message in (
        ({"proj": "qr"}, "proj must be one of"),
        ({"scale_type": "row"}, "scale_type must be one of"),
        ({"seed": -1}, "seed must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            of.apollo(**arguments)


@pytest.mark.parametrize("build", [of.galore, of.apollo])
def test_bad_trees(build):
    tx, params = build(rank=1), {"w": jnp.ones((3, 2))}
    state = tx.init(params)
    with pytest.raises(TypeError, match="takes only real floating-point param"):
        tx.init({"z": jnp.ones(3, jnp.complex64)})
    with pytest.raises(ValueError, match=r"at 'w' of shape \(4, 2\) is not one of the"):
        tx.update({"w": jnp.ones((4, 2))}, state)
    sparse = BCOO((jnp.ones((1, 2)), jnp.zeros((1, 1), jnp.int32)), shape=(3, 2))
    with pytest.raises(TypeError, match="sparse"):
        tx.update({"w": sparse}, state, params)
