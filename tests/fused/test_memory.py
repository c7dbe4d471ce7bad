"""Donated, undonated and shared arguments: nothing is copied, nothing overwritten."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

ADAMW = of.adamw(0.01)
SHAPE = (256, 200)
BYTES = 4 * 256 * 200


def adamw(params, state, grads):
    return of.apply_gradients(ADAMW, grads, state, params)


def arguments():
    generator = np.random.default_rng(0)
    shapes = {"kernel": SHAPE, "other": SHAPE, "bias": (200,)}
    params, grads = (
        {k: jnp.asarray(generator.standard_normal(s), jnp.float32) for k, s in both}
        for both in (shapes.items(), shapes.items())
    )
    return params, ADAMW.init(params), grads


def other_order(state, grads, params):
    return adamw(params, state, grads)


def results_first(params, state, grads):
    params, state = adamw(params, state, grads)
    return jnp.zeros(SHAPE), state, params


@pytest.mark.parametrize("donated", [(0, 1), (1,), ()])
def test_a_step_needs_no_memory_but_its_results(donated):
    params, state, grads = arguments()
    compiled = jax.jit(adamw, donate_argnums=donated).lower(params, state, grads)
    assert compiled.as_text().count("custom_call @optifunc_") == 1
    compiled = compiled.compile()
    # Scalars of the step, and pointers to the results.
    assert compiled.memory_analysis().temp_size_in_bytes < 4096
    assert " copy(" not in compiled.as_text()


@pytest.mark.parametrize("donated", [(0, 1), (1,), ()])
def test_undonated_arguments_stay(donated):
    args = arguments()
    before = jax.tree.map(np.array, args)
    expected = ADAMW.update(args[2], args[1], args[0])
    expected = of.apply_updates(args[0], expected[0]), expected[1]
    found = jax.jit(adamw, donate_argnums=donated)(*args)
    for i in {0, 1, 2} - {*donated}:
        jax.tree.map(np.testing.assert_array_equal, args[i], before[i])
    assert all(x.is_deleted() for i in donated for x in jax.tree.leaves(args[i]))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7),
        found,
        expected,
    )


def test_another_order_of_arguments_pairs_them_as_jax_does():
    params, state, grads = arguments()
    lowered = jax.jit(other_order, donate_argnums=(0, 2)).lower(state, grads, params)
    compiled = lowered.compile()
    assert " copy(" not in compiled.as_text()
    expected = jax.jit(adamw)(params, state, grads)
    jax.tree.map(
        np.testing.assert_array_equal, compiled(state, grads, params), expected
    )


def test_another_order_of_results_is_right():
    params, state, grads = arguments()
    expected = jax.jit(adamw)(params, state, grads)
    function = jax.jit(results_first, donate_argnums=(0, 1))
    _, found_state, found = function(params, state, grads)
    jax.tree.map(np.testing.assert_array_equal, (found, found_state), expected)


def test_an_old_value_is_still_read_after_the_step():
    """A kernel may not write over what XLA reads later."""

    def function(x, y):
        new = of.fuse(lambda x, y: (x + y, x * y))(x, y)
        return (*new, jnp.flip(x), jnp.sum(x - y))

    x, y = (jnp.arange(6000, dtype=jnp.float32) / k for k in (1, 2))
    expected = function(x, y)
    found = jax.jit(function, donate_argnums=(0, 1))(x, y)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_one_array_as_several_arguments():
    x = jnp.arange(6000, dtype=jnp.float32)
    function = of.fuse(lambda x, y, z: (x + y, y * z, x, x))
    found = function(x, x, x)
    jax.tree.map(np.testing.assert_array_equal, found, (x + x, x * x, x, x))
    found = jax.jit(lambda x: function(x, x, x), donate_argnums=0)(x + 0)
    jax.tree.map(np.testing.assert_array_equal, found, (x + x, x * x, x, x))


def test_crossed_results_in_the_memory_of_the_arguments():
    """The result for one argument lies in another's memory, at the same place."""
    x, y = (jnp.asarray(np.random.default_rng(k).random(70001)) for k in (0, 1))
    expected = np.array(y - x), np.array(x + y)
    found = jax.jit(of.fuse(lambda x, y: (y - x, x + y)), donate_argnums=(0, 1))(x, y)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_results_in_the_memory_of_what_another_loop_reads():
    """Of independent loops in one call none may write over what another one reads."""

    def function(x, y, z):
        return z * 2 + 1, x * 2 + 1, y * 2 + 1

    args = tuple(jnp.full(70_001, i, jnp.float32) for i in range(3))
    found = jax.jit(of.fuse(function), donate_argnums=(0, 1, 2))(*args)
    for result, value in zip(found, (5, 1, 3), strict=True):
        np.testing.assert_array_equal(result, value)


@pytest.mark.parametrize("size", [2, 3, 16383, 16384, 16385, 200_003])
def test_blocks_cover_every_element_once(size):
    x = jnp.arange(size, dtype=jnp.float32)
    found = of.fuse(lambda x: (x + 1, x < size / 2, (2 * x).astype(jnp.int8)))(x)
    np.testing.assert_array_equal(found[0], np.arange(1, size + 1))
    assert int(found[1].sum()) == (size + 1) // 2
    np.testing.assert_array_equal(found[2], (2 * x).astype(jnp.int8))


def test_small_and_empty_arrays():
    x = {"empty": jnp.zeros((0, 3)), "one": jnp.ones((1,)), "scalar": jnp.float32(2)}
    found = of.fuse(lambda t: jax.tree.map(lambda v: 2 * v + 1, t))(x)
    jax.tree.map(
        np.testing.assert_array_equal, found, jax.tree.map(lambda v: 2 * v + 1, x)
    )


def test_many_leaves_of_many_shapes(monkeypatch):
    """More buffers than one call has, of several programs."""
    monkeypatch.setattr("optifunc.fused._plan.BUFFERS_A_CALL", 100)
    tree = [jnp.full((1 + i % 7, 3), i, jnp.float32) for i in range(150)]
    tree += [jnp.full((2, 2), i, jnp.bfloat16) for i in range(3)]
    function = of.fuse(lambda tree: [x * 2 + 1 for x in tree])
    text = jax.jit(function).lower(tree).as_text()
    assert text.count("custom_call @optifunc_") == 3 + 1
    for i, x in enumerate(function(tree)):
        np.testing.assert_array_equal(x, 2 * tree[i] + 1)
