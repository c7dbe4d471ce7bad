"""ctc_loss: beside all alignments one by one, beside torch's, its limits and errors."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax.test_util import check_grads

import optifunc as of

from .comparison import TOLERANCE, cotangent

ctc_loss = of.losses.ctc_loss


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def collapsed(alignment, blank):
    """Repetitions count once, then blanks are left out."""
    return [label for label, _ in itertools.groupby(alignment) if label != blank]


def by_alignments(log_probs, target, blank=0):
    """Loss and derivative of one sample, from each of the C^T alignments."""
    frames, classes = log_probs.shape
    likelihood = 0.0
    visits = np.zeros_like(log_probs)
    for alignment in itertools.product(range(classes), repeat=frames):
        if collapsed(alignment, blank) == list(target):
            times = np.arange(frames)
            p = np.exp(log_probs[times, list(alignment)].sum())
            likelihood += p
            visits[times, list(alignment)] += p
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.log(likelihood), -visits / likelihood


FRAMES = 5
TARGETS = [[], [2], [1, 1], [1, 2], [2, 1, 2], [2, 2, 2], [1, 2, 2, 1]]


@pytest.mark.parametrize("blank", [0, 1])
@pytest.mark.parametrize("normalized", [True, False])
def test_all_alignments_one_by_one(blank, normalized, x64):
    """Values and derivatives, whether or not the probabilities add up to 1."""
    rng = np.random.default_rng(blank)
    # Other labels for another blank.
    targets = [[(label + blank) % 3 for label in target] for target in TARGETS]
    target_lengths = np.array([len(target) for target in targets])
    padded = np.full((len(targets), 4), -7)
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = target
    input_lengths = np.array([5, 4, 5, 2, 5, 5, 5])
    log_probs = 2 * rng.normal(size=(FRAMES, len(targets), 3))
    log_probs = log_softmax(log_probs) if normalized else log_probs
    log_probs[1, 2, :] = -np.inf  # nothing is possible
    log_probs[1, 4, 2] = -np.inf  # some of it is not

    expected = np.zeros(len(targets))
    expected_grad = np.zeros_like(log_probs)
    for i, (target, n) in enumerate(zip(targets, input_lengths, strict=True)):
        expected[i], expected_grad[:n, i] = by_alignments(
            log_probs[:n, i], target, blank
        )
    is_finite = np.isfinite(expected)
    expected_grad[:, ~is_finite] = 0
    assert is_finite.sum() == 6 - (blank == 2)

    def loss(log_probs, **options):
        return ctc_loss(
            log_probs, padded, input_lengths, target_lengths, blank, **options
        )

    losses, pull_back = jax.vjp(lambda x: loss(x, reduction="none"), log_probs)
    (grad,) = pull_back(np.ones(len(targets)))
    # Some dozen operations on numbers near 1, in float64.
    np.testing.assert_allclose(losses, expected, 1e-13, 1e-13)
    np.testing.assert_allclose(grad, expected_grad, 0, 1e-13)

    finite = np.where(is_finite, expected, 0)
    per_label = finite / np.maximum(target_lengths, 1)
    for reduction, reduced in [("mean", per_label.mean()), ("sum", finite.sum())]:
        assert np.isinf(loss(log_probs, reduction=reduction))
        found = loss(log_probs, reduction=reduction, zero_infinity=True)
        np.testing.assert_allclose(found, reduced, 1e-13)


# layout, (reduction, zero_infinity, blank); each of a dtype is one compilation
VARIANTS = [
    ("padded", ("none", False, 0)),
    ("padded", ("mean", True, 3)),
    ("joined", ("sum", True, 1)),
    ("single", ("none", False, 2)),
]


@functools.cache
def program(reduction, zero_infinity, blank):
    """The loss of logits, so that torch's gradient is a derivative."""

    def loss(logits, *arguments):
        return ctc_loss(
            jax.nn.log_softmax(logits), *arguments, blank, reduction, zero_infinity
        )

    def value_and_grad(logits, *arguments):
        value, pull_back = jax.vjp(lambda x: loss(x, *arguments), logits)
        return value, *pull_back(cotangent(value.shape, value.dtype))

    return jax.jit(value_and_grad)


