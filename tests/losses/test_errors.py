"""Errors of losses, and the arguments that torch has."""

import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .formulas import (
    COUNTS,
    FAR,
    ROWS,
    SIGNS,
    WEIGHT,
    D,
    L,
    P,
    X,
    Y,
    each_loss,
    manhattan,
)

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
    "log_cosh_loss",
    "sigmoid_focal_loss",
    "hinge_loss",
    "squared_hinge_loss",
    "perceptron_loss",
    "sparsemax_loss",
    "generalized_kl_div",
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
            "anchor must have at least 1 dimension",
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
    with pytest.raises(TypeError, match=r"^p must be a number and not an array"):
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
        # Compared below.
        and name != "linear_cross_entropy"
    }
    ours = {
        name: [
            (p.name, p.default, p.kind)
            for p in inspect.signature(function).parameters.values()
        ]
        for name, function in vars(L).items()
        if name in theirs
    }
    assert len(ours) == 21
    assert ours == theirs
    # Torch chooses blocks by an object.
    theirs = [*signatures["linear_cross_entropy"]]
    ours = [*inspect.signature(L.linear_cross_entropy).parameters]
    assert ours == [{"options": "block_size"}.get(name, name) for name in theirs]
