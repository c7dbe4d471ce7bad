"""Inverse roots and the largest eigenvalue, beside NumPy in float64 and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

import optifunc as of

pytestmark = pytest.mark.slow

L = of.linalg
MATRIX = np.array([[4, 1, 0.5], [1, 3, 0.2], [0.5, 0.2, 2]])


def positive(n, seed=0):
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return turned * np.geomspace(1e-3, 10, n) @ turned.T


def inverse_root(matrix, p, ridge=1e-6):
    """By the definition: in NumPy, in float64."""
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(values, 0) + ridge * values.max()
    return vectors * values ** (-1 / p) @ vectors.T


# --- inverse roots --------------------------------------------------------------------


def test_the_recorded_root(x64):
    found = L.matrix_inverse_pth_root(jnp.asarray(MATRIX), 4)
    recorded = [
        [0.718708273895, -0.0541856314707, -0.0324413340674],
        [-0.0541856314707, 0.771212942461, -0.00961460781823],
        [-0.0324413340674, -0.00961460781823, 0.846028573243],
    ]
    # Recorded from Newton's iteration, which stopped at an error of 4e-9.
    np.testing.assert_allclose(found, recorded, atol=1e-9)
    np.testing.assert_allclose(found, inverse_root(MATRIX, 4), rtol=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3, 8, 2.5])
def test_its_power_is_the_inverse(x64, p):
    matrix = positive(6)
    found = L.matrix_inverse_pth_root(jnp.asarray(matrix), p, ridge_epsilon=0.0)
    np.testing.assert_allclose(found, inverse_root(matrix, p, 0.0), rtol=1e-9)
    if isinstance(p, int):
        product = np.linalg.matrix_power(np.asarray(found), p) @ matrix
        # The condition of the matrix is 1e4.
        np.testing.assert_allclose(product, np.eye(6), atol=1e-10)


@pytest.mark.parametrize("p", [1, 2, 4, 8])
def test_optax_has_the_same_root(p):
    matrix = jnp.asarray(positive(5), jnp.float32)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected, _ = optax.matrix_inverse_pth_root(matrix, p)
    found = L.matrix_inverse_pth_root(matrix, p)
    # optax's iteration loses digits to the condition, 1e4; ours does not.
    np.testing.assert_allclose(found, expected, rtol=1e-2)
    np.testing.assert_allclose(found, inverse_root(positive(5), p), rtol=2e-3)


def test_batches_and_narrow_matrices():
    matrices = np.stack([positive(4, i) for i in range(3)])
    found = L.matrix_inverse_pth_root(jnp.asarray(matrices, jnp.bfloat16), 2)
    assert found.dtype == jnp.bfloat16
    assert found.shape == (3, 4, 4)
    wide = np.float64(jnp.asarray(matrices, jnp.bfloat16))
    for one, given in zip(found, wide, strict=True):
        expected = inverse_root((given + given.T) / 2, 2)
        # bfloat16 has eight bits.
        np.testing.assert_allclose(
            one.astype(jnp.float32), expected, atol=0.02 * np.abs(expected).max()
        )
    assert L.matrix_inverse_pth_root(jnp.zeros((0, 0)), 2).shape == (0, 0)


def test_singular_matrices_have_the_root_of_their_ridge():
    ones = jnp.ones((3, 3))
    found = L.matrix_inverse_pth_root(ones, 2, ridge_epsilon=1e-4)
    values = np.linalg.eigvalsh(np.float64(found))
    # Eigenvalues 0, 0 and 3; those of 0 are known to 1e-7 of 3, and the ridge is 3e-4.
    np.testing.assert_allclose(values, [3**-0.5, 57.735, 57.735], rtol=2e-3)
    zero = L.matrix_inverse_pth_root(jnp.zeros((2, 2)), 2)
    np.testing.assert_allclose(zero, 1e11 * np.eye(2), rtol=1e-5)


def test_derivatives_of_roots_also_where_eigenvalues_coincide(x64):
    def root(matrix, p, ridge):
        return L.matrix_inverse_pth_root(matrix + matrix.T, p, ridge_epsilon=ridge)

    turned, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))
    double = jnp.asarray(turned * np.array([2.0, 2.0, 0.5, 3.0]) @ turned.T)
    # Of `eigh` itself the derivative would be NaN there.
    check_grads(jax.jit(root), (double, 4.0, 1e-2), order=1, rtol=1e-6)
    slope = jax.jit(jax.grad(lambda x: jnp.sum(root(x, 2.0, 0.0))))(jnp.eye(3))
    np.testing.assert_allclose(slope, -(2**-0.5) / 2 * np.ones((3, 3)), rtol=1e-9)


# --- power iteration ------------------------------------------------------------------


def test_the_recorded_eigenvalue(x64):
    value, vector = L.power_iteration(jnp.asarray(MATRIX))
    np.testing.assert_allclose(value, 4.72157007774, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-12)
    # The residual is 1e-6 of the eigenvalue, and the next eigenvalue 1.9 away.
    np.testing.assert_allclose(MATRIX @ vector, value * vector, atol=5e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_optax_has_the_same_eigenvalue(sign):
    matrix = sign * jnp.asarray(MATRIX, jnp.float32)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = optax.power_iteration(matrix)
    value, vector = jax.jit(L.power_iteration)(matrix)
    assert np.sign(value) == sign
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(vector, expected[1], atol=1e-5)
    # As in optax, a matrix may be a function.
    begin = jnp.array([1.0, 0.5, 0.0])
    found, _ = L.power_iteration(lambda v: matrix @ v, v0=begin)
    np.testing.assert_allclose(found, expected[0], rtol=1e-6)


def test_without_a_tolerance_all_products_are_computed():
    calls = []

    def product(vector):
        jax.debug.callback(lambda: calls.append(1))
        return vector * jnp.array([2.0, 1.0])

    _, vector = L.power_iteration(
        product, v0=jnp.ones(2), num_iters=7, error_tolerance=0.0
    )
    jax.effects_barrier()
    # One to begin with and one for the value.
    assert len(calls) == 9
    # Each product halves the second number, eight of them before the last length.
    np.testing.assert_allclose(vector[1] / vector[0], 2.0**-8, rtol=1e-6)


def test_the_sharpness_of_a_loss_over_a_tree_and_its_derivative(x64):
    params = {"a": jnp.array([0.3, 1.0, 0.6]), "b": jnp.array([1.0, 0.5])}

    def loss(params, x):
        mixed = params["a"][0] * params["a"][1] * params["b"][0]
        return jnp.sum(jnp.cosh(params["a"] * x)) + jnp.sum(params["b"] ** 2) + mixed

    def sharpness(params):
        value, _ = L.power_iteration(
            lambda v: L.hvp(loss, params, v, 2.0),
            v0=jax.tree.map(jnp.ones_like, params),
            num_iters=300,
            error_tolerance=1e-13,
        )
        return value

    flat, restored = jax.flatten_util.ravel_pytree(params)

    def expected(flat):
        whole = jax.hessian(lambda p: loss(restored(p), 2.0))(flat)
        return jnp.linalg.eigvalsh(whole)[-1]

    found, slope = jax.jit(jax.value_and_grad(sharpness))(params)
    whole, their_slope = jax.jit(jax.value_and_grad(expected))(flat)
    np.testing.assert_allclose(found, whole, rtol=1e-12)
    slope, _ = jax.flatten_util.ravel_pytree(slope)
    np.testing.assert_allclose(slope, their_slope, atol=1e-10)


def test_a_matrix_of_zeros_and_a_narrow_one():
    value, vector = L.power_iteration(jnp.zeros((3, 3)))
    assert value == 0
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-6)
    narrow, vector = L.power_iteration(jnp.asarray(MATRIX, jnp.bfloat16))
    assert vector.dtype == jnp.float32
    np.testing.assert_allclose(narrow, 4.7216, rtol=5e-3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: L.matrix_inverse_pth_root(jnp.eye(2), 0), "p must be above 0, found"),
        (lambda: L.matrix_inverse_pth_root(jnp.ones((2, 3)), 2), "must be square"),
        (lambda: L.matrix_inverse_pth_root(jnp.ones(2), 2), "must be square"),
        (
            lambda: L.matrix_inverse_pth_root(jnp.eye(2), 2, ridge_epsilon=-1.0),
            "ridge_epsilon must be at least 0",
        ),
        (
            lambda: L.matrix_inverse_pth_root(jnp.eye(2, dtype=int), 2),
            "only real floating-point matrices, found int32",
        ),
        (lambda: L.power_iteration(jnp.ones((2, 3))), r"must be square.*\(2, 3\)"),
        (lambda: L.power_iteration(lambda v: v), "of a function needs v0"),
        (lambda: L.power_iteration(jnp.eye(2), v0=jnp.ones(3)), r"found \(3,\)"),
        (lambda: L.power_iteration(jnp.eye(2), num_iters=-1), "num_iters must be"),
        (
            lambda: L.power_iteration(lambda v: v[:1], v0=jnp.ones(2)),
            r"matrix\(v\) and v0 differ in shape",
        ),
        (
            lambda: L.power_iteration(jnp.eye(2, dtype=jnp.complex64)),
            "only real floating-point matrices, found complex64",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
