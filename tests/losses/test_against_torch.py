"""The losses of numbers, distributions, two classes, pairs and triplets, beside torch.

Each is drawn 60 times: the dtype, shapes, options, and the numbers, among them extreme
ones, ties and kinks. Values and gradients of all three reductions are compared.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from .comparison import assert_like_torch

pytestmark = pytest.mark.torch

EXTREME = [0.0, 1e4, -1e4, 1.0, -1.0, 0.5, -0.5]


def mixed(rng, shape, usual, rare):
    """About one in three is one of ``rare``."""
    return np.where(rng.random(shape) < 1 / 3, rng.choice(rare, shape), usual)


def numbers(rng, shape):
    return mixed(rng, shape, rng.normal(size=shape), EXTREME)


def signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def probabilities(rng, shape):
    # 1e-13 is beyond the bound of the derivative of `binary_cross_entropy`.
    return mixed(rng, shape, rng.random(shape), [0.0, 1.0, 1e-13, 0.5, 1 - 6e-8])


def regression(rng, shape, variant):
    x = numbers(rng, shape)
    # Ties, and differences of exactly 1/2 and 1, where the kinks are.
    target = mixed(rng, shape, numbers(rng, shape), [0.0])
    target = np.where(
        rng.random(shape) < 0.3, x + rng.choice([0, 0.5, -1], shape), target
    )
    weight = {"weight": rng.random(shape) + 0.1} if variant == "weight" else {}
    return {"input": x, "target": target, **weight}


def binary(rng, shape, variant):
    arrays = {
        "input": probabilities(rng, shape),
        "target": mixed(rng, shape, rng.random(shape), [0.0, 1.0]),
    }
    return {**arrays, **weights(rng, shape, variant)}


def logits(rng, shape, variant):
    usual = 5 * rng.normal(size=shape)
    # torch subtracts, and for 0.01 and -1e4 it is 1e4 * 0.99 from 1e4.
    soft = rng.uniform(0.3, 0.8, size=shape)
    arrays = {
        "input": mixed(rng, shape, usual, [*EXTREME, 88, -104, 15]),
        "target": mixed(rng, shape, soft, [0.0, 1.0]),
    }
    return {**arrays, **weights(rng, shape, variant)}


def weights(rng, shape, variant):
    if variant is None:
        return {}
    drawn = {"weight": rng.random(shape if variant == "weight" else shape[-1:])}
    if variant == "pos_weight":
        drawn["pos_weight"] = rng.uniform(1, 4, shape[-1:])
    return drawn


def sign_labels(rng, shape, variant):
    return {"input": numbers(rng, shape), "target": signs(rng, shape)}


def counts(rng, shape, variant):
    return {
        "input": mixed(rng, shape, rng.normal(size=shape), [0.0, 1e4, -1e4, 3.0]),
        "target": rng.integers(0, 6, shape).astype(float),
    }


def expected_counts(rng, shape, variant):
    return {
        **counts(rng, shape, variant),
        "input": np.abs(counts(rng, shape, None)["input"]),
    }


def gaussian(rng, shape, variant):
    var_shape = {
        "each": shape,
        "without last": shape[:-1],
        "size 1": (*shape[:-1], 1),
        "second of size 1": (shape[0], 1, *shape[2:]),
    }[variant]
    x, target = numbers(rng, shape), numbers(rng, shape)
    # 0 and 1e-3 are below one or both of the bounds. Between, where the two terms
    # 1/var and (d/var)**2 cancel, torch itself is off by 1e-6 for a var of 0.05.
    var = mixed(rng, var_shape, rng.random(var_shape) + 0.5, [0.0, 1e-3, 1.0])
    if var_shape == shape:
        # At 1e-3 they are 1000.
        cancels = (var == 1e-3) & (np.abs((x - target) ** 2 - var) < 1e-4)
        target = np.where(cancels, x, target)
    else:
        # Far enough that no term of the variance's gradient, a sum, cancels another.
        target = x + np.where(target < x, -2, 2) * (1 + rng.random(shape))
    return {"input": x, "target": target, "var": var}


def divergence(rng, shape, variant):
    target = mixed(rng, shape, rng.random(shape), [0.0, 1.0])
    if variant == "log":
        target = np.log(np.maximum(target, 1e-3))
    return {"input": -np.abs(numbers(rng, shape)), "target": target}


def ranking(rng, shape, variant):
    other = (1, *shape[1:]) if variant == "broadcast" else shape
    return {
        "input1": numbers(rng, shape),
        "input2": numbers(rng, other),
        "target": mixed(rng, shape, signs(rng, shape), [0.0]),
    }


def vectors(rng, shape):
    """Some are 0, some have equal entries."""
    x = mixed(rng, shape, 2 * rng.normal(size=shape), [0.0, 1.0, -1.0])
    return np.where(rng.random((*shape[:-1], 1)) < 0.15, 0, x)


def triplet(rng, shape, variant):
    anchor, positive, negative = (vectors(rng, shape) for _ in range(3))
    if variant == "broadcast":
        negative = negative[:1]
    kind = rng.choice(["usual", "equal", "far positive", "far negative"])
    if kind == "equal":
        positive = anchor  # a distance of 0, if `eps` is
    # Not both far, or the difference of two distances of 1e4 would be compared.
    if kind == "far positive":
        positive = positive + rng.choice([0, 1e4], shape)
    if kind == "far negative":
        negative = negative - rng.choice([0, 1e4], negative.shape)
    return {"anchor": anchor, "positive": positive, "negative": negative}


def distances(anchor, positive, negative):
    """Of two of them the loss is the difference. No p-norm is above that of p = 1."""
    pairs = (anchor, positive), (anchor, negative), (positive, negative)
    return {"value": sum(np.abs(x - y).sum(-1) for x, y in pairs)}


def cosine(rng, shape, variant):
    x, y = vectors(rng, shape), vectors(rng, shape)
    factor = rng.choice([0, 1, -2, 1e4], (*shape[:-1], 1))
    y = np.where(factor == 0, y, factor * x)  # parallel or not
    return {"input1": x, "input2": y, "target": signs(rng, shape[:-1])}


def directions(input1, input2, target):
    """The gradient is that of x / |x|: a difference of two vectors of 1 / |x|."""
    sizes = {"input1": input1, "input2": input2}
    sizes = {k: np.linalg.norm(x, axis=-1, keepdims=True) for k, x in sizes.items()}
    return {k: 1 / np.where(size == 0, 1, size) for k, size in sizes.items()}


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss, how its arguments are drawn, and in which ways.

    Each way (shape, variant of the arguments, options) is a compilation for each dtype.
    """

    name: str
    draw: Callable[..., dict[str, np.ndarray]]
    ways: list[tuple[tuple[int, ...], str | None, dict[str, Any]]]
    wrt: tuple[str, ...] = ("input", "target")
    better: tuple[str, ...] = ()  # of what torch's may be infinite or NaN
    terms: Callable[..., dict[str, np.ndarray]] = lambda **arrays: {}  # that cancel


