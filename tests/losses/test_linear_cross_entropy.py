"""The classifier and its loss together: beside torch, in memory, and at its edges."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

L = of.losses
RNG = np.random.default_rng(0)
N, C, D = 5, 11, 3
X, W, B = RNG.normal(size=(N, D)), RNG.normal(size=(C, D)), RNG.normal(size=C)
LABELS = np.array([0, 10, 4, -100, 4])
SHARES = RNG.dirichlet(np.ones(C), N)
WEIGHT = RNG.random(C) + 0.1
DEEP = RNG.normal(size=(C, 2, 3, D))
CASES = {
    "labels": ((X, W, LABELS), {}),
    "labels_options": (
        (X, W, LABELS),
        {"linear_bias": B, "weight": WEIGHT, "label_smoothing": 0.2},
    ),
    "ignored": ((X, W, np.array([1, 2, 2, 0, 1])), {"ignore_index": 2}),
    "one_sample": ((X[0], W, np.array(3)), {"linear_bias": B}),
    "probabilities": (
        (X, W, SHARES),
        {"linear_bias": B, "weight": WEIGHT, "label_smoothing": 0.2},
    ),
    "places": (
        (X, DEEP, RNG.integers(0, C, (N, 2, 3))),
        {"linear_bias": DEEP[..., 0], "weight": WEIGHT},
    ),
    "probabilities_of_places": (
        (X, DEEP, np.moveaxis(RNG.dirichlet(np.ones(C), (N, 2, 3)), -1, 1)),
        {},
    ),
}


@pytest.mark.torch
@pytest.mark.parametrize(
    "name",
    [
        name
        if name in ("labels_options", "probabilities")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in CASES
    ],
)
def test_beside_torch(name, x64):
    import torch

    arguments, options = CASES[name]
    names = [*(["linear_bias"] if "linear_bias" in options else [])]
    arrays = (*arguments[:2], *(options[k] for k in names))

    @jax.jit
    def program(*arrays):
        """The value and the gradients for each reduction, of other blocks each."""
        results = []
        for reduction, block_size in (("none", 4), ("mean", 3), ("sum", 1000)):

            def loss(x, w, *bias, reduction=reduction, block_size=block_size):
                given = {**options, **dict(zip(names, bias, strict=True))}
                return L.linear_cross_entropy(
                    *(x, w, arguments[2]),
                    **{**given, "reduction": reduction, "block_size": block_size},
                )

            value, pull_back = jax.vjp(loss, *arrays)
            seed = jnp.linspace(1, 2, value.size).reshape(value.shape)
            results.append((value, *pull_back(seed)))
        return results

    for reduction, ours in zip(("none", "mean", "sum"), program(*arrays), strict=True):
        wrt = [torch.tensor(a, requires_grad=True) for a in arrays]
        others = {
            k: torch.tensor(v) if isinstance(v, np.ndarray) else v
            for k, v in options.items()
        }
        others |= dict(zip(names, wrt[2:], strict=True))
        expected = torch.nn.functional.linear_cross_entropy(
            *wrt[:2], torch.tensor(arguments[2]), reduction=reduction, **others
        )
        seed = torch.linspace(1, 2, expected.numel(), dtype=torch.float64)
        gradients = torch.autograd.grad(expected, wrt, seed.reshape(expected.shape))
        for found, theirs in zip(ours, (expected.detach(), *gradients), strict=True):
            np.testing.assert_allclose(found, theirs, rtol=1e-11, atol=1e-13)


def reference(x, w):
    return L.cross_entropy(x @ w.T, LABELS, weight=WEIGHT, label_smoothing=0.1)


def in_blocks(x, w):
    return L.linear_cross_entropy(
        x, w, LABELS, weight=WEIGHT, label_smoothing=0.1, block_size=4
    )


@pytest.mark.slow
def test_derivatives_forwards_and_of_second_order(x64):
    """Torch's in chunks has neither."""
    tangents = RNG.normal(size=X.shape), RNG.normal(size=W.shape)
    found, expected = (
        jax.jit(lambda t, f=f: jax.jvp(jax.grad(f, (0, 1)), (X, W), t))(tangents)
        for f in (in_blocks, reference)
    )
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13), found, expected
    )
    each = jax.jit(jax.vmap(in_blocks, (0, None)))(jnp.stack([X, -X]), W)
    np.testing.assert_allclose(each[1], reference(-X, W), rtol=1e-12)


