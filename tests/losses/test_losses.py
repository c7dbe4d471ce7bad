"""The losses of numbers, distributions, two classes, pairs and triplets, without torch.

Formulas of NumPy in float64, dtypes, and transformations of JAX.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .formulas import SHAPE, WEIGHT, L, P, Q, X, Y, each_loss


@each_loss
def test_formulas_and_reductions(name, arrays, options, expected):
    """Lists and NumPy's float64 arrays are arguments; the result is in float32."""
    loss = functools.partial(getattr(L, name), *arrays, **options)
    reduced = {"none": expected, "mean": np.mean(expected), "sum": np.sum(expected)}
    for reduction, value in reduced.items():
        found = loss(reduction=reduction)
        assert found.dtype == jnp.float32
        # A sum of 15 positive numbers has the relative error of its terms and a little.
        np.testing.assert_allclose(found, value, rtol=2e-6, atol=1e-6)
    assert loss() == loss(reduction="mean")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@each_loss
def test_half_precision_is_rounded_once(name, arrays, options, expected, dtype):
    loss = getattr(L, name)
    first, *others = (jnp.asarray(a, jnp.float32) for a in arrays)
    first = first.astype(dtype)
    value, gradient = jax.value_and_grad(lambda x: loss(x, *others, **options))(first)
    assert value.dtype == gradient.dtype == dtype
    wide = first.astype(jnp.float32)
    exact = jax.value_and_grad(lambda x: loss(x, *others, **options))(wide)
    for found, precise in zip((value, gradient), exact, strict=True):
        np.testing.assert_array_equal(found, precise.astype(dtype))


def test_squares_do_not_overflow_in_half_precision():
    x = jnp.array([300.0, 0, 0, 0], jnp.float16)
    assert L.mse_loss(x, jnp.zeros(4)) == 22500