def torchs(logits, *arguments):
    import torch

    x = torch.tensor(logits, requires_grad=True)
    *arrays, reduction, zero_infinity, blank = arguments
    tensors = [torch.tensor(array) for array in arrays]
    value = torch.nn.functional.ctc_loss(
        x.log_softmax(-1), *tensors, blank, reduction, zero_infinity
    )
    seed = torch.tensor(cotangent(tuple(value.shape), logits.dtype))
    (grad,) = torch.autograd.grad(value, x, seed)
    return value.detach().numpy(), grad.numpy()


def drawn(rng, layout, blank, extreme):
    """Logits, targets and lengths, for some of which there is no alignment."""
    frames, samples, classes, total = 7, 3, 4, 8
    if layout == "single":
        samples = 1
    logits = 3 * rng.normal(size=(frames, samples, classes))
    if extreme:
        rare = rng.choice([0.0, 1e4, -1e4], logits.shape)
        logits = np.where(rng.random(logits.shape) < 0.5, rare, logits)
    if layout == "joined":
        ends = np.sort(rng.integers(0, total + 1, samples - 1))
        target_lengths = np.diff([0, *ends, total])
        shape = (total,)
    else:
        target_lengths = rng.integers(0, 5, samples)
        shape = (samples, 4)
    targets = (blank + rng.integers(1, classes, shape)) % classes
    input_lengths = rng.integers(0, frames + 1, samples)
    if layout == "single":
        return logits[:, 0], targets, input_lengths[0], target_lengths[0]
    return logits, targets, input_lengths, target_lengths


@pytest.mark.slow
@pytest.mark.torch
@settings(max_examples=150)
@given(
    dtype=st.sampled_from(["float32", "float64"]),
    variant=st.sampled_from(VARIANTS),
    extreme=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_values_and_gradients_are_torchs(dtype, variant, extreme, seed):
    layout, options = variant
    rng = np.random.default_rng(seed)
    logits, *arguments = drawn(rng, layout, options[2], extreme)
    logits = logits.astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        value, grad = map(np.asarray, program(*options)(logits, *arguments))
    expected, expected_grad = torchs(logits, *arguments, *options)
    # Torch's posteriors are differences of log-likelihoods, which in float32 are good
    # to some 1e-6: its gradients are taken in float64, of the same logits.
    _, precise_grad = torchs(logits.astype(np.float64), *arguments, *options)
    assert value.dtype == grad.dtype == dtype
    assert value.shape == expected.shape
    is_finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isposinf(value), ~is_finite)
    value, expected = np.where(is_finite, value, 0), np.where(is_finite, expected, 0)
    error = np.abs(value - expected) / np.maximum(1, np.abs(expected))
    assert error.max() <= TOLERANCE[dtype]
    # Where torch's gradient is NaN, of an infinite loss, ours is 0.
    is_finite = np.isfinite(expected_grad)
    assert np.isfinite(grad).all()
    error = np.where(is_finite, np.abs(grad - np.where(is_finite, precise_grad, 0)), 0)
    # A log-probability of 1e4 is rounded to units of 1e4, and its exponential with it.
    assert error.max() <= TOLERANCE[dtype] * (1e4 if extreme else 1)


@pytest.mark.torch
def test_long_sequences_in_float32():
    """T = 512, the losses near 1000: the error of the result, not of 512 steps.

    Values are good to two roundings, where plain sums would be off by five. A gradient
    is a product of 512 shares, each rounded to 6e-8: some 1e-5, where torch's own in
    float32 is off by 1e-3.
    """
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(512, 4, 16)).astype(np.float32)
    targets = rng.integers(1, 16, (4, 60))
    arguments = (targets, np.array([512, 500, 300, 200]), np.array([60, 20, 45, 1]))
    options = ("none", False, 0)
    value, grad = program(*options)(logits, *arguments)
    expected, expected_grad = torchs(logits.astype(np.float64), *arguments, *options)
    torch_value, torch_grad = torchs(logits, *arguments, *options)
    np.testing.assert_allclose(value, expected, 2.5e-7)  # two units of float32
    np.testing.assert_allclose(value, torch_value, 2e-6)
    error = np.abs(grad - expected_grad).max()
    assert error < 5e-5
    assert error < np.abs(torch_grad - expected_grad).max()