@pytest.mark.slow
def test_float32_and_bfloat16():
    """To rounding of float32, with logits of hundreds; narrow ones are rounded once."""
    x, w = (50 * X).astype(np.float32), W.astype(np.float32)
    wide = x.astype(np.float64) @ w.astype(np.float64).T
    kept = LABELS >= 0
    top = wide.max(1)
    picked = wide[range(N), np.where(kept, LABELS, 0)]
    exact = np.log(np.exp(wide - top[:, None]).sum(1)) + top - picked
    found = jax.jit(
        lambda x, w: L.linear_cross_entropy(
            x, w, LABELS, reduction="none", block_size=2
        )
    )(x, w)
    # Products of numbers of 100 are rounded at 1e-5.
    np.testing.assert_allclose(found[kept], exact[kept], rtol=1e-6, atol=3e-5)
    half = jnp.asarray(x, jnp.bfloat16), jnp.asarray(w, jnp.bfloat16)
    value, (gx, gw) = jax.jit(
        jax.value_and_grad(lambda x, w: L.linear_cross_entropy(x, w, LABELS), (0, 1))
    )(*half)
    assert value.dtype == gx.dtype == gw.dtype == jnp.bfloat16
    exact, (ex, ew) = jax.value_and_grad(
        lambda x, w: L.cross_entropy(x @ w.T, LABELS), (0, 1)
    )(*(a.astype(jnp.float32) for a in half))
    for found, expected in ((value, exact), (gx, ex), (gw, ew)):
        # Half a unit of 8 bits, and sums in another order.
        np.testing.assert_allclose(
            np.asarray(found, np.float32), expected, rtol=2**-8, atol=1e-5
        )


def temporary_megabytes(function, *shapes):
    compiled = jax.jit(function).lower(*shapes).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 1e6


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def test_memory_of_a_million_classes_in_blocks():
    """Nothing runs: the compiler says what it would need."""
    samples, classes, width = 512, 1_000_000, 64
    shapes = (
        shape(samples, width),
        shape(classes, width),
        shape(samples, dtype=jnp.int32),
    )
    logits = samples * classes * 4 / 1e6  # 2048 megabytes

    def whole(x, w, y):
        return L.cross_entropy(x @ w.T, y)

    for form in (lambda f: f, lambda f: jax.value_and_grad(f, (0, 1))):
        assert temporary_megabytes(form(whole), *shapes) > logits
        needed = temporary_megabytes(form(L.linear_cross_entropy), *shapes)
        # Logits of 8000 classes are 16 megabytes, and a few such arrays live at once.
        assert needed < logits / 20


def test_memory_of_cross_entropy_of_a_million_classes():
    """At most one array of the size of the logits besides them and their gradient."""
    samples, classes = 64, 1_000_000
    logits = samples * classes * 4 / 1e6
    shapes = shape(samples, classes), shape(samples, dtype=jnp.int32)
    for form in (lambda f: f, jax.grad, jax.value_and_grad):
        needed = temporary_megabytes(form(L.cross_entropy), *shapes)
        assert needed < 1.05 * logits
    assert temporary_megabytes(jax.grad(L.cross_entropy), *shapes) < 0.05 * logits


def test_labels_out_of_range():
    with pytest.raises(
        ValueError, match=r"target must be in \[0, 11\) or -100, found 11"
    ):
        L.linear_cross_entropy(X, W, np.full(N, 11))
    value, gradient = jax.jit(jax.value_and_grad(L.linear_cross_entropy))(
        jnp.asarray(X, jnp.float32), jnp.asarray(W, jnp.float32), jnp.full(N, 11)
    )
    assert np.isnan(value)
    assert np.isnan(gradient).all()
    ignored = jax.jit(L.linear_cross_entropy)(X, W, jnp.full(N, -100))
    assert np.isnan(ignored)


def test_errors():
    f = L.linear_cross_entropy
    for arguments, options, message in (
        ((X[None], W, LABELS), {}, r"input must be of shape \(D,\) or \(N, D\)"),
        ((X, W[:, :2], LABELS), {}, r"linear_weight must be of shape \(C, 3\)"),
        ((X[0], DEEP, LABELS), {}, r"input must be of shape \(N, D\) with"),
        ((X, W, LABELS[:2]), {}, r"target must be labels of shape \(5,\) or"),
        ((X, W, LABELS), {"linear_bias": B[:2]}, r"linear_bias must be of shape"),
        ((X, W, LABELS), {"weight": B[:2]}, r"weight must be of shape \(11,\)"),
        ((X, W, LABELS), {"block_size": 0}, "block_size must be at least 1"),
        ((X, W, LABELS), {"label_smoothing": 2.0}, "label_smoothing must be"),
        ((X, W, LABELS), {"reduction": "avg"}, "reduction must be one of"),
        ((X, W, SHARES), {"ignore_index": 1}, "ignore_index must be negative"),
    ):
        with pytest.raises(ValueError, match=message):
            f(*arguments, **options)
    with pytest.raises(TypeError, match="target must be of a floating dtype"):
        f(X, W, np.ones((N, C), int))
    with pytest.raises(TypeError, match="input must be of a float dtype"):
        f(np.ones((N, D), int), W, LABELS)
