"""The losses of numbers, distributions, two classes, pairs and triplets, without torch.

Formulas of NumPy in float64, dtypes, transformations of JAX, and errors. What torch's
arguments are is asked of all losses.
"""

import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

L = of.losses
RNG = np.random.default_rng(0)
SHAPE = (5, 3)
X, Y = RNG.normal(size=(2, *SHAPE))
P, Q = RNG.uniform(0.01, 0.99, size=(2, *SHAPE))
SIGNS = RNG.choice([-1.0, 1.0], SHAPE)
COUNTS = RNG.integers(0, 5, SHAPE)
WEIGHT = RNG.uniform(0.1, 2, SHAPE)
PER_CLASS = np.array([0.5, 1.0, 3.0])
ROWS = SIGNS[:, 0]
FAR = 5 * X[::-1]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def distance(x, y, p=2):
    return np.sum(np.abs(x - y + 1e-6) ** p, -1) ** (1 / p)


def cosine(x, y):
    return np.sum(x * y, -1) / np.sqrt(np.sum(x * x, -1) * np.sum(y * y, -1))


def manhattan(x, y):
    return jnp.sum(jnp.abs(x - y), -1)


D = np.abs(X - Y)
S = sigmoid(X)
# Name, arrays, options, and the loss of each element or sample.
FORMULAS = [
    ("l1_loss", (X, Y), {}, D),
    ("mse_loss", (X, Y), {}, D**2),
    ("smooth_l1_loss", (X, Y), {}, np.where(D < 1, D**2 / 2, D - 0.5)),
    ("smooth_l1_loss", (X, Y), {"beta": 0.2}, np.where(D < 0.2, D**2 / 0.4, D - 0.1)),
    ("smooth_l1_loss", (X, Y), {"beta": 0}, D),
    ("huber_loss", (X, Y), {"delta": 2}, np.where(D < 2, D**2 / 2, 2 * D - 2)),
    ("huber_loss", (X, Y), {"weight": WEIGHT, "delta": 9}, WEIGHT * D**2 / 2),
    ("binary_cross_entropy", (P, Q), {}, -Q * np.log(P) - (1 - Q) * np.log(1 - P)),
    (
        "binary_cross_entropy_with_logits",
        (X, Q),
        {"weight": WEIGHT, "pos_weight": PER_CLASS},
        -WEIGHT * (PER_CLASS * Q * np.log(S) + (1 - Q) * np.log(1 - S)),
    ),
    ("soft_margin_loss", (X, SIGNS), {}, np.log(1 + np.exp(-SIGNS * X))),
    ("poisson_nll_loss", (X, COUNTS), {}, np.exp(X) - COUNTS * X),
    (
        "poisson_nll_loss",
        (P, COUNTS),
        {"log_input": False, "eps": 0.1},
        P - COUNTS * np.log(P + 0.1),
    ),
    (
        "gaussian_nll_loss",
        (X, Y, P),
        {"full": True, "eps": 0.2},
        (np.log(2 * np.pi * np.maximum(P, 0.2)) + D**2 / np.maximum(P, 0.2)) / 2,
    ),
    ("gaussian_nll_loss", (X, Y, 4.0), {}, (math.log(4) + D**2 / 4) / 2),
    ("kl_div", (np.log(P), Q), {}, Q * np.log(Q / P)),
    ("kl_div", (np.log(P), np.log(Q)), {"log_target": True}, Q * np.log(Q / P)),
    (
        "margin_ranking_loss",
        (X, Y, SIGNS),
        {"margin": 0.3},
        np.maximum(0, 0.3 - SIGNS * (X - Y)),
    ),
    (
        "triplet_margin_loss",
        (X, Y, FAR),
        {"p": 3, "margin": 2.0},
        np.maximum(0, 2 + distance(X, Y, 3) - distance(X, FAR, 3)),
    ),
    (
        "triplet_margin_with_distance_loss",
        (X, Y, FAR),
        {"swap": True},
        np.maximum(
            0, 1 + distance(X, Y) - np.minimum(distance(X, FAR), distance(Y, FAR))
        ),
    ),
    (
        "triplet_margin_with_distance_loss",
        (X, Y, FAR),
        {"distance_function": manhattan},
        np.maximum(0, 1 + D.sum(-1) - np.abs(X - FAR).sum(-1)),
    ),
    (
        "hinge_embedding_loss",
        (D, SIGNS),
        {"margin": 0.7},
        np.where(SIGNS == 1, D, np.maximum(0, 0.7 - D)),
    ),
    (
        "cosine_embedding_loss",
        (X, Y, ROWS),
        {"margin": 0.1},
        np.where(ROWS == 1, 1 - cosine(X, Y), np.maximum(0, cosine(X, Y) - 0.1)),
    ),
]
each_loss = pytest.mark.parametrize(
    ("name", "arrays", "options", "expected"),
    FORMULAS,
    ids=[f"{name}-{','.join(options)}" for name, _, options, _ in FORMULAS],
)


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


