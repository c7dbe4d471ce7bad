"""The losses that torch does not have: beside optax, values and gradients, in float64.

And the numbers that were recorded from it, which need no optax.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

L = of.losses
T = optax.losses
RNG = np.random.default_rng(7)
N, C = 6, 4
X, Y = RNG.normal(size=(2, N, C)) * 2
SHARES = RNG.dirichlet(np.ones(C), N)
ONE_HOT = np.eye(C)[RNG.integers(0, C, N)]
LABELS = ONE_HOT.argmax(-1)
SIGNS = RNG.choice([-1.0, 1.0], (N, C))
BITS = (SIGNS + 1) / 2
HALVES = np.array([0, 0, 1, 1, 1, 2])
ITEMS = RNG.random((N, C)) < 0.7
ITEMS[0] = False
# logits and labels of 3 classes in 2 images of 3 x 2
IMAGES = RNG.normal(size=(2, 3, 2, 3))
SEGMENTS = np.eye(3)[RNG.integers(0, 3, (2, 3, 2))]


def last(function, *fixed, **options):
    """optax's function, with classes last, of our arrays, where they are axis 1."""
    return lambda x: function(jnp.moveaxis(x, 1, -1), *fixed, **options)


def moved(x):
    return np.moveaxis(x, -1, 1)


def each_row(function):
    return lambda x: jax.vmap(function)(x, jnp.asarray(LABELS))


def focal(alpha, gamma):
    return (
        X,
        partial(L.sigmoid_focal_loss, target=SHARES, alpha=alpha, gamma=gamma),
        lambda x: T.sigmoid_focal_loss(x, SHARES, alpha=alpha, gamma=gamma),
    )


def ranking(where, weight):
    return (
        X,
        partial(L.ranking_softmax_loss, target=BITS, where=where, weight=weight),
        lambda x: T.ranking_softmax_loss(
            x, BITS, where=where, weights=weight, reduce_fn=None
        ),
    )


def dice(weight=None, **options):
    theirs = {k: v for k, v in options.items() if k != "reduction"}
    return (
        moved(IMAGES),
        partial(L.dice_loss, target=moved(SEGMENTS), weight=weight, **options),
        last(T.dice_loss, SEGMENTS, class_weights=weight, reduction="none", **theirs),
    )


# name -> the argument, ours without its reduction, optax's without reduction
PAIRS = {
    "sigmoid_focal": focal(None, 2.0),
    "sigmoid_focal_alpha": focal(0.25, 1.5),
    "sigmoid_focal_gamma_0": focal(None, 0.0),
    "log_cosh": (X, partial(L.log_cosh_loss, target=Y), lambda x: T.log_cosh(x, Y)),
    "hinge": (X, partial(L.hinge_loss, target=SIGNS), lambda x: T.hinge_loss(x, SIGNS)),
    "perceptron": (
        X,
        partial(L.perceptron_loss, target=SIGNS),
        lambda x: T.perceptron_loss(x, SIGNS),
    ),
    "sparsemax": (
        X,
        partial(L.sparsemax_loss, target=BITS),
        lambda x: T.sparsemax_loss(x, BITS),
    ),
    "multiclass_hinge": (
        X,
        partial(L.multiclass_hinge_loss, target=LABELS),
        each_row(T.multiclass_hinge_loss),
    ),
    "multiclass_perceptron": (
        X,
        partial(L.multiclass_perceptron_loss, target=LABELS),
        each_row(T.multiclass_perceptron_loss),
    ),
    "multiclass_sparsemax": (
        X,
        partial(L.multiclass_sparsemax_loss, target=LABELS),
        lambda x: T.multiclass_sparsemax_loss(x, LABELS),
    ),
    "poly": (
        X,
        partial(L.poly_loss, target=SHARES, epsilon=1.5),
        lambda x: T.poly_loss_cross_entropy(x, SHARES, epsilon=1.5),
    ),
    "poly_of_labels": (
        X,
        partial(L.poly_loss, target=LABELS),
        lambda x: T.poly_loss_cross_entropy(x, ONE_HOT),
    ),
    "safe_softmax_cross_entropy": (
        X,
        partial(L.safe_softmax_cross_entropy, target=SHARES),
        lambda x: T.safe_softmax_cross_entropy(x, SHARES),
    ),
    "safe_softmax_cross_entropy_masked": (
        np.where(ONE_HOT[:, ::-1] == 1, -np.inf, X),
        partial(L.safe_softmax_cross_entropy, target=ONE_HOT),
        lambda x: T.safe_softmax_cross_entropy(x, ONE_HOT),
    ),
    "ranking": ranking(None, None),
    "ranking_with_weights": ranking(None, SHARES),
    "ranking_masked": ranking(ITEMS, SHARES),
    "fenchel_young": (
        X,
        partial(L.fenchel_young_loss, target=SHARES),
        lambda x: T.make_fenchel_young_loss(jax.nn.logsumexp)(x, SHARES),
    ),
    "cosine_similarity": (
        X,
        lambda x, reduction: L.cosine_similarity(x, Y, dim=-1, eps=0.0),
        lambda x: T.cosine_similarity(x, Y),
    ),
    "dice": dice(),
    "dice_with_options": dice(
        np.array([0.5, 1.0, 2.0]), smooth=0.3, alpha=0.2, beta=0.7
    ),
    "dice_without_background": dice(ignore_background=True),
    "binary_dice": (
        IMAGES[..., 0],
        partial(L.binary_dice_loss, target=SEGMENTS[..., 0], smooth=0.5),
        lambda x: T.binary_dice_loss(x, SEGMENTS[..., 0], smooth=0.5),
    ),
}
# the same, of what optax reduces to one number
MEANS = {
    "generalized_dice": (
        moved(IMAGES),
        partial(L.generalized_dice_loss, target=moved(SEGMENTS), smooth=0.5),
        last(T.multiclass_generalized_dice_loss, SEGMENTS, smooth=0.5),
    ),
    "generalized_kl_div": (
        np.log(SHARES),
        lambda x, reduction: (
            N * L.generalized_kl_div(x, SHARES[::-1], reduction="batchmean")
        ),
        lambda x: jnp.sum(T.generalized_kl_divergence(x, SHARES[::-1])),
    ),
    "generalized_kl_div_of_logarithms": (
        np.log(SHARES),
        lambda x, reduction: L.generalized_kl_div(
            x, np.log(SHARES[::-1]), "sum", log_target=True
        ),
        lambda x: jnp.sum(T.generalized_kl_divergence(x, SHARES[::-1])),
    ),
    "ntxent": (
        X,
        partial(L.ntxent_loss, target=HALVES, temperature=0.3),
        lambda x: T.ntxent(x, jnp.asarray(HALVES), temperature=0.3),
    ),
    "ranking_masked_mean": (
        X,
        partial(L.ranking_softmax_loss, target=BITS, where=ITEMS),
        lambda x: T.ranking_softmax_loss(x, BITS, where=ITEMS),
    ),
}


