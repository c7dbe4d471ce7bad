"""Clipping of an optimizer's gradients against `torch.nn.utils`."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc.optim as optim
from optifunc.optim.clip_grad import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)

torch = pytest.importorskip("torch", reason="parity needs torch (extra `parity`)")
pytestmark = pytest.mark.torch

SHAPES = {"kernel": (3, 4), "bias": (4,), "scale": (), "none": (2,), "empty": (0, 3)}
# Of a sum of 21 terms, and of a power and its root.
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def gradients(dtype, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return {
        name: None if name == "none" else np.asarray(rng.normal(0, size, shape), dtype)
        for name, shape in SHAPES.items()
    }


def holding(grads, dtype):
    """An optimizer of ours and torch's parameters, with these gradients."""
    params = {name: jnp.zeros(shape, dtype) for name, shape in SHAPES.items()}
    optimizer = optim.SGD(params, lr=0.1)
    optimizer.grads = {
        name: None if grad is None else jnp.asarray(grad)
        for name, grad in grads.items()
    }
    parameters = []
    for name, grad in grads.items():
        value = np.zeros(SHAPES[name], dtype)
        parameters.append(torch.nn.Parameter(torch.from_numpy(value)))
        parameters[-1].grad = None if grad is None else torch.from_numpy(grad.copy())
    return optimizer, parameters


def assert_same(optimizer, parameters, tolerance):
    for name, parameter in zip(SHAPES, parameters, strict=True):
        found = optimizer.grads[name]
        if parameter.grad is None:
            assert found is None
            continue
        assert str(parameter.grad.dtype) == f"torch.{found.dtype}"
        np.testing.assert_allclose(
            found, parameter.grad.numpy(), rtol=tolerance, atol=0
        )


NORMS = [2.0, 1, "inf", 3.5]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_grad_norm_follows_torch(dtype):
    tolerance = TOLERANCE[dtype]
    # Below, above, and where the 1e-6 in the denominator counts.
    for norm_type, (max_norm, size) in itertools.product(
        NORMS, [(1.0, 1.0), (1e3, 1e-3), (1e-6, 1e-6), (0.0, 1.0)]
    ):
        grads = gradients(dtype, size=size)
        if float(norm_type) == math.inf:
            grads["empty"] = None  # torch knows no largest of nothing
        optimizer, parameters = holding(grads, dtype)
        total = get_total_norm(optimizer, norm_type)
        found = clip_grad_norm_(optimizer, max_norm, norm_type)
        expected = torch.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
        assert found == total
        np.testing.assert_allclose(found, expected.numpy(), rtol=tolerance)
        assert_same(optimizer, parameters, 2 * tolerance)


@pytest.mark.parametrize("total", [0.0, 0.3, 7.0, math.inf, math.nan])
def test_clip_grads_with_norm_follows_torch(total):
    for max_norm in (0.0, 0.5, math.inf):
        optimizer, parameters = holding(gradients("float32"), "float32")
        clip_grads_with_norm_(optimizer, max_norm, total)
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, torch.tensor(total))
        assert_same(optimizer, parameters, 2e-6)


def test_two_optimizers_clipped_by_one_norm():
    pair = [holding(gradients("float32", seed), "float32") for seed in (0, 1)]
    total = get_total_norm([optimizer.grads for optimizer, _ in pair])
    together = [p for _, parameters in pair for p in parameters]
    torch.nn.utils.clip_grad_norm_(together, 1.0)
    for optimizer, parameters in pair:
        clip_grads_with_norm_(optimizer, 1.0, total)
        assert_same(optimizer, parameters, 4e-6)


@pytest.mark.parametrize("norm_type", [-math.inf, -1.5, 0])
def test_orders_that_are_no_norms(norm_type):
    grads = gradients("float32")
    del grads["none"], grads["empty"]
    tensors = [torch.from_numpy(grad) for grad in grads.values()]
    expected = torch.nn.utils.get_total_norm(tensors, norm_type)
    found = get_total_norm(grads, norm_type)
    np.testing.assert_allclose(found, expected.numpy(), rtol=2e-6)


def test_clip_grad_value_follows_torch():
    grads = gradients("float32")
    grads["bias"][:3] = math.inf, -math.inf, math.nan
    for value in (0.5, 0, 10.0, jnp.float32(0.25)):
        optimizer, parameters = holding(grads, "float32")
        clip_grad_value_(optimizer, value)
        torch.nn.utils.clip_grad_value_(parameters, float(value))
        assert_same(optimizer, parameters, 0)


