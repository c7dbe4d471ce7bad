"""Second derivatives beside the whole Hessian, in float64, and beside optax."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

L = of.linalg


def parameters():
    rng = np.random.default_rng(0)
    return {"w": rng.normal(size=(3, 2)), "b": [rng.normal(size=2), None], "s": 0.3}


def predicted(params, x):
    product = x @ params["w"]
    shifted = product + jnp.broadcast_to(params["b"][0], product.shape)
    return jnp.tanh(shifted) * jnp.exp(params["s"])


def loss(params, x, y):
    return jnp.mean(jnp.square(predicted(params, x) - y)) + params["s"] ** 4


def batch(n=5):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, 3)), rng.normal(size=(n, 2))


@pytest.fixture
def problem(x64):
    """Parameters, the arguments, and the whole Hessian of the flat parameters."""
    params = jax.tree.map(jnp.asarray, parameters())
    flat, restored = jax.flatten_util.ravel_pytree(params)
    args = batch()
    hessian = jax.hessian(lambda p: loss(restored(p), *args))(flat)
    return params, args, np.asarray(hessian), restored


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def test_the_product_is_that_of_the_whole_hessian(problem):
    params, args, hessian, restored = problem
    vector = np.linspace(-1, 2, len(hessian))
    found = jax.jit(lambda v: L.hvp(loss, params, v, *args))(restored(vector))
    assert jax.tree.structure(found) == jax.tree.structure(params)
    np.testing.assert_allclose(flat(found), hessian @ vector, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_diagonal_is_that_of_the_whole_hessian(problem, batch_size):
    params, args, hessian, _ = problem
    found = jax.jit(
        lambda params: L.hessian_diag(loss, params, *args, batch_size=batch_size)
    )(params)
    assert jax.tree.structure(found) == jax.tree.structure(params)
    np.testing.assert_allclose(flat(found), np.diag(hessian), rtol=1e-12, atol=1e-13)


def test_the_estimates_are_right_within_their_standard_errors(problem):
    """The variances of both have closed forms in the elements off the diagonal."""
    params, args, hessian, _ = problem
    samples, key = 4000, jax.random.key(3)
    diagonal = np.diag(hessian)
    off = hessian - np.diag(diagonal)
    estimate = jax.jit(
        lambda f, key: f(loss, params, key, *args, samples=samples),
        static_argnums=0,
    )
    error = flat(estimate(L.hutchinson_diag, key)) - diagonal
    deviation = np.sqrt(np.sum(off**2, 1) / samples)
    # 9 numbers, 4.5 standard deviations: one in 16,000 for another key.
    assert np.all(np.abs(error) <= 4.5 * deviation)
    assert np.any(np.abs(error) >= 0.2 * deviation)
    error = float(estimate(L.hutchinson_trace, key)) - diagonal.sum()
    assert abs(error) <= 4.5 * math.sqrt(2 * np.sum(off**2) / samples)


def test_one_sample_is_exact_where_the_hessian_is_diagonal():
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.ones((2, 2), jnp.bfloat16)}

    def quartic(params):
        parts = [jnp.sum(p.astype(jnp.float32) ** 4) for p in jax.tree.leaves(params)]
        return sum(parts)

    found = L.hutchinson_diag(quartic, params, jax.random.key(0))
    np.testing.assert_allclose(found["a"], [12, 48], rtol=1e-6)
    assert found["b"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(found["b"], np.full((2, 2), 12))
    trace = L.hutchinson_trace(quartic, params, jax.random.key(0), samples=3)
    assert trace.shape == ()
    np.testing.assert_allclose(trace, 60 + 4 * 12, rtol=1e-6)


@pytest.mark.parametrize("batch_size", [None, 2, 7])
def test_the_fisher_diagonal_is_the_mean_of_squared_gradients(x64, batch_size):
    params, (x, y) = jax.tree.map(jnp.asarray, parameters()), batch()
    found = jax.jit(
        lambda params: L.fisher_diag(loss, params, x, y, batch_size=batch_size)
    )(params)
    gradients = [flat(jax.grad(loss)(params, *e)) for e in zip(x, y, strict=True)]
    expected = np.mean(np.square(gradients), 0)
    assert jax.tree.structure(found) == jax.tree.structure(params)
    np.testing.assert_allclose(flat(found), expected, rtol=1e-12)


@pytest.mark.slow
def test_beside_optax(x64):
    """Of a batch of one example both Fisher diagonals are the same."""
    params, args = jax.tree.map(jnp.asarray, parameters()), batch(1)
    vector = np.linspace(-1, 2, 9)
    _, restored = jax.flatten_util.ravel_pytree(params)
    # Deprecated in optax 0.2.8, and to be removed.
    second = pytest.importorskip("optax.second_order")
    with (
        warnings.catch_warnings(),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        warnings.simplefilter("ignore", DeprecationWarning)
        pairs = [
            (
                L.hvp(loss, params, restored(vector), *args),
                second.hvp(loss, vector, params, *args),
            ),
            (
                L.hessian_diag(loss, params, *args),
                second.hessian_diag(loss, params, *args),
            ),
            (
                L.fisher_diag(loss, params, *args),
                second.fisher_diag(loss, params, *args),
            ),
        ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(flat(ours), flat(theirs), rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_they_compose_with_jit_vmap_and_grad(problem):
    params, args, *_ = problem

    @jax.jit
    def trace(scale):
        scaled = jax.tree.map(lambda p: scale * p, params)
        return sum(
            jnp.sum(d) for d in jax.tree.leaves(L.hessian_diag(loss, scaled, *args))
        )

    slope = jax.jit(jax.grad(trace))(1.0)
    step = 1e-5
    expected = (trace(1 + step) - trace(1 - step)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-7)
    each = jax.vmap(trace)(jnp.array([0.5, 1.0]))
    np.testing.assert_allclose(each[1], trace(1.0), rtol=1e-12)


def test_empty_leaves_and_errors():
    params = {"w": jnp.ones(2), "none": jnp.zeros((0, 3))}

    def square(p):
        return jnp.sum(p["w"] ** 2)

    found = L.hessian_diag(square, params)
    assert found["none"].shape == (0, 3)
    np.testing.assert_array_equal(found["w"], [2, 2])
    with pytest.raises(ValueError, match="at 'w'"):
        L.hvp(square, params, {"w": jnp.ones(3), "none": jnp.zeros((0, 3))})
    for function, rest in (
        (L.hvp, (params,)),
        (L.hessian_diag, ()),
        (L.hutchinson_diag, (jax.random.key(0),)),
        (L.hutchinson_trace, (jax.random.key(0),)),
        (L.fisher_diag, (jnp.ones(2),)),
    ):
        with pytest.raises(TypeError, match=r"only real .* found int32 at 'w'"):
            function(square, {"w": jnp.arange(2)}, *rest)
    with pytest.raises(ValueError, match="samples must be at least 1, found 0"):
        L.hutchinson_diag(square, params, jax.random.key(0), samples=0)
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        L.hessian_diag(square, params, batch_size=0)
    for given in ((), (jnp.ones(2), jnp.ones(3)), (jnp.ones(()),), (jnp.ones((0, 2)),)):
        with pytest.raises(
            ValueError, match="the same first axis, that of the examples"
        ):
            L.fisher_diag(square, params, *given)
