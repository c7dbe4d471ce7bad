"""Clipping against torch, optax and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

pytestmark = pytest.mark.slow


def gradients(scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"scalar": (), "vector": (5,), "matrix": (4, 3), "row": (1, 6)}
    shapes |= {"heads": (3, 2, 4), "kernel": (3, 2, 2, 4), "kernel3d": (2, 2, 2, 2, 3)}
    return {
        name: jnp.asarray(scale * rng.normal(size=shape), jnp.float32)
        for name, shape in shapes.items()
    }


def updates_of(tx, grads, params=None):
    return tx.update(grads, tx.init(grads), params)[0]


def assert_close(found, expected, rtol=2e-6):
    # A norm of float32 terms and one division: a few roundings of 6e-8 each.
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-9),
        found,
        expected,
    )


@pytest.mark.torch
@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e3, float("inf"), 0.0])
@pytest.mark.parametrize("scale", [1.0, 1e-7, 0.0])
def test_clip_by_global_norm_is_torchs(max_norm, scale):
    import torch

    grads = gradients(scale)
    tensors = [torch.zeros(g.shape) for g in grads.values()]
    for tensor, grad in zip(tensors, grads.values(), strict=True):
        tensor.grad = torch.tensor(np.asarray(grad))
    torch.nn.utils.clip_grad_norm_(tensors, max_norm)
    expected = {k: t.grad.numpy() for k, t in zip(grads, tensors, strict=True)}
    assert_close(updates_of(of.clip_by_global_norm(max_norm), grads), expected)


@pytest.mark.torch
@pytest.mark.parametrize("max_norm", [1.0, float("inf")])
@pytest.mark.parametrize(
    "values",
    [
        [1.0, float("inf"), -2.0],
        [float("-inf"), 0.0, 1.0],
        [1.0, float("nan"), -2.0],
        # Finite, but the sum of squares is not.
        [1e30, 1.0, -1e25],
    ],
)
def test_what_clip_by_global_norm_makes_of_a_norm_that_is_not_finite(values, max_norm):
    import torch

    grad = np.asarray(values, np.float32)
    tensor = torch.zeros(grad.shape)
    tensor.grad = torch.tensor(grad)
    torch.nn.utils.clip_grad_norm_([tensor], max_norm)
    found = updates_of(of.clip_by_global_norm(max_norm), jnp.asarray(grad))
    np.testing.assert_array_equal(found, tensor.grad.numpy())
    # As the docstring says, element by element.
    if np.isnan(grad).any() or np.isinf(max_norm):
        wanted = np.full(grad.shape, np.nan)
    else:
        wanted = np.where(np.isfinite(grad), 0, np.nan)
    np.testing.assert_array_equal(found, wanted)
    # And the wrapper named there leaves such updates out.
    if not np.isfinite(grad).all():
        tx = of.skip_not_finite(of.chain(of.clip_by_global_norm(max_norm)))
        np.testing.assert_array_equal(updates_of(tx, jnp.asarray(grad)), np.zeros(3))


def test_clip_by_global_norm_differs_from_optax_by_the_1e_6_of_torch():
    grads = gradients()
    norm = float(of.global_norm(grads))
    for max_norm in (0.5, 2 * norm):
        tx, reference = of.clip_by_global_norm(max_norm), optax.clip_by_global_norm
        expected = updates_of(reference(max_norm), grads)
        assert_close(updates_of(tx, grads), expected, rtol=1e-6 / norm + 2e-6)


def test_clip_by_global_norm_counts_sparse_and_complex_and_narrow_leaves():
    # Row 1 is given twice: the norm is that of the sum.
    rows = BCOO(
        (jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), jnp.array([[1], [0], [1]])),
        shape=(3, 2),
    )
    grads = {
        "rows": rows,
        "complex": jnp.array([3 + 4j], jnp.complex64),
        # The squares overflow float16.
        "half": jnp.full((4,), 300.0, jnp.float16),
        "none": None,
        "nothing": jnp.zeros((0, 3)),
    }
    dense = [[3, 4], [6, 8], [0, 0]]
    norm = np.sqrt(np.sum(np.square(dense)) + 25 + 4 * 300.0**2)
    np.testing.assert_allclose(of.global_norm(grads), norm, rtol=1e-6)
    clipped = jax.jit(lambda g: updates_of(of.clip_by_global_norm(1.0), g))(grads)
    np.testing.assert_allclose(
        clipped["rows"].todense(), dense / norm, rtol=1e-5, atol=1e-9
    )
    np.testing.assert_allclose(clipped["complex"], (3 + 4j) / norm, rtol=1e-5)
    assert clipped["half"].dtype == jnp.float16
    # float16 has 11 bits.
    np.testing.assert_allclose(
        clipped["half"].astype(jnp.float32), 300 / norm, rtol=1e-3
    )


def test_derivatives_at_zero_gradients_are_finite():
    def total(grads, tx):
        params = jax.tree.map(jnp.ones_like, grads)
        return sum(map(jnp.sum, jax.tree.leaves(updates_of(tx, grads, params))))

    grads = jax.tree.map(jnp.zeros_like, {"a": jnp.ones(3), "b": jnp.ones((2, 2))})
    for tx in (
        of.clip_by_global_norm(1.0),
        of.clip_by_block_rms(1.0),
        of.adaptive_grad_clip(0.1),
        of.clip(1.0),
    ):
        slopes = jax.grad(total)(grads, tx)
        assert_close(slopes, jax.tree.map(jnp.ones_like, grads))


@pytest.mark.torch
def test_clip_is_torchs_clip_grad_value():
    import torch

    grad = np.array([-3.0, -0.5, 0.0, 0.25, 7.0, np.nan, np.inf], np.float32)
    tensor = torch.zeros(grad.shape)
    tensor.grad = torch.tensor(grad)
    torch.nn.utils.clip_grad_value_([tensor], 0.5)
    np.testing.assert_array_equal(
        updates_of(of.clip(0.5), jnp.asarray(grad)), tensor.grad.numpy()
    )


def test_clip_takes_parts_of_complex_and_sums_of_sparse_elements():
    np.testing.assert_array_equal(
        updates_of(of.clip(1.0), jnp.array([3 - 4j, 0.5 + 2j], jnp.complex64)),
        [1 - 1j, 0.5 + 1j],
    )
    sparse = BCOO((jnp.array([0.75, 0.75]), jnp.array([[1], [1]])), shape=(3,))
    np.testing.assert_array_equal(
        updates_of(of.clip(1.0), sparse).todense(), [0.0, 1.0, 0.0]
    )


@pytest.mark.parametrize("threshold", [0.1, 1.0, 10.0])
def test_clip_by_block_rms_is_optaxs(threshold):
    grads = gradients() | {"complex": jnp.array([3 + 4j, 1j], jnp.complex64)}
    with jax.numpy_dtype_promotion("standard"):
        expected = updates_of(optax.clip_by_block_rms(threshold), grads)
    assert_close(updates_of(of.clip_by_block_rms(threshold), grads), expected)


@pytest.mark.parametrize("clipping", [0.01, 1.0, 100.0])
def test_adaptive_grad_clip_is_optaxs(clipping):
    grads = gradients()
    # Weights of many sizes, some below eps.
    weights = gradients(seed=1)
    params = {k: 10.0 ** (i - 4) * w for i, (k, w) in enumerate(weights.items())}
    expected = updates_of(optax.adaptive_grad_clip(clipping, 1e-2), grads, params)
    found = updates_of(of.adaptive_grad_clip(clipping, 1e-2), grads, params)
    assert_close(found, expected)


def test_adaptive_grad_clip_in_torchs_layout():
    grads = gradients()["kernel"]
    params = 0.1 * grads + 0.01
    found = updates_of(of.adaptive_grad_clip(0.1, axis=(1, 2, 3)), grads, params)

    def last(x):
        return jnp.moveaxis(x, 0, -1)

    expected = updates_of(of.adaptive_grad_clip(0.1), last(grads), last(params))
    assert_close(last(found), expected)
    assert not np.allclose(found, grads)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.clip(-1.0), r"max_value must be at least 0, found -1\.0"),
        (lambda: of.clip("1"), "max_value must be a number"),
        (lambda: of.clip_by_global_norm(float("nan")), "max_norm must be .* found nan"),
        (lambda: of.clip_by_block_rms(0), "threshold must be above 0, found 0"),
        (lambda: of.adaptive_grad_clip(0.0), "clipping must be above 0"),
        (lambda: of.adaptive_grad_clip(0.1, eps=0.0), "eps must be above 0"),
        (
            lambda: updates_of(of.adaptive_grad_clip(0.1), jnp.ones(2)),
            "adaptive_grad_clip needs the parameters, found params=None",
        ),
        (
            lambda: updates_of(
                of.adaptive_grad_clip(0.1), jnp.ones((2,) * 6), jnp.ones((2,) * 6)
            ),
            r"of shape \(2, 2, 2, 2, 2, 2\)",
        ),
        (
            lambda: updates_of(
                of.clip_by_block_rms(0.1), BCOO.fromdense(jnp.ones((2, 2)))
            ),
            r"a sparse gradient of shape \(2, 2\)",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