def test_gradients_of_groups_stay_as_they_came():
    groups = [{"params": {"a": jnp.zeros(2)}}, {"params": [jnp.zeros(1)], "lr": 1.0}]
    optimizer = optim.SGD(groups, lr=0.1)
    optimizer.grads = [{"a": jnp.array([3.0, 0.0])}, [jnp.array([4.0])]]
    assert clip_grad_norm_(optimizer, 1.0) == 5
    np.testing.assert_allclose(optimizer.grads[0]["a"], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(optimizer.grads[1][0], [0.8], rtol=1e-6)
    clip_grad_value_(optimizer, 0.5)
    assert optimizer.grads[0]["a"].tolist() == [0.5, 0.0]


def test_without_gradients():
    optimizer = optim.SGD({"a": jnp.zeros(2)}, lr=0.1)
    for norm_type in (2, 1, "inf"):
        assert clip_grad_norm_(optimizer, 1.0, norm_type) == 0
    clip_grad_value_(optimizer, 1.0)
    assert optimizer.grads == {"a": None}
    assert get_total_norm({}) == get_total_norm([], math.inf) == 0


def test_low_precision_complex_and_sparse_leaves():
    # In bfloat16, of 8 bits, neither norm would be within 1e-3.
    low = jnp.full((1001,), 16, jnp.bfloat16)
    np.testing.assert_allclose(get_total_norm(low), 16 * 1001**0.5, rtol=1e-6)
    np.testing.assert_allclose(get_total_norm(low, 1), 16016, rtol=1e-6)
    # |3 + 4i| = 5
    z = jnp.array([3 + 4j, 0, -5], jnp.complex64)
    for norm_type, expected in ((1, 10), (2, 50**0.5), (math.inf, 5)):
        np.testing.assert_allclose(get_total_norm(z, norm_type), expected, rtol=1e-6)
    # The entries of index 1 are one element, 3.
    sparse = BCOO((jnp.array([1.0, 2.0, -4.0]), jnp.array([[1], [1], [0]])), shape=(9,))
    for norm_type, expected in ((1, 7), (2, 5), (math.inf, 4)):
        np.testing.assert_allclose(get_total_norm(sparse, norm_type), expected)
    optimizer = optim.SparseAdam({"table": jnp.zeros(9)})
    optimizer.grads = {"table": sparse}
    clip_grad_norm_(optimizer, 0.5)
    np.testing.assert_allclose(
        optimizer.grads["table"].todense()[:2], [-0.4, 0.3], rtol=1e-5
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_not_finite(bad):
    grads = gradients("float32")
    grads["bias"][0] = bad
    optimizer, parameters = holding(grads, "float32")
    for call in (clip_grad_norm_, lambda o, _, **kwargs: get_total_norm(o, **kwargs)):
        with pytest.raises(
            RuntimeError, match=r"order 2.0 for gradients .* non-finite"
        ):
            call(optimizer, 1.0, error_if_nonfinite=True)
        assert_same(optimizer, parameters, 0)
    clip_grad_norm_(optimizer, 1.0)
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    assert_same(optimizer, parameters, 2e-6)


def test_another_bound_compiles_nothing(caplog):
    optimizer, _ = holding(gradients("float32"), "float32")

    def compilations(max_norm, norm_type):
        caplog.clear()
        with jax.log_compiles():
            clip_grad_norm_(optimizer, max_norm, norm_type)
            clip_grad_value_(optimizer, max_norm)
        return sum("Compiling" in record.message for record in caplog.records)

    compilations(1.0, 2.0)
    assert compilations(0.5, 2.0) == 0
    assert compilations(0.5, 1.75) > 0


def test_errors():
    optimizer, _ = holding(gradients("float32"), "float32")
    for call, error, message in (
        (lambda: clip_grad_norm_(optimizer, -1.0), ValueError, "max_norm must be"),
        (lambda: clip_grad_norm_(optimizer, math.nan), ValueError, "found nan"),
        (lambda: clip_grad_value_(optimizer, -1.0), ValueError, "clip_value must be"),
        (lambda: clip_grads_with_norm_(optimizer, -1.0, 1.0), ValueError, "max_norm"),
        (lambda: clip_grads_with_norm_({}, 1.0, 1.0), TypeError, "found dict"),
        (lambda: clip_grad_norm_(optimizer, 1.0, math.nan), ValueError, "norm_type"),
        (lambda: clip_grad_norm_(optimizer.grads, 1.0), TypeError, "found dict"),
        (lambda: clip_grad_value_(jnp.ones(2), 1.0), TypeError, "must be an optimizer"),
    ):
        with pytest.raises(error, match=message):
            call()
