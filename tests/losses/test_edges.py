"""Losses that torch does not have, where their formulas are not enough."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

L = of.losses


def test_log_cosh_is_right_to_rounding_for_all_sizes():
    x = np.array([1e-4, 0.01, 0.5, 0.999, 1.0, 3.0, 50.0, 1e4, -1e-3], np.float32)
    wide = np.abs(x.astype(np.float64))
    # log(cosh(x)) = x - log(2) + log1p(exp(-2 x)), and its series near 0
    exact = np.where(
        wide < 0.02,
        wide**2 / 2 - wide**4 / 12,
        wide - np.log(2) + np.log1p(np.exp(-2 * wide)),
    )
    found = L.log_cosh_loss(x, np.zeros_like(x), "none")
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    slope = jax.grad(lambda x: L.log_cosh_loss(x, jnp.zeros_like(x), "sum"))(x)
    np.testing.assert_allclose(slope, np.tanh(x.astype(np.float64)), rtol=1e-6)


def test_focal_loss_of_large_logits():
    x = jnp.array([1e4, -1e4, 200.0, -40.0])
    for gamma in (0.0, 0.5, 2.0):
        for target in (jnp.zeros(4), jnp.ones(4)):
            value, slope = jax.value_and_grad(
                lambda x, y=target, g=gamma: L.sigmoid_focal_loss(x, y, gamma=g)
            )(x)
            assert np.isfinite(value)
            assert np.isfinite(slope).all()
    # Of an answer that is wholly wrong nothing is taken away.
    found = L.sigmoid_focal_loss(x, jnp.zeros(4), reduction="none")
    np.testing.assert_allclose(found[0], 1e4)
    gradient = jax.grad(lambda g: L.sigmoid_focal_loss(x, jnp.ones(4), gamma=g))(2.0)
    assert np.isfinite(gradient)


def test_classes_that_cannot_be():
    x = jnp.array([[1.0, -jnp.inf, 2.0], [-jnp.inf, 0.0, -jnp.inf]])
    for target in (jnp.array([2, 1]), jnp.array([[0.25, 0, 0.75], [0, 1.0, 0]])):
        value, gradient = jax.value_and_grad(L.safe_softmax_cross_entropy)(x, target)
        shares = target if target.ndim == 2 else jax.nn.one_hot(target, 3)
        np.testing.assert_allclose(
            gradient, (jax.nn.softmax(x) - shares) / 2, atol=1e-7
        )
        assert np.isfinite(value)
    losses = L.safe_softmax_cross_entropy(x, jnp.array([1, 0]), "none")
    np.testing.assert_array_equal(losses, [np.inf, np.inf])
    # With finite logits it is the cross-entropy, in any shape that this takes.
    x = jnp.linspace(-3, 2, 24).reshape(2, 3, 4)
    labels = jnp.array([[0, 1, 2, 0], [2, 2, 1, 0]])
    for y in (labels, jax.nn.softmax(x[::-1], 1)):
        found = L.safe_softmax_cross_entropy(x, y, "none")
        np.testing.assert_allclose(
            found, L.cross_entropy(x, y, reduction="none"), rtol=1e-6
        )
        poly = L.poly_loss(x, y, 0.0, "none")
        np.testing.assert_allclose(poly, found, rtol=1e-6)


@pytest.mark.slow
def test_contrast_at_low_temperatures_and_without_others():
    x = jnp.array([[1.0, 0], [-1, 1e-3], [0, 1], [0, -1]])
    labels = jnp.array([0, 0, 1, 2])
    value, gradient = jax.value_and_grad(L.ntxent_loss)(x, labels, 1e-3)
    # A cosine of -1 against 1e-3 and 0, over the temperature: exp would underflow.
    np.testing.assert_allclose(value, 1000 + np.log1p(1 + np.e) / 2, rtol=2e-3)
    assert np.isfinite(gradient).all()
    value, gradient = jax.value_and_grad(L.ntxent_loss)(x, jnp.zeros(4, int))
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(gradient, np.zeros((4, 2)))
    assert np.isnan(L.ntxent_loss(x, jnp.arange(4)))
    pairs = L.ntxent_loss(x, labels, reduction="none")
    assert np.flatnonzero(np.asarray(pairs)).tolist() == [1, 4]
    np.testing.assert_allclose(
        pairs.sum(), L.ntxent_loss(x, labels, reduction="sum"), rtol=1e-6
    )


def test_similarity_of_vectors_of_zeros_and_its_axes():
    x = jnp.array([[0.0, 0], [3, 4]])
    found = L.cosine_similarity(x, jnp.array([[1.0, 0], [3, 4]]))
    np.testing.assert_allclose(found, [0, 1], rtol=1e-6)
    gradient = jax.grad(lambda x: L.cosine_similarity(x, jnp.ones((2, 2))).sum())(x)
    assert np.isfinite(gradient).all()
    wide = L.cosine_similarity(x[:, None], x[None], dim=-1)
    np.testing.assert_allclose(wide, [[0, 0], [0, 1]], rtol=1e-6)
    with pytest.raises(ValueError, match=r"dim must be an axis of input1"):
        L.cosine_similarity(x, x, dim=2)


@pytest.mark.torch
def test_similarity_beside_torch():
    import torch

    x, y = np.random.default_rng(0).normal(size=(2, 4, 3, 5))
    for dim, eps in ((1, 1e-8), (-1, 1.5), (0, 1e-8)):
        with jax.enable_x64(True):
            found = L.cosine_similarity(x, y, dim, eps)
        expected = torch.nn.functional.cosine_similarity(
            torch.tensor(x), torch.tensor(y), dim, eps
        )
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_lists_without_items():
    x = jnp.array([[1.0, 2.0], [3.0, jnp.nan], [5.0, 6.0]])
    where = jnp.array([[False, False], [True, False], [True, True]])
    target = jnp.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    value, gradient = jax.value_and_grad(L.ranking_softmax_loss)(x, target, where)
    # One list of one item, which costs nothing, and one of two.
    np.testing.assert_allclose(value, np.log1p(np.exp(-1)) / 2, rtol=1e-6)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0], [0, 0])
    none = jnp.zeros((3, 2), bool)
    np.testing.assert_array_equal(L.ranking_softmax_loss(x, target, none), 0)
    with pytest.raises(TypeError, match="where must be of bools, found float32"):
        L.ranking_softmax_loss(x, target, jnp.ones((3, 2)))


def test_sparsemax_is_the_gradient_and_its_loss_is_0_from_a_lead_of_1():
    x = jnp.array([[3.0, 1.9, -1.0], [0.2, 0.1, 5.0]])
    labels = jnp.array([0, 0])
    losses = L.multiclass_sparsemax_loss(x, labels, "none")
    np.testing.assert_allclose(losses, [0, 4.8], atol=1e-6)
    gradient = jax.grad(lambda x: L.multiclass_sparsemax_loss(x, labels, "sum"))(x)
    rows = [of.projections.simplex(row) for row in x]
    expected = jnp.stack(rows) - jax.nn.one_hot(labels, 3)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    far = L.multiclass_sparsemax_loss(x + 1e4, labels, "none")
    # 1e4 + 0.2 is rounded at 1e-3.
    np.testing.assert_allclose(far, [0, 4.8], atol=2e-3)


def test_a_fenchel_young_loss_of_another_function():
    def largest(scores):
        return jnp.max(scores)

    x = jnp.array([[1.0, 3.0], [2.0, 0.0]])
    y = jnp.array([[1.0, 0.0], [1.0, 0.0]])
    found = L.fenchel_young_loss(x, y, largest, "none")
    np.testing.assert_array_equal(found, [2, 0])
    with pytest.raises(ValueError, match=r"max_fun must return a scalar .*\(2,\)"):
        L.fenchel_young_loss(x, y, lambda scores: scores)
    with pytest.raises(TypeError, match="max_fun must be a function"):
        L.fenchel_young_loss(x, y, "logsumexp")


@pytest.mark.slow
def test_regions_by_labels_and_of_one_class():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 3, 4)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 3, (2, 4)))
    encoded = jnp.moveaxis(jax.nn.one_hot(labels, 3), -1, 1)
    for loss in (L.dice_loss, L.generalized_dice_loss):
        found, expected = (loss(x, y, reduction="none") for y in (labels, encoded))
        np.testing.assert_array_equal(found, expected)
        assert loss(x, labels, ignore_background=True, reduction="none").shape == (2, 2)
        shares = jax.nn.softmax(x, 1)
        np.testing.assert_allclose(
            loss(shares, labels, apply_softmax=False), loss(x, labels), rtol=1e-6
        )
    one = L.dice_loss(x[:, :1], encoded[:, :1])
    np.testing.assert_allclose(one, L.binary_dice_loss(x[:, 0], encoded[:, 0]))
    # A region that is found whole costs nothing; one that is missed, nearly all.
    full = jnp.ones((1, 1000))
    np.testing.assert_array_equal(
        L.binary_dice_loss(full, full, apply_sigmoid=False), 0
    )
    missed = L.binary_dice_loss(0 * full, full, apply_sigmoid=False)
    np.testing.assert_allclose(missed, 1 - 1 / 501, rtol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "multiclass_hinge_loss",
        "multiclass_perceptron_loss",
        "multiclass_sparsemax_loss",
        "poly_loss",
        "safe_softmax_cross_entropy",
    ],
)
@pytest.mark.slow
def test_labels_of_classes(name):
    loss, x = getattr(L, name), jnp.array([[1.0, 2.0, 0.5], [3.0, -1.0, 0.0]])
    with pytest.raises(ValueError, match=r"^target must be in \[0, 3\), found 3"):
        loss(x, np.array([0, 3]))
    with pytest.raises(ValueError, match=r"^target must .* found \(3,\)"):
        loss(x, np.array([0, 1, 1]))
    value, gradient = jax.jit(jax.value_and_grad(loss))(x, jnp.array([0, 3]))
    assert np.isnan(value)
    assert np.isnan(gradient[1]).all()
    one = loss(x[0], np.array(2))
    np.testing.assert_allclose(
        one, loss(x, np.array([2, 0]), reduction="none")[0], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hinge_loss", [1.0], [0.5]), "target must be 1 or -1, found 0.5"),
        (("sparsemax_loss", [1.0], [-1.0]), "target must be 0 or 1, found -1"),
        (("sigmoid_focal_loss", [1.0], [2.0]), r"target must be in \[0, 1\], found 2"),
        (("sigmoid_focal_loss", [1.0], [1.0], 2.0), "alpha must be at least 0 and"),
        (("sigmoid_focal_loss", [1.0], [1.0], None, -1), "gamma must be at least 0"),
        (("poly_loss", [1.0], [1.0], -2.0), "epsilon must be at least -1"),
        (("ntxent_loss", [[1.0]], [1], 0.0), "temperature must be above 0"),
        (("ntxent_loss", [1.0], [1]), r"input must be of shape \(N, D\)"),
        (("ntxent_loss", [[1.0]], [1, 2]), r"target must be of shape \(1,\)"),
        (
            ("dice_loss", [[1.0]], [[1.0]], [1.0, 2.0]),
            r"weight must be of shape \(1,\)",
        ),
        (("dice_loss", [1.0], [1.0]), r"input must be of shape \(N, C,"),
        (("dice_loss", [[1.0]], [[1.0]], None, -1.0), "smooth must be at least 0"),
        (("binary_dice_loss", [1.0], [1.0, 2.0]), "target must have the shape"),
        (("ranking_softmax_loss", 1.0, 1.0), r"input must be of shape \(\.\.\., items"),
        (("fenchel_young_loss", 1.0, 1.0), r"input must be of shape \(\.\.\., D\)"),
    ],
)
def test_errors(arguments, message):
    name, *arrays = arguments
    arrays = [np.asarray(a) if isinstance(a, list) else a for a in arrays]
    if isinstance(arrays[0], float):
        arrays[0] = np.asarray(arrays[0])
    with pytest.raises(ValueError, match=message):
        getattr(L, name)(*arrays)