ELEMENTWISE = [
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "soft_margin_loss",
    "poisson_nll_loss",
    "kl_div",
    "hinge_embedding_loss",
]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_shapes_must_be_equal(name):
    message = r"^target must have the shape of input, \(4, 1\), found \(4,\)$"
    with pytest.raises(ValueError, match=message):
        getattr(L, name)(np.ones((4, 1)), np.ones(4))


@each_loss
def test_unknown_reductions_and_dtypes(name, arrays, options, expected):
    loss = getattr(L, name)
    with pytest.raises(ValueError, match=r"^reduction must be one of .* found 'avg'$"):
        loss(*arrays, **options, reduction="avg")
    first, *others = arrays
    argument = next(iter(inspect.signature(loss).parameters))
    with pytest.raises(TypeError, match=f"^{argument} must be of a float dtype"):
        loss(np.ones_like(first, int), *others, **options)
    with pytest.raises(TypeError, match=r"must be of a real dtype, found complex64$"):
        loss(first, others[0] * np.complex64(1), *others[1:], **options)


ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("message", "name", "arrays", "options"),
    [
        ("weight must have the shape", "l1_loss", (X, Y), {"weight": WEIGHT[0]}),
        ("weight must have the shape", "mse_loss", (X, Y), {"weight": WEIGHT[0]}),
        ("weight must have the shape", "huber_loss", (X, Y), {"weight": WEIGHT[0]}),
        ("beta must be at least 0, found -1", "smooth_l1_loss", (X, Y), {"beta": -1}),
        ("delta must be above 0, found 0", "huber_loss", (X, Y), {"delta": 0}),
        (
            r"input must be in \[0, 1\], found 1.5",
            "binary_cross_entropy",
            ([0.5, 1.5], [0, 1]),
            {},
        ),
        (
            r"target must be in \[0, 1\], found 2",
            "binary_cross_entropy",
            ([0.5, 0.5], [0, 2]),
            {},
        ),
        (
            r"target must be in \[0, 1\], found nan",
            "binary_cross_entropy_with_logits",
            ([0.5, 0.5], [0, math.nan]),
            {},
        ),
        (
            r"weight must be broadcastable to \(2, 3\), found shape \(2,\)",
            "binary_cross_entropy",
            (0.5 * ONES, ONES),
            {"weight": [1.0, 2]},
        ),
        (
            r"pos_weight must be broadcastable to \(2, 3\), found shape \(1, 2, 3\)",
            "binary_cross_entropy_with_logits",
            (ONES, ONES),
            {"pos_weight": ONES[None]},
        ),
        ("var must be at least 0, found -1", "gaussian_nll_loss", (X, Y, -1.0), {}),
        (
            r"var must be a number, or of the shape of input, .* found shape \(3,\)",
            "gaussian_nll_loss",
            (ONES, ONES, [1.0, 1, 1]),
            {},
        ),
        ("target must have the shape", "gaussian_nll_loss", (ONES, ONES[0], 1.0), {}),
        (
            r"target must be broadcastable to \(2, 3\), found shape \(2, 2\)",
            "gaussian_nll_loss",
            (ONES, np.ones((2, 2)), 1.0),
            {},
        ),
        (
            "target must have as many dimensions as input1, 2",
            "margin_ranking_loss",
            (ONES, ONES, ONES[0]),
            {},
        ),
        (
            r"target must be broadcastable with \(2, 3\), found shape \(2, 2\)",
            "margin_ranking_loss",
            (ONES, ONES, np.ones((2, 2))),
            {},
        ),
        (
            "negative must have as many dimensions as anchor, 2",
            "triplet_margin_with_distance_loss",
            (ONES, ONES, ONES[0]),
            {"distance_function": manhattan},
        ),
        (
            r"positive must be broadcastable with \(2, 3\), found shape \(2, 2\)",
            "triplet_margin_loss",
            (ONES, np.ones((2, 2)), ONES),
            {},
        ),
        ("margin must be above 0", "triplet_margin_loss", 3 * (ONES,), {"margin": 0}),
        ("p must be at least 0", "triplet_margin_loss", 3 * (ONES,), {"p": -1}),
        (
            "anchor must have 1 dimension at least",
            "triplet_margin_loss",
            (1.0, 1.0, 1.0),
            {},
        ),
        (
            "margin must be above 0",
            "triplet_margin_with_distance_loss",
            3 * (ONES,),
            {"margin": -1},
        ),
        (
            "target must be 1 or -1, found 0",
            "hinge_embedding_loss",
            (X[0], [1, -1, 0]),
            {},
        ),
        (
            "target must be 1 or -1, found 3",
            "cosine_embedding_loss",
            (X[0], X[0], 3),
            {},
        ),
        (
            "input1 must have 1 or 2 dimensions",
            "cosine_embedding_loss",
            (ONES[None], ONES[None], [1]),
            {},
        ),
        (
            "input2 must have the shape of input1",
            "cosine_embedding_loss",
            (ONES, ONES[:1], [1, 1]),
            {},
        ),
        (
            r"target must be of shape \(2,\), found shape \(2, 3\)",
            "cosine_embedding_loss",
            (ONES, ONES, ONES),
            {},
        ),
        ("must be one of .*'batchmean'", "kl_div", (X, Y), {"reduction": "avg"}),
    ],
)
def test_errors_name_the_argument(message, name, arrays, options):
    with pytest.raises(ValueError, match=message):
        getattr(L, name)(*arrays, **options)


