"""The direction of L-BFGS alone: beside optax, and beside the matrix written out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .authors import assert_follows

pytestmark = pytest.mark.slow

ZOOM = of.scale_by_zoom_linesearch(initial_guess_strategy="one")


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def convex(x):
    return jnp.sum(jnp.cosh(jnp.arange(1, 5.0) * x)) + jnp.sum(x) ** 2


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("lbfgs_nols", of.scale_by_learning_rate(0.5)),
        ("lbfgs_zoom", ZOOM),
        ("lbfgs_zoom_rosenbrock", ZOOM),
    ],
)
def test_the_recorded_steps_of_optax(name, last, x64):
    assert_follows(name, of.chain(of.scale_by_lbfgs(), last))


@pytest.mark.parametrize("arguments", [(1, True), (3, True), (3, False)])
def test_every_direction_is_optaxs(arguments, x64):
    ours, theirs = of.scale_by_lbfgs(*arguments), optax.scale_by_lbfgs(*arguments)
    params = jnp.array([1.0, -0.8, 0.5, 0.3])
    states = ours.init(params), theirs.init(params)
    update = jax.jit(ours.update), jax.jit(theirs.update)
    for _ in range(8):
        grads = jax.grad(convex)(params)
        found, state = update[0](grads, states[0], params)
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            expected, other = update[1](grads, states[1], params)
        # The same sums, in float64.
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        params, states = params - 0.05 * found, (state, other)


@pytest.mark.parametrize("memory_size", [1, 3, 10])
def test_the_direction_is_that_of_the_dense_update(memory_size, x64):
    """Along a path on which every third pair has negative curvature."""
    tx = of.scale_by_lbfgs(memory_size)
    rng = np.random.default_rng(0)
    # `y = curvature * s`, of either sign in turn.
    signs = [1, 1, -1, 1, 1, -1, 1]
    points, gradients = [rng.normal(size=4)], [rng.normal(size=4)]
    for sign in signs:
        s = rng.normal(size=4)
        points.append(points[-1] + s)
        gradients.append(gradients[-1] + sign * np.array([1, 2, 5, 9]) * s)
    state = tx.init(jnp.zeros(4))
    update = jax.jit(tx.update)
    for i, (point, gradient) in enumerate(zip(points, gradients, strict=True)):
        found, state = update(jnp.asarray(gradient), state, jnp.asarray(point))
        s, y = np.diff(points[: i + 1], axis=0), np.diff(gradients[: i + 1], axis=0)
        kept = [(a, b) for a, b in zip(s, y, strict=True) if a @ b > 0][-memory_size:]
        assert state.num_pairs == sum(sign > 0 for sign in signs[:i])
        scale = min(1, 1 / np.linalg.norm(gradient))
        if kept:
            scale = (kept[-1][0] @ kept[-1][1]) / (kept[-1][1] @ kept[-1][1])
        inverse = scale * np.eye(4)
        for a, b in kept:
            left = np.eye(4) - np.outer(a, b) / (a @ b)
            inverse = left @ inverse @ left.T + np.outer(a, a) / (a @ b)
        np.testing.assert_allclose(found, inverse @ gradient, rtol=1e-9)
        # So it never points uphill.
        assert found @ gradient > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_with_a_zoom_search_it_finds_a_minimum(dtype, x64):
    tx = of.chain(of.scale_by_lbfgs(), ZOOM)
    reuse = of.value_and_grad_from_state(rosenbrock)

    def step(carry, _):
        params, state = carry
        value, grad = reuse(params, state=state)
        updates, state = tx.update(
            grad, state, params, value=value, grad=grad, value_fn=rosenbrock
        )
        return (of.apply_updates(params, updates), state), None

    @jax.jit
    def run(params):
        return jax.lax.scan(step, (params, tx.init(params)), length=60)[0][0]

    found = run(jnp.array([-1.2, 1.0, 0.5], dtype))
    assert found.dtype == dtype
    # The least eigenvalue is about 0.2: this is a gradient of the size of its rounding.
    np.testing.assert_allclose(found, 1, atol=3e-3 if dtype == "float32" else 1e-9)


def test_what_it_needs():
    for size, error in ((0, ValueError), (2.0, TypeError)):
        with pytest.raises(error, match="memory_size"):
            of.scale_by_lbfgs(size)
    tx, params = of.scale_by_lbfgs(3), {"a": jnp.ones(3), "b": jnp.ones(2)}
    state = tx.init(params)
    larger = {**params, "a": jnp.ones(4)}
    with pytest.raises(ValueError, match="3 vectors of 6 numbers"):
        tx.update(larger, state, larger)
    with pytest.raises(ValueError, match="updates has no leaf at 'b'"):
        tx.update({"a": params["a"]}, state, params)
    with pytest.raises(TypeError, match="found int32 at 'b'"):
        tx.init({"a": params["a"], "b": jnp.arange(3)})
