"""Losses as formulas of NumPy in float64."""

import math

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
BITS = (SIGNS + 1) / 2
WRONG = Q * (1 - S) + (1 - Q) * S
AWAY = np.where(BITS == 1, -X, X)
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

# Of these torch has none.
FORMULAS += [
    ("log_cosh_loss", (X, Y), {}, np.log(np.cosh(X - Y))),
    (
        "sigmoid_focal_loss",
        (X, Q),
        {"alpha": 0.3, "gamma": 1.5},
        (0.3 * Q + 0.7 * (1 - Q))
        * WRONG**1.5
        * (-Q * np.log(S) - (1 - Q) * np.log(1 - S)),
    ),
    ("hinge_loss", (X, SIGNS), {}, np.maximum(0, 1 - SIGNS * X)),
    ("squared_hinge_loss", (X, SIGNS), {}, np.maximum(0, 1 - SIGNS * X) ** 2),
    ("perceptron_loss", (X, SIGNS), {}, np.maximum(0, -SIGNS * X)),
    (
        "sparsemax_loss",
        (X, BITS),
        {},
        np.where(AWAY > 1, AWAY, (np.clip(AWAY, -1, 1) + 1) ** 2 / 4),
    ),
    ("generalized_kl_div", (np.log(P), Q), {}, Q * np.log(Q / P) - Q + P),
    (
        "generalized_kl_div",
        (np.log(P), np.log(Q)),
        {"log_target": True},
        Q * np.log(Q / P) - Q + P,
    ),
    (
        "fenchel_young_loss",
        (X, Q),
        {},
        np.log(np.sum(np.exp(X), -1)) - np.sum(X * Q, -1),
    ),
    (
        "ranking_softmax_loss",
        (X, Q),
        {},
        np.sum(Q, -1) * np.log(np.sum(np.exp(X), -1)) - np.sum(X * Q, -1),
    ),
]

each_loss = pytest.mark.parametrize(
    ("name", "arrays", "options", "expected"),
    FORMULAS,
    ids=[f"{name}-{','.join(options)}" for name, _, options, _ in FORMULAS],
)