NUMBERS = [  # a loss, an argument that is one number, and one out of its range
    (L.smooth_l1_loss, (X, Y), "beta", -1.0),
    (L.huber_loss, (X, Y), "delta", 0.0),
    (L.poisson_nll_loss, (X, COUNTS), "eps", math.nan),
    (L.gaussian_nll_loss, (X, Y, P), "eps", math.nan),
    (L.margin_ranking_loss, (X, Y, SIGNS), "margin", math.nan),
    (L.triplet_margin_loss, (X, Y, FAR), "margin", 0.0),
    (L.triplet_margin_loss, (X, Y, FAR), "eps", math.nan),
    (L.triplet_margin_with_distance_loss, (X, Y, FAR), "margin", -1.0),
    (L.hinge_embedding_loss, (D, SIGNS), "margin", math.nan),
    (L.cosine_embedding_loss, (X, Y, ROWS), "margin", math.nan),
    (L.multi_margin_loss, (X, COUNTS[:, 0] % 3), "margin", math.nan),
    (L.cross_entropy, (X, COUNTS[:, 0] % 3), "label_smoothing", 1.5),
]


@pytest.mark.parametrize(
    ("loss", "arrays", "name", "bad"),
    NUMBERS,
    ids=[f"{loss.__name__}-{name}" for loss, _, name, _ in NUMBERS],
)
def test_numbers_are_checked_as_arrays_too(loss, arrays, name, bad):
    for wrong in (bad, np.float32(bad), np.array(bad), jnp.array(bad)):
        bound = functools.partial(loss, *arrays, **{name: wrong})
        # Closed over by a compiled function, it can be seen as well.
        for call in (bound, jax.jit(bound)):
            with pytest.raises(ValueError, match=f"^{name} must be .*, found {bad:g}"):
                call()
    with pytest.raises(ValueError, match=rf"^{name} must be .*, found shape \(5,\)$"):
        loss(*arrays, **{name: np.ones(5)})
    for what in (None, "1", lambda step: 1.0, 1j, np.array(1j)):
        with pytest.raises(TypeError, match=f"^{name} must be "):
            loss(*arrays, **{name: what})
    right = loss(*arrays, **{name: 0.5})
    assert loss(*arrays, **{name: np.array(0.5)}) == right
    assert jax.jit(lambda value: loss(*arrays, **{name: value}))(0.5).shape == ()


@each_loss
def test_no_array_may_be_none(name, arrays, options, expected):
    loss = getattr(L, name)
    arguments = list(inspect.signature(loss).parameters)[: len(arrays)]
    for i, argument in enumerate(arguments):
        wrong = [None if i == j else array for j, array in enumerate(arrays)]
        message = f"^{argument} must be an array, found None"
        with pytest.raises(TypeError, match=message):
            loss(*wrong, **options)


def test_the_power_of_a_distance_is_static():
    with pytest.raises(TypeError, match=r"^p must be a number and no array"):
        L.triplet_margin_loss(X, Y, FAR, p=jnp.array(2.0))


def test_labels_are_seen_where_they_are_not_traced():
    x, labels = jnp.array([0.5, -1.0]), jnp.array([0, 2])
    loss = L.binary_cross_entropy_with_logits
    for transform in (jax.jit, jax.grad, jax.vmap):
        with pytest.raises(ValueError, match=r"^target must be in \[0, 1\], found 2\b"):
            transform(lambda x: loss(x, labels).sum())(x)
    assert jnp.isfinite(jax.jit(loss)(x, labels))


@pytest.mark.torch
def test_arguments_are_torchs():
    """Names, order, defaults and kinds; every loss of torch that has a reduction."""
    import torch.nn.functional as F

    signatures = {
        name: inspect.signature(function).parameters
        for name, function in vars(F).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }
    theirs = {
        name: [
            (p.name, p.default, p.kind)
            for p in parameters.values()
            if p.name not in ("size_average", "reduce")
        ]
        for name, parameters in signatures.items()
        if "reduction" in parameters
        # A linear layer together with its loss, to save memory.
        and name != "linear_cross_entropy"
    }
    ours = {
        name: [
            (p.name, p.default, p.kind)
            for p in inspect.signature(function).parameters.values()
        ]
        for name, function in vars(L).items()
        if not name.startswith("_") and callable(function)
    }
    assert len(ours) == 21
    assert ours == theirs
