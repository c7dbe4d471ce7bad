"""Optimizers of matrices beside their authors' recorded runs, and their layouts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .authors import assert_follows

# Coefficients that optax and pytorch_optimizer call "dion".
DION = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
double_muon = functools.partial(of.muon, ns_dtype="float64")
optax_muon = functools.partial(
    double_muon, 0.1, 0.0, output_axis=-1, bias_correction=True
)


# --- Muon -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tx", "atol"),
    [
        # Theirs adds eps to a norm of about 1, ours is the floor of it; the iterations
        # multiply the difference by up to 100, and lr by 0.1.
        ("muon_keller", double_muon(0.1), 1e-6),
        ("muon_moonlight", double_muon(0.1, adjust_lr_fn="match_rms_adamw"), 1e-6),
        ("muon_optax_matrix", optax_muon(), 1e-7),
        ("muon_optax_aol", optax_muon(preconditioning="aol"), 1e-9),
        (
            "muon_optax_adaptive_dion",
            optax_muon(ns_coefficients=DION, adaptive=True),
            1e-6,
        ),
        (
            "muon_optax_rms",
            double_muon(
                0.1,
                output_axis=-1,
                nesterov=False,
                adjust_lr_fn="match_rms_adamw",
                bias_correction=True,
            ),
            1e-7,
        ),
    ],
)
def test_muon(name, tx, atol, x64):
    assert_follows(name, tx, atol=atol)


def test_momentum_may_be_a_schedule_under_bias_correction():
    params = {"w": jnp.asarray([[1.0, 2.0], [3.0, 5.0]])}
    tx = of.muon(
        momentum=lambda step: 0.9 + 0.01 * step.astype("float32"), bias_correction=True
    )
    step = jax.jit(tx.update)
    updates, state = step(params, tx.init(params), params)
    updates, state = step(params, state, params)
    assert jnp.all(jnp.isfinite(updates["w"]))
    own = of.find_in_state(state, of.ScaleByMuonState)
    assert own.step == 2
    with pytest.raises(ValueError, match=r"bias_correction=True, .*=False;"):
        of.scale_by_muon().update(params, own, params)


# --- NorMuon --------------------------------------------------------------------------


def test_normuon(x64):
    tx = of.normuon(0.1, 0.1, output_axis=0, ns_dtype="float64")
    # Theirs adds 1e-7 to a norm of about 1, as in Keller Jordan's Muon.
    assert_follows("normuon", tx, atol=1e-6)


def test_normuon_makes_rows_alike():
    grads = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(3, 40)))}
    tx = of.normuon(1.0, beta2=0.0, momentum=0.0)
    rows = jnp.linalg.norm(tx.update(grads, tx.init(grads), grads)[0]["w"], axis=0)
    np.testing.assert_allclose(rows, rows[0], 1e-5)
    muon = of.muon(1.0, 0.0, momentum=0.0, output_axis=-1)
    others = jnp.linalg.norm(
        muon.update(grads, muon.init(grads), grads)[0]["w"], axis=0
    )
    assert others.max() > 1.5 * others.min()
    # Altogether as large.
    sizes = jnp.linalg.norm(rows), jnp.linalg.norm(others)
    np.testing.assert_allclose(*sizes, 0.01)


# --- layouts --------------------------------------------------------------------------

LAID_OUT = {
    "muon": lambda **axes: of.muon(0.1, ns_dtype="float32", **axes),
    "normuon": lambda **axes: of.normuon(0.1, ns_dtype="float32", **axes),
}
by_layout = pytest.mark.parametrize("build", LAID_OUT.values(), ids=LAID_OUT)


def steps(tx, params, count=3):
    """Parameters after some steps with gradients that depend on them."""

    @jax.jit
    def step(params, state):
        grads = jax.tree.map(lambda p: jnp.sin(2 * p) + 0.1, params)
        updates, state = tx.update(grads, state, params)
        return of.apply_updates(params, updates), state

    state = tx.init(params)
    for _ in range(count):
        params, state = step(params, state)
    return params


@by_layout
def test_output_axes(build):
    """A kernel of any layout does what its matrix of outputs by inputs does."""
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(6, 20)), jnp.float32)
    expected = steps(build(output_axis=0), matrix)
    cases = {
        # Flax's dense layers, convolutions and attention.
        -1: (matrix.T, lambda x: x.T),
        3: (matrix.T.reshape(2, 2, 5, 6), lambda x: x.reshape(20, 6).T),
        (1, -1): (matrix.T.reshape(20, 2, 3), lambda x: x.reshape(20, 6).T),
        0: (matrix.reshape(6, 4, 5), lambda x: x.reshape(6, 20)),
    }
    for axis, (kernel, back) in cases.items():
        found = back(steps(build(output_axis=axis), kernel))
        # The same operations, in float32, iterated.
        np.testing.assert_allclose(found, expected, 0, 1e-4)
    other = steps(build(output_axis=-1), matrix)
    assert np.abs(other - expected).max() > 1e-2


@by_layout
def test_batch_axes_count_matrices(build):
    stack = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 6)), jnp.float32)
    found = steps(build(output_axis=-1, batch_axes=1), {"layers": stack})["layers"]
    single = {"a": stack[0], "b": stack[1]}
    expected = steps(build(output_axis=-1), single)
    np.testing.assert_allclose(found, jnp.stack([*expected.values()]), 0, 1e-4)


@by_layout
def test_leaves_that_are_no_matrices(build):
    tx = build(output_axis=-1)
    with pytest.raises(ValueError, match=r"\(4,\) at 'layer.bias'.*label_matrices"):
        tx.init({"layer": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(4)}})
    with pytest.raises(ValueError, match=r"output_axis is \(0, 1\), .*'kernel' is no"):
        build(output_axis=(0, 1)).init({"kernel": jnp.ones((3, 2))})
    with pytest.raises(ValueError, match=r"output_axis is 2, .*'kernel' is no matrix"):
        build(output_axis=2).init({"kernel": jnp.ones((3, 2))})
    with pytest.raises(ValueError, match=r"takes only matrices.*\(3, 2\)"):
        build(output_axis=-1, batch_axes=1).init({"kernel": jnp.ones((3, 2))})
    with pytest.raises(TypeError, match="complex64 at 'z'"):
        tx.init({"z": jnp.ones((3, 2), jnp.complex64)})
    with pytest.raises(TypeError, match="batch_axes must be an integer"):
        build(output_axis=-1, batch_axes=1.0)
    with pytest.raises(TypeError, match="output_axis must be an integer"):
        build(output_axis="last")


def test_muon_says_how_to_take_kernels_of_more_axes():
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) at 'conv'.* with output_axis"):
        of.muon().init({"conv": jnp.ones((2, 3, 4))})


def test_label_matrices():
    label = of.label_matrices("*embed*", "head", "decoder.out")
    matrix, vector, stack = jnp.ones((2, 2)), jnp.ones(2), jnp.ones((3, 2, 2))
    for path, leaf, expected in [
        ("layers.0.kernel", matrix, "matrix"),
        ("layers.0.bias", vector, "other"),
        ("token_embedding.weight", matrix, "other"),
        ("head.kernel", matrix, "other"),
        ("heads.kernel", matrix, "matrix"),
        ("decoder.out", matrix, "other"),
        ("encoder.out", matrix, "matrix"),
        ("conv.kernel", stack, "matrix"),
    ]:
        assert label(path, leaf) == expected, path
    assert of.label_matrices(batch_axes=1)("scale", matrix) == "other"
    assert of.label_matrices(batch_axes=1)("kernel", stack) == "matrix"
    assert of.label_matrices("head") == of.label_matrices("head") != label
    with pytest.raises(TypeError, match="names or patterns, found"):
        of.label_matrices(["head"])
    params = {"kernel": matrix, "head": matrix, "bias": vector}
    tx = of.partition({"matrix": of.muon(), "other": of.adamw()}, label)
    state = tx.init(params)
    buffer = of.find_in_state(state, "momentum_buffer")
    assert buffer["kernel"] is not None
    assert buffer["head"] is buffer["bias"] is None
