"""The tool-box around an optimizer: recorded runs of optax, optax itself, NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from ..optimizers.authors import assert_follows

pytestmark = pytest.mark.slow

RECORDED = {
    "scale_by_trust_ratio": (of.scale_by_trust_ratio(0.0, 0.1, 0.01), -1.0),
    "scale_by_param_block_norm": (of.scale_by_param_block_norm(), -0.05),
    "scale_by_param_block_rms": (of.scale_by_param_block_rms(), -0.05),
    "normalize_by_update_norm": (of.normalize_by_update_norm(), -0.1),
    "ema_updates": (of.ema(0.9), -0.1),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_runs(name, x64):
    tx, factor = RECORDED[name]
    assert_follows(name, of.chain(tx, of.scale(factor)))


def test_recorded_run_of_nonnegative_parameters(x64):
    tx = of.chain(of.sgd(0.5), of.keep_params_nonnegative())
    assert_follows("keep_params_nonnegative", tx)


TREE = {"a": jnp.array([[3.0, -4.0], [0.5, 1.0]]), "b": jnp.array([0.0, 2.0])}


def steps(tx, count=4):
    """Updates of a few steps; works with optax's transformations too."""
    state, found = tx.init(TREE), []
    for i in range(count):
        grads = jax.tree.map(lambda p, i=i: jnp.sin((i + 1) * (p + 1)), TREE)
        updates, state = tx.update(grads, state, TREE)
        found.append(updates)
    return found


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (of.ema(0.7, debias=False), optax.ema(0.7, debias=False)),
        (of.ema(0.7), optax.ema(0.7)),
        (of.normalize_by_update_norm(2.0), optax.normalize_by_update_norm(2.0)),
        (of.scale_by_param_block_norm(2.5), optax.scale_by_param_block_norm(2.5)),
        (of.scale_by_param_block_rms(2.5), optax.scale_by_param_block_rms(2.5)),
        (of.keep_params_nonnegative(), optax.keep_params_nonnegative()),
    ],
    ids=lambda tx: type(tx).__name__,
)
def test_optax_has_the_same(ours, theirs):
    # Norms of six float32 numbers, added in another order.
    with jax.numpy_dtype_promotion("standard"):  # optax relies on it
        wanted = steps(theirs)
    for found, expected in zip(steps(ours), wanted, strict=True):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-7),
            found,
            expected,
        )


def test_updates_of_zero_have_no_direction():
    zeros = jax.tree.map(jnp.zeros_like, TREE)
    tx = of.normalize_by_update_norm(eps=0.0)
    updates, _ = tx.update(zeros, tx.init(TREE))
    assert not any(np.any(u) for u in jax.tree.leaves(updates))


def test_the_ema_in_float32_of_narrow_updates():
    params = jnp.ones(3, jnp.bfloat16)
    tx = of.ema(0.999, accumulator_dtype=jnp.float32)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(params, state)
    assert state.ema.dtype == jnp.float32
    # 1 - 0.999**3; in bfloat16 it would be off by 0.4 per cent.
    np.testing.assert_allclose(state.ema, 1 - 0.999**3, rtol=1e-5)
    assert updates.dtype == jnp.bfloat16
    np.testing.assert_array_equal(updates.astype(jnp.float32), 1.0)


def test_nonnegative_parameters_go_to_plus_zero():
    tx = of.keep_params_nonnegative()
    params = jnp.array([0.0, 1.0, -2.0, 3.0])
    updates, _ = tx.update(jnp.array([-1.0, -2.0, 1.0, -3.0]), (), params)
    new = of.apply_updates(params, updates)
    np.testing.assert_array_equal(new, [0, 0, 0, 0])
    assert not np.any(np.signbit(new))


def test_a_snapshot_is_read_by_name():
    def largest(updates):
        return {"max": jnp.max(updates["a"])}

    tx = of.chain(of.snapshot("before"), of.scale(2.0), of.snapshot("after", largest))
    state = jax.eval_shape(tx.init, TREE)
    updates, new = jax.jit(tx.update)(TREE, tx.init(TREE), TREE)
    assert jax.tree.structure(state) == jax.tree.structure(new)
    np.testing.assert_array_equal(of.find_in_state(new, "before")["a"], TREE["a"])
    np.testing.assert_array_equal(of.find_in_state(new, "after")["max"], 6.0)
    np.testing.assert_array_equal(updates["b"], 2 * TREE["b"])