# What follows runs without torch.

LOGITS = np.random.default_rng(1).normal(size=(6, 3, 4)).astype(np.float32)
PADDED = np.array([[1, 2, 2], [3, 0, 0], [1, 3, 1]])
JOINED = np.array([1, 2, 2, 3, 1, 3])
INPUT_LENGTHS = np.array([6, 5, 6])
TARGET_LENGTHS = np.array([3, 1, 2])


def losses(logits, *arguments, reduction="none", **options):
    log_probs = jax.nn.log_softmax(logits)
    return ctc_loss(log_probs, *arguments, reduction=reduction, **options)


def test_one_loss_in_many_ways():
    """Layouts, traced or not, lists, under vmap, one at a time: of the same values."""
    lengths = (INPUT_LENGTHS, TARGET_LENGTHS)
    expected = losses(LOGITS, PADDED, *lengths)
    one_at_a_time = jax.vmap(losses, (1, 0, 0, 0))
    found = {
        "jit": jax.jit(losses)(LOGITS, PADDED, *lengths),
        "joined": losses(LOGITS, JOINED, *lengths),
        "joined, traced": jax.jit(losses)(LOGITS, JOINED, *lengths),
        "lists": losses(LOGITS, PADDED.tolist(), [6, 5, 6], (3, 1, 2)),
        "vmap": one_at_a_time(LOGITS, PADDED[:, None], *lengths),
        "single": [losses(LOGITS[:, 0], PADDED[0], 6, [3]), *expected[1:]],
    }
    for name, value in found.items():
        # One formula, in several programs.
        np.testing.assert_allclose(value, expected, 1e-6, err_msg=name)


def test_no_loop_over_time_in_python():
    def size(frames):
        arguments = (PADDED, np.full(3, 4), TARGET_LENGTHS)
        gradient = jax.grad(lambda x: losses(x, *arguments).sum())
        return len(str(jax.make_jaxpr(gradient)(jnp.zeros((frames, 3, 4)))).split())

    assert size(100) == size(10)