V, M, T = (6,), (4, 3), (2, 3, 2)
INF = float("inf")
TRIPLET = ("anchor", "positive", "negative")

CASES = [
    Case("l1_loss", regression, [(V, None, {}), (M, "weight", {})]),
    Case("mse_loss", regression, [(V, None, {}), (M, "weight", {})]),
    Case(
        "smooth_l1_loss",
        regression,
        [
            (V, None, {}),
            (M, None, {"beta": 0}),
            (M, None, {"beta": 0.5}),
            (V, None, {"beta": 1e3}),
        ],
    ),
    Case(
        "huber_loss",
        regression,
        [
            (V, None, {}),
            (M, None, {"delta": 0.3}),
            (M, "weight", {"delta": 0.5}),
            (V, None, {"delta": 1e3}),
            (V, None, {"delta": INF}),
        ],
    ),
    Case(
        "binary_cross_entropy",
        binary,
        [(V, None, {}), (M, "weight", {}), (M, "per class", {})],
        better=("target",),
    ),
    Case(
        "binary_cross_entropy_with_logits",
        logits,
        [(V, None, {}), (M, "weight", {}), (M, "pos_weight", {})],
    ),
    Case(
        "soft_margin_loss",
        sign_labels,
        [(V, None, {}), (M, None, {})],
        wrt=("input",),
        better=("value", "input"),
    ),
    Case(
        "poisson_nll_loss",
        counts,
        [(V, None, {}), (M, None, {"full": True})],
        better=("target",),
    ),
    Case(
        "poisson_nll_loss",
        expected_counts,
        [
            (V, None, {"log_input": False}),
            (M, None, {"log_input": False, "full": True, "eps": 0.1}),
        ],
        better=("target",),
    ),
    Case(
        "gaussian_nll_loss",
        gaussian,
        [
            (V, "each", {}),
            (M, "without last", {"full": True}),
            (T, "size 1", {"eps": 1e-2}),
            (T, "second of size 1", {"full": True, "eps": 1e-2}),
        ],
        wrt=("input", "target", "var"),
    ),
    Case(
        "kl_div",
        divergence,
        [(V, None, {}), (M, None, {})],
        better=("target",),
    ),
    Case(
        "kl_div",
        divergence,
        [(V, "log", {"log_target": True}), (M, "log", {"log_target": True})],
    ),
    Case(
        "margin_ranking_loss",
        ranking,
        [(V, None, {}), (M, None, {"margin": 0.5}), (M, "broadcast", {})],
        wrt=("input1", "input2", "target"),
    ),
    Case(
        "triplet_margin_loss",
        triplet,
        [
            (V, None, {}),
            (M, None, {"eps": 0.0, "swap": True}),
            (M, "broadcast", {"p": 1, "margin": 0.5}),
            (M, None, {"p": 3, "eps": 0.0}),
            (M, None, {"p": 1.5, "swap": True}),
            (M, None, {"p": INF, "eps": 0.0, "swap": True}),
            (M, None, {"p": 0, "eps": 0.0}),
        ],
        wrt=TRIPLET,
        terms=distances,
    ),
    Case(
        "triplet_margin_with_distance_loss",
        triplet,
        [(V, None, {"swap": True}), (M, None, {"margin": 0.5})],
        wrt=TRIPLET,
        terms=distances,
    ),
    Case(
        "hinge_embedding_loss",
        sign_labels,
        [(V, None, {}), (M, None, {"margin": 0.5})],
        wrt=("input",),
    ),
    Case(
        "cosine_embedding_loss",
        cosine,
        [(V, None, {}), (M, None, {"margin": 0.5}), (M, None, {})],
        wrt=("input1", "input2"),
        terms=directions,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.name}-{c.draw.__name__}")
def test_values_and_gradients(case):
    @settings(max_examples=60)
    @given(
        way=st.sampled_from(case.ways),
        dtype=st.sampled_from(["float32", "float64"]),
        seed=st.integers(0, 2**32 - 1),
    )
    def check(way, dtype, seed):
        shape, variant, options = way
        drawn = case.draw(np.random.default_rng(seed), shape, variant)
        arrays = {name: array.astype(dtype) for name, array in drawn.items()}
        terms = case.terms(**arrays)
        assert_like_torch(case.name, arrays, options, case.wrt, case.better, terms)

    check()
