"""The losses of class labels: beside torch's, beside NumPy's sums, and their errors."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import optifunc as of

from .comparison import REDUCTIONS, assert_like_torch

L = of.losses
# Each (shape, dtype, options) is one compilation, so there are few.
ANY_RANK = [(5,), (2, 4, 3)]
BATCH_OR_NOT = [(5,), (4, 3)]


def scores(rng, shape):
    """Some are extreme, some tie, some lead by exactly the margin 1."""
    usual = 4 * rng.normal(size=shape)
    rare = rng.choice([0.0, 1.0, 2.0, 1e4, -1e4, 1e4 + 1], shape)
    return np.where(rng.random(shape) < 0.4, rare, usual)


def log_softmax(x, axis):
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def class_axis(shape):
    return min(len(shape) - 1, 1)


def labels(rng, shape, ignore_index=None):
    """Sometimes every label is ``ignore_index``."""
    axis = class_axis(shape)
    drawn = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    if ignore_index is None:
        return drawn
    share = rng.choice([0.0, 0.3, 1.0], p=[0.2, 0.6, 0.2])
    return np.where(rng.random(drawn.shape) < share, ignore_index, drawn)


def class_weights(rng, shape, options):
    if not options.pop("weighted", False):
        return {}
    return {"weight": rng.random(shape[class_axis(shape)]) + 0.1}


def of_labels(rng, shape, options):
    return {
        "input": scores(rng, shape),
        "target": labels(rng, shape, options.get("ignore_index", -100)),
        **class_weights(rng, shape, options),
    }


def of_probabilities(rng, shape, options):
    drawn = rng.random(shape) * rng.integers(0, 2, shape)
    return {
        "input": scores(rng, shape),
        "target": drawn / np.maximum(drawn.sum(class_axis(shape), keepdims=True), 1),
        **class_weights(rng, shape, options),
    }


def of_log_probabilities(rng, shape, options):
    arrays = of_labels(rng, shape, options)
    return {**arrays, "input": log_softmax(arrays["input"], class_axis(shape))}


def margins(rng, shape, options):
    return {
        "input": scores(rng, shape),
        "target": labels(rng, shape),
        **class_weights(rng, shape, options),
    }


def lists_of_labels(rng, shape, options):
    """Labels, some twice, then -1, unless all places are taken."""
    return {
        "input": scores(rng, shape),
        "target": np.where(
            rng.random(shape) < 0.3, -1, rng.integers(0, shape[-1], shape)
        ),
    }


def sets_of_labels(rng, shape, options):
    soft = np.where(rng.random(shape) < 0.3, rng.random(shape), 0.0)
    weights = {"whole": shape, "class": shape[-1:], "none": None}[options.pop("of")]
    return {
        "input": scores(rng, shape),
        "target": np.where(rng.random(shape) < 0.6, rng.integers(0, 2, shape), soft),
        **({} if weights is None else {"weight": rng.random(weights)}),
    }


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    draw: Callable[..., dict[str, np.ndarray]]
    options: tuple[dict[str, Any], ...]
    shapes: list[tuple[int, ...]] = dataclasses.field(default_factory=lambda: ANY_RANK)
    wrt: tuple[str, ...] = ("input",)


CASES = [
    Case(
        "cross_entropy",
        of_labels,
        (
            {},
            {"weighted": True, "ignore_index": 1},
            {"weighted": True, "label_smoothing": 0.3},
            {"ignore_index": -1, "label_smoothing": 1.0},
        ),
    ),
    Case(
        "cross_entropy",
        of_probabilities,
        ({}, {"weighted": True, "label_smoothing": 0.3}),
        wrt=("input", "target"),
    ),
    Case("nll_loss", of_log_probabilities, ({}, {"weighted": True, "ignore_index": 2})),
    Case(
        "multi_margin_loss",
        margins,
        ({}, {"p": 2, "weighted": True}, {"margin": 0.3, "weighted": True}),
        BATCH_OR_NOT,
    ),
    Case("multilabel_margin_loss", lists_of_labels, ({},), BATCH_OR_NOT),
    Case(
        "multilabel_soft_margin_loss",
        sets_of_labels,
        ({"of": "none"}, {"of": "class"}, {"of": "whole"}),
        wrt=("input", "target"),
    ),
]


@pytest.mark.torch
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.name}-{c.draw.__name__}")
def test_values_and_gradients_are_torchs(case):
    @settings(max_examples=60)
    @given(st.data())
    def check(data):
        shape = data.draw(st.sampled_from(case.shapes), "shape")
        dtype = data.draw(st.sampled_from(["float32", "float64"]), "dtype")
        options = dict(data.draw(st.sampled_from(case.options), "options"))
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
        arrays = {
            name: array.astype(dtype) if array.dtype.kind == "f" else array
            for name, array in case.draw(rng, shape, options).items()
        }
        assert_like_torch(case.name, arrays, options, case.wrt)

    check()


@pytest.mark.torch
@pytest.mark.parametrize("weighted", [False, True])
def test_infinite_logits_and_weights_of_zero_are_torchs(weighted):
    """Infinite losses with a gradient, and 0 / 0 where the weights add up to 0."""
    inf = np.inf
    weight = {"weight": np.array([1.0, 0.0, 2.0])} if weighted else {}
    rows = np.array([[0, -inf, 1], [0, -inf, 1], [0.5, -inf, 2], [0, 0, 0]])
    for target in ([0, 1, -100, 2], [1, 1, 1, 1]):
        arrays = {"input": rows, "target": np.array(target), **weight}
        assert_like_torch("cross_entropy", arrays, {}, ("input",))
        arrays["input"] = rows[:, :2]
        arrays["target"] = np.minimum(arrays["target"], 1)
        if weighted:
            arrays["weight"] = weight["weight"][:2]
        assert_like_torch("nll_loss", arrays, {}, ("input",))
    probabilities = np.eye(3)[[0, 1, 2, 2]]
    arrays = {"input": rows, "target": probabilities, **weight}
    assert_like_torch("cross_entropy", arrays, {}, ("input",))


# What follows runs without torch.

INPUT = np.array([[0.3, -1.2, 2.0, 0.7], [1.5, 0.5, -0.4, 0.1], [0.2, 0.9, 1.1, -2.0]])
TARGET = np.array([2, 0, 3])
WEIGHT = np.array([1.0, 0.5, 2.0, 0.25])


def hinge(x, y, p=1, margin=1.0, w=(1, 1, 1, 1)):
    others = [c for c in range(len(x)) if c != y]
    return w[y] * sum(max(0, margin - x[y] + x[c]) ** p for c in others) / len(x)


def multilabel_hinge(x, listed):
    others = [c for c in range(len(x)) if c not in listed]
    return sum(max(0, 1 - x[t] + x[c]) for t in listed for c in others) / len(x)


def test_values_are_the_formulas(x64):
    log_p = log_softmax(INPUT, 1)
    nll = -log_p[np.arange(3), TARGET]

    def close(found, expected):
        # Some operations on numbers near 1, in float64.
        np.testing.assert_allclose(found, expected, 1e-14, 1e-14)

    close(L.nll_loss(log_p, TARGET), nll.mean())
    weighted = (nll * WEIGHT[TARGET]).sum() / WEIGHT[TARGET].sum()
    close(L.nll_loss(log_p, TARGET, WEIGHT), weighted)
    close(L.cross_entropy(INPUT, TARGET, WEIGHT), weighted)
    close(L.cross_entropy(INPUT, TARGET, ignore_index=3), nll[:2].mean())
    smooth = 0.9 * np.eye(4)[TARGET] + 0.1 / 4
    expected = -(smooth * log_p).sum(1)
    close(
        L.cross_entropy(INPUT, TARGET, reduction="none", label_smoothing=0.1), expected
    )
    close(L.cross_entropy(INPUT, smooth, reduction="none"), expected)

    pairs = list(zip(INPUT, TARGET, strict=True))
    close(L.multi_margin_loss(INPUT, TARGET), np.mean([hinge(*p) for p in pairs]))
    close(
        L.multi_margin_loss(INPUT, TARGET, 2, 0.5, WEIGHT, "none"),
        [hinge(x, y, 2, 0.5, WEIGHT) for x, y in pairs],
    )
    target = np.array([[1, 3, -1, 0], [-1, 2, 2, 2], [3, 0, 1, 2]])
    expected = [multilabel_hinge(INPUT[0], [1, 3]), 0, 0]
    close(L.multilabel_margin_loss(INPUT, target, "none"), expected)

    sets = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]])
    p = 1 / (1 + np.exp(-INPUT))
    each = -WEIGHT * (sets * np.log(p) + (1 - sets) * np.log(1 - p))
    close(L.multilabel_soft_margin_loss(INPUT, sets, WEIGHT, "sum"), each.mean(1).sum())


# name -> a target for INPUT, and what it is out of range
TARGETS = {
    "cross_entropy": (TARGET, np.array([2, 4, 3])),
    "nll_loss": (TARGET, np.array([2, -1, 3])),
    "multi_margin_loss": (TARGET, np.array([2, -100, 3])),
    "multilabel_margin_loss": (
        np.array([[1, 3, -1, 0], [2, 1, -1, 2], [0, -1, -1, 3]]),
        np.array([[1, 3, -1, 0], [2, 4, -1, 2], [0, -1, -1, 3]]),
    ),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_label_out_of_range_is_seen_or_gives_nan(name):
    loss = getattr(L, name)
    good, bad = TARGETS[name]
    wrong = 4 if 4 in bad else bad.min()

    def summed(x, target):
        losses = loss(x, target, reduction="none")
        return losses.sum(), losses

    with pytest.raises(ValueError, match=rf"^target must be in .* found {wrong}$"):
        loss(INPUT, bad)
    with pytest.raises(ValueError, match="target must be in"):  # a constant under jit
        jax.jit(lambda x: loss(x, bad))(INPUT)
    grad, losses = jax.jit(jax.grad(summed, has_aux=True))(jnp.asarray(INPUT), bad)
    expected, _ = jax.grad(summed, has_aux=True)(jnp.asarray(INPUT), good)
    assert np.isnan(losses).tolist() == [False, True, False]
    assert np.isnan(grad[1]).all()
    # Two float32 programs of one formula.
    np.testing.assert_allclose(grad[::2], expected[::2], 1e-6, 1e-6)


@pytest.mark.parametrize("name", TARGETS)
def test_labels_beyond_int32_do_not_wrap(name):
    """2**32 + 1 is not class 1, nor 2**32 - 100 the label -100 that is ignored."""
    loss = getattr(L, name)
    for dtype, number in ((np.int64, 2**32 + 1), (np.uint32, 2**32 - 100)):
        target = np.where(TARGETS[name][0] < 0, 0, TARGETS[name][0]).astype(dtype)
        target[1] = number
        with pytest.raises(ValueError, match=f"^target must .*, found {number}$"):
            loss(INPUT, target)
    with pytest.raises(ValueError, match=r"^target must be in"):
        loss(INPUT, jnp.asarray(target))
    assert np.isnan(jax.jit(loss)(INPUT, jnp.asarray(target)))


def test_memory_of_many_classes():
    """A number for each pair of classes would be 1,000 times as much as the scores."""
    x, labels = np.zeros((4, 1000), np.float32), np.zeros((4, 1000), int)
    gradient = jax.jit(jax.grad(L.multilabel_margin_loss))
    used = gradient.lower(x, labels).compile().memory_analysis()
    assert used.temp_size_in_bytes < 200 * x.nbytes


def test_a_batch_of_one_label_beside_one_sample():
    one = L.multi_margin_loss(INPUT[0], TARGET[0], reduction="none")
    batch = L.multi_margin_loss(INPUT[0], TARGET[:1], reduction="none")
    assert one.shape == ()
    assert batch.shape == (1,)
    assert one == batch[0]


@pytest.mark.parametrize("name", [*TARGETS, "multilabel_soft_margin_loss"])
def test_vmap_dtypes_and_lists(name):
    loss = getattr(L, name)
    target = np.eye(4)[TARGET] if "soft" in name else TARGETS[name][0]
    expected = loss(INPUT, target, reduction="none")
    assert expected.dtype == jnp.float32
    # One formula, in other programs.
    np.testing.assert_allclose(jax.vmap(loss)(INPUT, target), expected, 1e-6)
    lists = loss(INPUT.tolist(), target.tolist(), reduction="none")
    np.testing.assert_allclose(lists, expected, 1e-6)
    unsigned = target if target.min() < 0 else target.astype(np.uint8)
    np.testing.assert_allclose(loss(INPUT, unsigned, reduction="none"), expected, 1e-6)
    for dtype in (jnp.float16, jnp.bfloat16):
        x = jnp.asarray(INPUT, dtype)
        for reduction in REDUCTIONS:
            value, grad = jax.value_and_grad(
                lambda x, r=reduction: loss(x, target, reduction=r).sum()
            )(x)
            assert value.dtype == grad.dtype == dtype
            # Computed in float32: rounded once, by one unit at most.
            exact = loss(x.astype(jnp.float32), target, reduction=reduction).sum()
            unit = float(jnp.finfo(dtype).eps)
            found = np.asarray(value, np.float32)
            # The sum after "none" is of numbers that are rounded, and so itself.
            np.testing.assert_allclose(found, exact, (1 + (reduction == "none")) * unit)


def test_traced_options():
    def f(margin, smoothing):
        return L.multi_margin_loss(INPUT, TARGET, margin=margin) + L.cross_entropy(
            INPUT, TARGET, label_smoothing=smoothing
        )

    found = jax.jit(f)(0.5, 0.2)
    # One formula, in two programs.
    np.testing.assert_allclose(found, f(0.5, 0.2), 1e-6)
    assert jnp.isfinite(jax.grad(f, (0, 1))(0.5, 0.2)[1])


def test_nothing_to_average_is_nan_and_adds_up_to_zero():
    none = np.zeros((0, 4))
    for name, (target, _) in TARGETS.items():
        assert np.isnan(getattr(L, name)(none, target[:0]))
        assert getattr(L, name)(none, target[:0], reduction="sum") == 0
    assert np.isnan(L.multilabel_soft_margin_loss(none, none))


# (error, message, arguments, options) for each of several losses, or of one
OF_LABELS = [
    (ValueError, "reduction must be", (INPUT, TARGET), {"reduction": "sums"}),
    (TypeError, "input must be .* int32", (INPUT.astype(int), TARGET), {}),
    (ValueError, "input must be of shape", (1.0, 0), {}),
    (ValueError, r"target must .*\(3,\).*found \(2,\)", (INPUT, TARGET[:2]), {}),
    (TypeError, "target must be .* float64", (INPUT, 1.0 * TARGET), {}),
    (TypeError, "target must be .* bool", (INPUT, TARGET > 0), {}),
    (ValueError, r"weight must .*\(4,\)", (INPUT, TARGET), {"weight": WEIGHT[:3]}),
    (TypeError, "weight must be .* complex", (INPUT, TARGET), {"weight": 1j * WEIGHT}),
]
ERRORS = {
    "nll_loss": [
        *OF_LABELS,
        (TypeError, "ignore_index must", (INPUT, TARGET), {"ignore_index": 0.5}),
        (ValueError, "ignore_index must", (INPUT, TARGET), {"ignore_index": 2**31}),
    ],
    "cross_entropy": [
        *OF_LABELS,
        (TypeError, "target must be .* int32", (INPUT, INPUT.astype(int)), {}),
        (ValueError, "ignore_index must", (INPUT, INPUT), {"ignore_index": 0}),
        (
            ValueError,
            "label_smoothing must be .* 1.1",
            (INPUT, TARGET),
            {"label_smoothing": 1.1},
        ),
    ],
    "multi_margin_loss": [
        *OF_LABELS,
        (ValueError, "p must be .* 3", (INPUT, TARGET), {"p": 3}),
        (ValueError, "margin must be", (INPUT, TARGET), {"margin": np.nan}),
        (ValueError, "margin must be a number", (INPUT, TARGET), {"margin": WEIGHT}),
        (ValueError, "input must be .* C > 0", (INPUT[:, :0], TARGET), {}),
        (ValueError, "input must be of shape", (INPUT[None], TARGET[None]), {}),
    ],
    "multilabel_margin_loss": [
        (ValueError, "target must have", (INPUT, TARGET), {}),
        (TypeError, "target must be", (INPUT, INPUT), {}),
        (TypeError, "input must be", (TARGET, TARGET), {}),
        (ValueError, "input must be of shape", (1.0, 0), {}),
        (ValueError, "reduction must", (INPUT[0], [1, 2, 3, -1]), {"reduction": 1}),
    ],
    "multilabel_soft_margin_loss": [
        (ValueError, "target must have", (INPUT, WEIGHT), {}),
        (TypeError, "target must be .* complex", (INPUT, 1j * INPUT), {}),
        (TypeError, "input must be", (TARGET, TARGET), {}),
        (ValueError, "input must be of shape", (1.0, 1.0), {}),
        (ValueError, "weight must be", (INPUT, INPUT), {"weight": WEIGHT[:3]}),
        (ValueError, "reduction must", (INPUT, INPUT), {"reduction": "batchmean"}),
    ],
}


@pytest.mark.parametrize(
    ("name", "error", "message", "arguments", "options"),
    [(name, *case) for name, cases in ERRORS.items() for case in cases],
)
def test_errors_name_the_argument(name, error, message, arguments, options):
    with pytest.raises(error, match=message):
        getattr(L, name)(*arguments, **options)