def value_and_gradient(function, x):
    def weighted(x):
        value = function(x)
        cotangent = np.linspace(0.5, 1, value.size).reshape(value.shape)
        return jnp.sum(value * cotangent), value

    gradient, value = jax.jit(jax.grad(weighted, has_aux=True))(x)
    return value, gradient


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PAIRS, *MEANS])
def test_values_and_gradients(name, x64):
    x, ours, theirs = (PAIRS | MEANS)[name]
    reduction = "none" if name in PAIRS else "mean"
    found = value_and_gradient(partial(ours, reduction=reduction), jnp.asarray(x))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = value_and_gradient(theirs, jnp.asarray(x))
    if name == "binary_dice":
        found = found[0], found[1].reshape(expected[1].shape)
    for ours_, theirs_ in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-9, atol=1e-12)


# --- the numbers of optax 0.2.8 in float64 --------------------------------------------

AT = np.array([1.0, -2.0, 0.5])
DISTRIBUTION = np.array([0.2, 0.3, 0.5])
TO = np.array([0, 1, 1])
VIEWS = np.array([[1, 0], [0.8, 0.6], [0, 1], [-0.6, 0.8]])
PIXELS = np.array([[[[2.0, -1], [0.5, 0.5]], [[0, 1], [1, 3]]]])
CLASSES = np.array([[[0, 1], [1, 1]]])
RECORDED = [
    (
        "sigmoid_focal_loss",
        (AT, TO, 0.25),
        {},
        [0.5264012275585387, 0.41251954485535225, 0.01689337262937591],
    ),
    (
        "log_cosh_loss",
        (AT, TO),
        {},
        [0.4337808304830272, 2.309328504577785, 0.12011450695827752],
    ),
    ("hinge_loss", (AT, [1, -1, -1]), {}, [0, 0, 1.5]),
    ("squared_hinge_loss", (AT, [1, -1, -1]), {}, [0, 0, 2.25]),
    ("perceptron_loss", (AT, [1, -1, -1]), {}, [0, 0, 0.5]),
    ("sparsemax_loss", (AT, [1, 0, 1]), {}, [0, 0, 0.0625]),
    ("multiclass_hinge_loss", (AT, 2), {}, 1.5),
    ("multiclass_perceptron_loss", (AT, 2), {}, 0.5),
    ("multiclass_sparsemax_loss", (AT, 2), {}, 0.5625),
    ("poly_loss", (AT, DISTRIBUTION), {}, 3.0288697950592884),
    ("safe_softmax_cross_entropy", (AT, DISTRIBUTION), {}, 1.6545969023422833),
    ("fenchel_young_loss", (AT, DISTRIBUTION), {}, 1.6545969023422833),
    (
        "ranking_softmax_loss",
        (np.array([AT, 2 * AT]), np.array([TO, DISTRIBUTION])),
        {"where": np.array([[True] * 3, [True, False, True]]), "reduction": "mean"},
        2.6142384929736613,
    ),
    (
        "ntxent_loss",
        (VIEWS, np.array([0, 0, 1, 1]), 0.5),
        {"reduction": "mean"},
        0.43019027713671143,
    ),
    (
        "dice_loss",
        (moved(PIXELS), CLASSES),
        {"reduction": "mean"},
        0.16197514297223664,
    ),
    (
        "generalized_dice_loss",
        (moved(PIXELS), CLASSES),
        {"reduction": "mean"},
        0.1870117813424468,
    ),
    (
        "binary_dice_loss",
        (np.array([[[2, 0.5], [0, 1]]]), np.array([[[1, 0], [0, 0]]])),
        {},
        [0.3440203121118519],
    ),
]


@pytest.mark.parametrize(
    ("name", "arguments", "options", "expected"),
    RECORDED,
    ids=[row[0] for row in RECORDED],
)
def test_recorded_numbers(name, arguments, options, expected, x64):
    options = {"reduction": "none", **options}
    found = getattr(L, name)(*arguments, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_recorded_divergence_and_cosine(x64):
    found = L.generalized_kl_div(
        np.log(np.array([0.5, 0.4, 0.3])), DISTRIBUTION, reduction="sum"
    )
    np.testing.assert_allclose(found, 0.1858500437726301, rtol=1e-9)
    found = L.cosine_similarity(AT, DISTRIBUTION, dim=0)
    np.testing.assert_allclose(found, -0.10619884881071831, rtol=1e-9)