def test_derivatives_of_both_modes_and_orders(x64):
    gradient = jax.jit(jax.grad(lambda x: losses(x, [1, 2, 2], 5, 3)))
    check_grads(gradient, (LOGITS[:, 0].astype(float),), order=1)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_targets_without_an_alignment(zero_infinity):
    """The gradient of these samples is 0, those of others are what they are alone."""
    input_lengths = np.array([3, 0, 6])  # two equal labels need a blank between them

    def summed(logits, *arguments):
        found = losses(logits, *arguments, zero_infinity=zero_infinity)
        return found.sum(), found

    arguments = (PADDED, input_lengths, TARGET_LENGTHS)
    grad, found = jax.grad(summed, has_aux=True)(LOGITS, *arguments)
    alone, expected = jax.grad(summed, has_aux=True)(LOGITS[:, 2], [1, 3], 6, 2)
    assert found[0] == found[1] == (0 if zero_infinity else np.inf)
    # One formula, in two programs.
    np.testing.assert_allclose(found[2], expected, 1e-6)
    assert not grad[:, :2].any()
    np.testing.assert_allclose(grad[:, 2], alone, 1e-5, 1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_rounded_once(dtype):
    arguments = (PADDED, INPUT_LENGTHS, TARGET_LENGTHS)
    log_probs = jax.nn.log_softmax(LOGITS).astype(dtype)
    value, grad = jax.value_and_grad(ctc_loss)(log_probs, *arguments)
    exact, exact_grad = jax.value_and_grad(ctc_loss)(
        log_probs.astype(jnp.float32), *arguments
    )
    assert value.dtype == grad.dtype == dtype
    assert value == exact.astype(dtype)
    # One unit: two programs may round to different sides.
    unit = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(grad.astype(jnp.float32), exact_grad, unit, 1e-6)


@pytest.mark.parametrize(
    ("frames", "samples", "length"), [(3, 0, 2), (0, 2, 2), (3, 2, 0)]
)
def test_empty_axes(frames, samples, length):
    """An empty target is all blanks."""
    log_probs = np.full((frames, samples, 4), -2.0)
    targets = np.ones((samples, length), int)
    input_lengths, target_lengths = np.full(samples, frames), np.zeros(samples, int)
    for layout in (targets, targets.ravel()[:0]):
        found = ctc_loss(
            log_probs, layout, input_lengths, target_lengths, reduction="none"
        )
        np.testing.assert_array_equal(found, np.full(samples, 2.0 * frames))


BAD_VALUES = [
    ("targets", (np.where(PADDED == 3, 4, PADDED), INPUT_LENGTHS, TARGET_LENGTHS), 1),
    ("targets", (np.where(PADDED == 3, -1, PADDED), INPUT_LENGTHS, TARGET_LENGTHS), 1),
    ("targets", (np.where(PADDED == 3, 0, PADDED), INPUT_LENGTHS, TARGET_LENGTHS), 1),
    ("input_lengths", (PADDED, np.array([6, 7, 6]), TARGET_LENGTHS), 1),
    ("input_lengths", (PADDED, np.array([6, -1, 6]), TARGET_LENGTHS), 1),
    ("target_lengths", (PADDED, INPUT_LENGTHS, np.array([3, 4, 2])), 1),
    ("target_lengths", (PADDED, INPUT_LENGTHS, np.array([3, -1, 2])), 1),
    ("targets", (JOINED - 1, INPUT_LENGTHS, TARGET_LENGTHS), 0),
    ("target_lengths", (JOINED, INPUT_LENGTHS, np.array([7, -1, 0])), 1),
    ("targets", (JOINED, INPUT_LENGTHS, np.array([3, 1, 1])), 1),
]


@jax.jit
@functools.partial(jax.grad, has_aux=True)
def gradient_and_losses(logits, *arguments):
    found = losses(logits, *arguments, zero_infinity=True)
    return found.sum(), found


@pytest.mark.parametrize(("argument", "arguments", "bad"), BAD_VALUES)
def test_values_out_of_range_are_seen_or_give_nan(argument, arguments, bad):
    with pytest.raises(ValueError, match=f"^{argument} must be .*found -?[0-9]+$"):
        losses(LOGITS, *arguments)
    with pytest.raises(ValueError, match=f"^{argument} must be"):  # constants under jit
        jax.jit(lambda x: losses(x, *arguments))(LOGITS)
    grad, found = gradient_and_losses(LOGITS, *arguments)
    assert np.isnan(found[bad])
    assert np.isnan(grad[0, bad]).all()


OK = (jax.nn.log_softmax(LOGITS), PADDED, INPUT_LENGTHS, TARGET_LENGTHS)


@pytest.mark.parametrize(
    ("error", "message", "position", "value"),
    [
        (TypeError, "log_probs must be .* int32", 0, np.zeros((6, 3, 4), int)),
        (ValueError, r"log_probs must be .*found \(4,\)", 0, np.zeros(4)),
        (TypeError, "targets must be .* float64", 1, 1.0 * PADDED),
        (ValueError, r"targets must be .*\(3, S\).*\(2, 3\)", 1, PADDED[:2]),
        (ValueError, "targets must be .*found shape", 1, PADDED[None]),
        (TypeError, "input_lengths must be .* float64", 2, 1.0 * INPUT_LENGTHS),
        (ValueError, r"input_lengths must be .*\(3,\).*\(2,\)", 2, [6, 6]),
        (ValueError, "input_lengths must be of shape", 2, 6),
        (TypeError, "target_lengths must be .* bool", 3, TARGET_LENGTHS > 1),
        (ValueError, "target_lengths must be of shape", 3, PADDED),
        (ValueError, "blank must be .*found 4", 4, 4),
        (ValueError, "blank must be .*found -1", 4, -1),
        (TypeError, "blank must be .*found 0.5", 4, 0.5),
        (ValueError, "reduction must be .*found 'batchmean'", 5, "batchmean"),
    ],
)
def test_errors_name_the_argument(error, message, position, value):
    arguments = [*OK, 0, "mean"]
    arguments[position] = value
    with pytest.raises(error, match=message):
        ctc_loss(*arguments)
