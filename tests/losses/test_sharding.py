"""Losses of a batch that is spread over devices: those of the same samples on one."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of

from .formulas import FORMULAS

L = of.losses
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 5))
LABELS = np.array([0, 4, 2, 2])
LISTS = np.array([[0, 2, -1, 1, 1], [4, -1, 0, 0, 0], 5 * [-1], [0, 1, 2, 3, 4]])
SETS = LISTS > 0
FRAMES = np.log(RNG.dirichlet(np.ones(5), (6, 4)))  # 6 frames of 4 samples
SEQUENCES = np.array([[1, 2, 2], [3, 3, 0], [4, 0, 0], [0, 0, 0]])

CASES = {
    # Of the other losses, the first four samples of each formula.
    **{
        name: (tuple(np.asarray(a)[:4] for a in arrays), options)
        for name, arrays, options, _ in FORMULAS
        if np.ndim(arrays[-1]) and not set(options) & {"weight", "distance_function"}
    },
    "cross_entropy": ((LOGITS, LABELS), {"label_smoothing": 0.1}),
    "linear_cross_entropy": (
        (LOGITS, LOGITS, LABELS % 4),
        {"label_smoothing": 0.1, "block_size": 2},
    ),
    "nll_loss": ((LOGITS, LABELS), {}),
    "poly_loss": ((LOGITS, LABELS), {}),
    "safe_softmax_cross_entropy": ((LOGITS, LABELS), {}),
    "multiclass_hinge_loss": ((LOGITS, LABELS), {}),
    "multiclass_perceptron_loss": ((LOGITS, LABELS), {}),
    "multiclass_sparsemax_loss": ((LOGITS, LABELS), {}),
    "dice_loss": ((LOGITS[..., None], LABELS[:, None]), {}),
    "binary_dice_loss": ((LOGITS, SETS), {}),
    "multi_margin_loss": ((LOGITS, LABELS), {}),
    "multilabel_margin_loss": ((LOGITS, LISTS), {}),
    "multilabel_soft_margin_loss": ((LOGITS, SETS), {}),
    "binary_cross_entropy_with_logits": ((LOGITS, SETS), {}),
    "ctc_loss": ((FRAMES, SEQUENCES, np.full(4, 6), np.array([3, 2, 1, 0])), {}),
}


# Of these each sample's loss is also a function of the others.
OF_THE_BATCH = {"ntxent_loss", "generalized_dice_loss"}


def mesh(axis_type):
    return jax.make_mesh((2,), ("batch",), axis_types=(axis_type,))


def arguments(name):
    """Arrays, the place of the batch in each, and the losses of the samples."""
    arrays, options = CASES[name]
    arrays = [
        jnp.asarray(a, "float32" if np.asarray(a).dtype == float else None)
        for a in arrays
    ]
    specs = [P("batch")] * len(arrays)
    if name == "ctc_loss":
        specs[0] = P(None, "batch")
    if name == "linear_cross_entropy":
        specs[1] = P()

    def losses_and_gradient(*arrays):
        def summed(first):
            losses = getattr(L, name)(first, *arrays[1:], **options, reduction="none")
            return losses.sum(), losses

        gradient, losses = jax.grad(summed, has_aux=True)(arrays[0])
        return losses, gradient

    return arrays, specs, losses_and_gradient


def assert_close(found, expected):
    # The same operations on fewer rows.
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_every_loss_is_here():
    losses = {
        name
        for name, function in vars(L).items()
        if inspect.isfunction(function)
        and "reduction" in inspect.signature(function).parameters
    }
    assert set(CASES) | OF_THE_BATCH == losses


@pytest.mark.parametrize("name", CASES)
def test_shard_map(name):
    arrays, specs, f = arguments(name)
    sharded = jax.shard_map(
        f,
        mesh=mesh(AxisType.Auto),
        in_specs=tuple(specs),
        out_specs=(P("batch"), specs[0]),
    )
    assert_close(jax.jit(sharded)(*arrays), f(*arrays))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_sharded_arrays(name, axis_type):
    arrays, specs, f = arguments(name)
    expected = f(*arrays)
    device_mesh = mesh(axis_type)
    with jax.set_mesh(device_mesh):
        placed = [
            jax.device_put(a, NamedSharding(device_mesh, spec))
            for a, spec in zip(arrays, specs, strict=True)
        ]
        assert_close(f(*placed), expected)
        assert_close(jax.jit(f)(*placed), expected)