@each_loss
def test_each_sample_by_vmap_is_the_batch(name, arrays, options, expected):
    def loss(arrays, options):
        return getattr(L, name)(*arrays, **options, reduction="sum")

    arrays = [np.broadcast_to(a, SHAPE) if np.ndim(a) == 0 else a for a in arrays]
    batched = {k: v for k, v in options.items() if np.shape(v) == SHAPE}
    shared = {k: v for k, v in options.items() if k not in batched}
    rows = jax.jit(jax.vmap(lambda a, o: loss(a, {**shared, **o})))(arrays, batched)
    sums = np.reshape(expected, (len(X), -1)).sum(-1)
    np.testing.assert_allclose(rows, sums, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss"])
def test_weighted_means_are_over_the_sum_of_weights(name):
    losses = getattr(L, name)(X, Y, "none")
    found = getattr(L, name)(X, Y, weight=WEIGHT)
    np.testing.assert_allclose(found, np.average(losses, weights=WEIGHT), rtol=1e-6)


def test_batchmean():
    total = np.sum(Q * np.log(Q / P))
    found = L.kl_div(np.log(P), Q, "batchmean")
    np.testing.assert_allclose(found, total / len(P), rtol=1e-6)
    assert L.kl_div(0.0, 0.25, "batchmean") == L.kl_div(0.0, 0.25, "sum")


def test_variance_of_a_row_and_of_the_bound():
    row = np.abs(X[:, 0])
    each = L.gaussian_nll_loss(X, Y, np.repeat(row, 3).reshape(SHAPE))
    assert L.gaussian_nll_loss(X, Y, row) == L.gaussian_nll_loss(X, Y, row[:, None])
    np.testing.assert_allclose(L.gaussian_nll_loss(X, Y, row), each, rtol=1e-6)
    np.testing.assert_allclose(
        L.gaussian_nll_loss(X, Y[:, :1], row),
        np.mean((np.log(row[:, None]) + (X - Y[:, :1]) ** 2 / row[:, None]) / 2),
        rtol=2e-6,
    )
    # Below the bound, the derivative is that at the bound: (1 - 9 / 0.1) / 0.1 / 2.
    slope = jax.grad(lambda v: L.gaussian_nll_loss(3.0, 0.0, v, eps=0.1))(0.01)
    np.testing.assert_allclose(slope, -445, rtol=1e-6)


def value_and_slope(loss, x):
    return jax.vmap(jax.value_and_grad(loss))(jnp.asarray(x))


def test_where_torch_overflows():
    """Finite values and derivatives, where torch has infinite ones or NaN."""
    value, slope = value_and_slope(lambda x: L.soft_margin_loss(x, -1.0), [1e4, -1e4])
    np.testing.assert_array_equal(value, [1e4, 0])
    np.testing.assert_array_equal(slope, [1, 0])
    _, slope = value_and_slope(lambda t: L.binary_cross_entropy(0.0, t), [0.0, 1.0])
    np.testing.assert_array_equal(slope, [100, 100])
    _, slope = value_and_slope(lambda t: L.kl_div(-2.0, t), [0.0, 1.0])
    np.testing.assert_array_equal(slope, [2, 3])
    full = functools.partial(L.poisson_nll_loss, 2.0, full=True)
    _, slope = value_and_slope(full, [0.0, 1.0])
    np.testing.assert_array_equal(slope, [-2, -2])


@pytest.mark.parametrize(
    ("loss", "x", "expected"),
    [
        (lambda x: L.mse_loss(x, 1.0), 1.0, 2),
        (lambda x: L.smooth_l1_loss(x, 0.0, beta=0.5), 0.0, 2),
        (lambda x: L.huber_loss(x, 0.0), 0.0, 1),
        (lambda x: L.l1_loss(x, 0.0), 0.0, 0),
        (lambda x: L.binary_cross_entropy(x, 1.0), 0.5, 4),
        (lambda x: L.binary_cross_entropy_with_logits(x, 0.0), 0.0, 0.25),
        (lambda x: L.binary_cross_entropy_with_logits(x, 1.0), 1e4, 0),
        (lambda x: L.soft_margin_loss(x, -1.0), 0.0, 0.25),
        (lambda x: L.poisson_nll_loss(x, 1.0), 0.0, 1),
        (lambda x: L.gaussian_nll_loss(x, 1.0, 0.5), 1.0, 2),
        (lambda x: L.margin_ranking_loss(x, 0.0, 1.0), 0.0, 0),
        (lambda x: L.hinge_embedding_loss(x, -1), 1.0, 0),
    ],
)
def test_second_derivatives_also_at_kinks(loss, x, expected):
    np.testing.assert_allclose(
        jax.jit(jax.grad(jax.grad(loss)))(x), expected, rtol=1e-6
    )


@pytest.mark.parametrize("width", [1e-3, 1, 100, 1e8, math.inf])
def test_slopes_of_parabolas_of_any_width(width):
    """Relative to the slope: what is small must not drown in the width."""
    size = np.array([1e-8, 1e-5, 0.3, 1.7, 7.3, 1e4])
    d = np.concatenate([-size, size]).astype(np.float32)
    zero = np.zeros_like(d)
    huber = jax.grad(lambda x: L.huber_loss(x, zero, "sum", delta=width))(d)
    np.testing.assert_allclose(huber, np.clip(d, -width, width), rtol=1e-6)
    smooth = jax.grad(lambda x: L.smooth_l1_loss(x, zero, "sum", beta=width))(d)
    expected = np.clip(d.astype(float) / width, -1, 1)
    np.testing.assert_allclose(smooth, expected, rtol=1e-6)


def test_infinite_differences_have_the_slope_of_the_lines():
    x = jnp.array([math.inf, -math.inf])
    for loss in (L.l1_loss, L.smooth_l1_loss, L.huber_loss):
        value, slope = value_and_slope(lambda x, loss=loss: loss(x, 0.0), x)
        np.testing.assert_array_equal(value, [math.inf, math.inf])
        np.testing.assert_array_equal(slope, [1, -1])


def test_second_derivatives_of_distances():
    def loss(x):  # the distance alone, plus 1
        return L.triplet_margin_loss(x, jnp.zeros(2), x, margin=1.0, eps=0.0)

    x = np.array([3.0, 4.0])
    expected = (np.eye(2) - np.outer(x, x) / 25) / 5
    np.testing.assert_allclose(jax.hessian(loss)(x), expected, atol=1e-6)
    assert np.isfinite(jax.hessian(loss)(np.zeros(2))).all()


def test_distances_of_large_numbers_to_a_large_power():
    x = jnp.array([1e4, -1e4])  # whose 40th power is beyond float32

    def loss(x):
        return L.triplet_margin_loss(x, 0 * x, x, eps=0.0, p=40)

    np.testing.assert_allclose(loss(x), 1 + 1e4 * 2 ** (1 / 40), rtol=1e-6)
    slope = 2 ** (1 / 40) / 2
    np.testing.assert_allclose(jax.grad(loss)(x), [slope, -slope], rtol=1e-6)


def test_hyperparameters_may_be_traced_and_have_gradients():
    d = jnp.array([0.25, 2.0])

    def smooth(beta):
        return L.smooth_l1_loss(d, jnp.zeros(2), "sum", beta=beta)

    # In beta: -(d / beta)**2 / 2 within, -1/2 beyond.
    np.testing.assert_allclose(jax.jit(jax.grad(smooth))(0.5), -0.625, rtol=1e-6)
    assert jax.jit(smooth)(0.0) == 2.25
    slope = jax.grad(lambda m: L.margin_ranking_loss(d, d, [1, -1], m, "sum"))(0.5)
    assert slope == 2


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.float64])
def test_targets_of_any_real_dtype(dtype):
    labels = np.array([0, 1, 1])
    x = jnp.array([0.5, -1.0, 2.0])
    for loss in (L.binary_cross_entropy_with_logits, L.mse_loss, L.poisson_nll_loss):
        assert loss(x, labels.astype(dtype)) == loss(x, labels.astype(np.float32))
    if dtype not in (bool, np.uint8):
        signs = np.array([-1, 1, 1])
        for loss in (L.hinge_embedding_loss, L.soft_margin_loss):
            assert loss(x, signs.astype(dtype)) == loss(x, signs.astype(np.float32))


def test_no_elements():
    assert L.mse_loss(jnp.zeros((0, 3)), jnp.zeros((0, 3)), "sum") == 0
    assert L.triplet_margin_loss(*3 * [jnp.zeros((0, 3))], reduction="none").shape == (
        0,
    )
    for p in (0, 1, 2, 3, math.inf):
        assert L.triplet_margin_loss(*3 * [jnp.zeros((2, 0))], margin=1.5, p=p) == 1.5