# --- private gradients ----------------------------------------------------------------

EXAMPLES = {
    "w": jnp.array([[3.0, 4.0], [0.0, 1.0], [0.3, 0.0], [jnp.nan, 1.0]]),
    "b": jnp.array([0.0, 0.0, 0.4, 1.0]),
}


def test_the_sum_of_clipped_examples():
    two = {"w": EXAMPLES["w"][:2]}
    total, clipped = of.clip_per_example(two, 1.0)
    np.testing.assert_allclose(total["w"], [0.6, 1.8], rtol=1e-6)
    assert int(clipped) == 1
    # An example that is not finite counts as 0, and as shortened.
    total, clipped = jax.jit(of.clip_per_example)(EXAMPLES, 1.0)
    np.testing.assert_allclose(total["w"], [0.9, 1.8], rtol=1e-6)
    np.testing.assert_allclose(total["b"], 0.4, rtol=1e-6)
    assert int(clipped) == 2


@pytest.mark.parametrize("uniform", [True, False])
def test_optax_clips_by_leaf_as_we_do(uniform):
    leaves = [
        jax.random.normal(jax.random.key(i), (5, *shape))
        for i, shape in enumerate([(2, 3), (4,), ()])
    ]
    expected, counts = optax.per_example_layer_norm_clip(leaves, 1.5, uniform)
    total, clipped = of.clip_per_example(leaves, 1.5, by="leaf" if uniform else "size")
    for x, y in zip(total, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-6)
    assert [int(n) for n in clipped] == [int(n) for n in counts]
    expected, count = optax.per_example_global_norm_clip(leaves, 1.5)
    total, clipped = of.clip_per_example(leaves, 1.5)
    for x, y in zip(total, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-6)
    assert int(clipped) == int(count)


def test_the_noise_has_the_size_of_the_sensitivity():
    params = {"w": jnp.zeros((200, 100)), "b": jnp.zeros(10_000)}
    tx = of.privatize(2.0, 1.5, 4)
    state = tx.init(params)
    first, state = tx.update(params, state)
    second, _ = tx.update(params, state)
    values = np.concatenate([np.ravel(x) for x in jax.tree.leaves(first)])
    # 30000 numbers: the standard error of their deviation is 0.4 per cent.
    np.testing.assert_allclose(values.std(), 2.0 * 1.5 / 4, rtol=0.02)
    assert abs(values.mean()) < 4 * 0.75 / 30_000**0.5
    other = np.concatenate([np.ravel(x) for x in jax.tree.leaves(second)])
    assert abs(np.corrcoef(values, other)[0, 1]) < 4 / 30_000**0.5


def test_without_noise_it_is_the_mean():
    total, _ = of.clip_per_example({"w": EXAMPLES["w"][:2]}, 1.0)
    tx = of.privatize(1.0, 0.0, 2)
    mean, _ = tx.update(total, tx.init(total))
    np.testing.assert_allclose(mean["w"], [0.3, 0.9], rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.ema(1.0), "decay must be at least 0 and below 1, found 1.0"),
        (lambda: of.ema(accumulator_dtype=int), "accumulator_dtype must be a float"),
        (lambda: of.normalize_by_update_norm(-1.0), "scale_factor must be at least 0"),
        (lambda: of.scale_by_param_block_rms(-1.0), "min_scale must be at least 0"),
        (lambda: of.privatize(1.0, -1.0, 2), "noise_multiplier must be at least 0"),
        (lambda: of.privatize(1.0, 1.0, 0), "batch_size must be above 0"),
        (lambda: of.snapshot(3), "name must be a string, found 3"),
        (lambda: of.snapshot("a", "b"), "measure must be a function, found 'b'"),
        (lambda: of.clip_per_example(EXAMPLES, 1.0, by="layer"), "by must be one of"),
        (
            lambda: of.clip_per_example({"a": jnp.ones(2), "b": jnp.ones(3)}, 1.0),
            "shape \\(3,\\) at 'b' and \\(2,\\) at 'a'",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
