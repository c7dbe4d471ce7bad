"""Optimizers of matrices beside their authors' recorded runs, and their layouts."""

import functools
import subprocess
import sys

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
        ("muon_keller", double_muon(0.1), 1e-7),
        ("muon_moonlight", double_muon(0.1, adjust_lr_fn="match_rms_adamw"), 1e-9),
        ("muon_optax_matrix", optax_muon(), 1e-9),
        ("muon_optax_aol", optax_muon(preconditioning="aol"), 1e-9),
        (
            "muon_optax_adaptive_dion",
            optax_muon(ns_coefficients=DION, adaptive=True),
            3e-8,
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
            1e-9,
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
    assert_follows("normuon", tx, atol=1e-7)


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


# --- AdaMuon --------------------------------------------------------------------------


def test_adamuon(x64):
    tx = of.adamuon(0.1, sign=False, ns_dtype="float64")
    # What eps adds to the norm, or is the floor of, as above.
    assert_follows("adamuon", tx, atol=1e-8)


def test_adamuon_of_signs_has_the_rms_of_adam():
    grads = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)))}
    signs = jax.tree.map(jnp.sign, grads)
    tx, other = of.adamuon(1.0), of.adamuon(1.0, sign=False)
    found, _ = tx.update(grads, tx.init(grads), grads)
    expected, _ = other.update(signs, other.init(grads), grads)
    np.testing.assert_allclose(found["w"], expected["w"], 1e-5)
    assert np.sqrt(np.mean(found["w"] ** 2)) == pytest.approx(0.2, rel=1e-5)


# --- Dion -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fraction", "start"),
    [
        ("dion_rank1", 0.5, [[1.0], [0.5], [-0.5]]),
        ("dion_rank2", 1.0, [[1.0, 0.0], [0.5, 1.0], [-0.5, 0.25]]),
    ],
)
def test_dion(name, fraction, start, x64):
    def begin(state):
        return (state[0]._replace(Q=jnp.asarray(start)), *state[1:])

    tx = of.dion(0.1, rank_fraction=fraction, output_axis=0)
    assert_follows(name, tx, begin=begin)


def test_dion_of_rank_and_seed():
    params = {"w": jnp.ones((12, 20)), "narrow": jnp.ones((3, 20))}

    def factors(**options):
        return of.scale_by_dion(**options).init(params).Q

    found = factors(rank_fraction=0.3)
    assert found["w"].shape == (12, 4)
    assert found["narrow"].shape == (3, 1)
    found = factors(rank_fraction=0.3, rank_multiple_of=8)
    assert found["w"].shape == (12, 8)
    assert found["narrow"].shape == (3, 3)
    first, again, other = factors(), factors(seed=0), factors(seed=1)
    np.testing.assert_array_equal(first["w"], again["w"])
    assert not np.any(first["w"] == other["w"])


def test_dion_feeds_back_what_a_low_rank_leaves_out():
    """A constant gradient of rank 3, in steps of rank 1."""
    gradient = jnp.diag(jnp.asarray([4.0, 2.0, 1.0]))
    tx = of.scale_by_dion(momentum=0.0, rank_fraction=1 / 3)
    step = jax.jit(tx.update)
    state, total = tx.init(gradient), jnp.zeros((3, 3))
    for _ in range(60):
        updates, state = step(gradient, state)
        assert np.linalg.matrix_rank(updates, tol=1e-4) == 1
        total += updates
    assert jnp.diag(total).min() > 5
    updates, new = step(0 * gradient, tx.init(gradient))
    np.testing.assert_array_equal(updates, 0)
    np.testing.assert_array_equal(new.Q, tx.init(gradient).Q)


# --- steps along a sphere -------------------------------------------------------------


def test_hyperball(x64):
    tx = of.chain(of.scale_by_adam((0.9, 0.99)), of.step_by_hyperball(0.1))
    assert_follows("hyperball_adam", tx)


def test_hyperball_keeps_norms():
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.normal(size=(5, 4))), "zero": jnp.zeros((2, 2))}
    tx = of.chain(of.scale_by_muon(), of.step_by_hyperball(lambda step: 0.5))
    last = steps(tx, params, 50)
    norms = np.linalg.norm(params["w"]), np.linalg.norm(last["w"])
    # A rounding of 1e-7 in each step, which the next one takes back.
    np.testing.assert_allclose(*norms, 1e-6)
    assert np.abs(last["w"] - params["w"]).max() > 0.5
    np.testing.assert_array_equal(last["zero"], 0)
    still, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(still["w"], 0, 0, 1e-6)
    with pytest.raises(ValueError, match=r"step_by_hyperball takes .*\(3,\) at 'bias'"):
        of.step_by_hyperball(0.1).init({"bias": jnp.ones(3)})
    with pytest.raises(ValueError, match="lr must be at least 0"):
        of.step_by_hyperball(-0.1)


# --- Scion ----------------------------------------------------------------------------

double_scion = functools.partial(of.scion, 0.1, 0.1, ns_dtype="float64", output_axis=0)


@pytest.mark.parametrize(
    ("name", "options", "atol"),
    [
        # Theirs adds 1e-7 to the norm, of which ours is the floor.
        ("scion_spectral", {"norm": "Spectral", "scale": 3.0}, 3e-7),
        ("scion_spectral_unconstrained", {"unconstrained": True}, 1e-7),
        ("scion_sign", {"norm": "Sign", "scale": 3.0}, 1e-9),
        ("scion_colnorm", {"norm": "ColNorm", "scale": 3.0}, 1e-9),
        ("scion_rownorm", {"norm": "RowNorm", "scale": 3.0}, 1e-9),
        ("scion_biasrms", {}, 1e-9),
    ],
)
def test_scion(name, options, atol, x64):
    assert_follows(name, double_scion(**options), atol=atol)


def test_scion_of_convolutions():
    kernel = jnp.asarray(
        np.random.default_rng(0).normal(size=(5, 4, 3, 3)), jnp.float32
    )
    tx = of.scale_by_scion(output_axis=0, ns_dtype="float32")
    found, _ = tx.update(kernel, tx.init(kernel))
    expected = of.linalg.orthogonalize(kernel.reshape(5, 36), ns_dtype="float32")
    expected = np.sqrt(5 / 4) / 9 * expected.reshape(kernel.shape)
    np.testing.assert_allclose(found, expected, 0, 1e-6)
    # As flax keeps it.
    tx = of.scale_by_scion(ns_dtype="float32")
    moved = jnp.transpose(kernel, (2, 3, 1, 0))
    found, _ = tx.update(moved, tx.init(moved))
    np.testing.assert_allclose(jnp.transpose(found, (3, 2, 0, 1)), expected, 0, 1e-5)


def test_scion_stays_in_its_ball():
    params = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(5, 5)))}
    tx = of.scion(0.1, 0.5, scale=2.0, ns_dtype="float32")
    last = steps(tx, params, 100)["w"]
    # The iterations' singular values end below 1.2.
    assert np.linalg.norm(last, 2) < 2.0 * 1.2


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: of.normuon(momentum=1.0), ValueError, "momentum must be .* below 1"),
        (lambda: of.normuon(beta2=-1.0), ValueError, "beta2 must be at least 0"),
        (lambda: of.adamuon(eps=-1.0), ValueError, "eps must be at least 0"),
        (lambda: of.dion(rank_fraction=0.0), ValueError, "rank_fraction must be above"),
        (lambda: of.dion(rank_multiple_of=0), ValueError, "rank_multiple_of must be"),
        (lambda: of.dion(seed=-1), ValueError, "seed must be at least 0"),
        (lambda: of.dion(momentum=1.1), ValueError, "momentum must be .* at most 1"),
        (lambda: of.scion(momentum=0.0), ValueError, "momentum must be above 0"),
        (lambda: of.scion(norm="Frobenius"), ValueError, "norm must be one of"),
        (lambda: of.scion(output_axis=1), ValueError, r"output_axis must be .*\(0, -1"),
        (lambda: of.scion(scale=-1.0), ValueError, "scale must be at least 0"),
        (
            lambda: of.scion(norm="Sign").init({"bias": jnp.ones(3)}),
            ValueError,
            r"for leaves of 2 axes or more, found shape \(3,\) at 'bias'",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()


# --- layouts --------------------------------------------------------------------------

LAID_OUT = {
    "muon": lambda **axes: of.muon(0.1, ns_dtype="float32", **axes),
    "normuon": lambda **axes: of.normuon(0.1, ns_dtype="float32", **axes),
    "adamuon": lambda **axes: of.adamuon(0.1, ns_dtype="float32", **axes),
    "dion": lambda **axes: of.dion(0.1, **axes),
}
by_layout = pytest.mark.parametrize("build", LAID_OUT.values(), ids=LAID_OUT)


def steps(tx, params, count=3, begin=lambda state: state):
    """Parameters after some steps with gradients that depend on them."""

    @jax.jit
    def step(params, state):
        grads = jax.tree.map(lambda p: jnp.sin(2 * p) + 0.1, params)
        updates, state = tx.update(grads, state, params)
        return of.apply_updates(params, updates), state

    state = begin(tx.init(params))
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
    # AdaMuon does the same with a matrix and its transpose.
    is_symmetric = build is LAID_OUT["adamuon"]
    assert is_symmetric == (np.abs(other - expected).max() < 1e-2)


@by_layout
def test_batch_axes_count_matrices(build):
    stack = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 6)), jnp.float32)
    tx, params = build(output_axis=-1, batch_axes=1), {"layers": stack}
    found = steps(tx, params)["layers"]

    def begin(state):
        if not hasattr(state[0], "Q"):
            return state
        first, second = tx.init(params)[0].Q["layers"]
        return (state[0]._replace(Q={"a": first, "b": second}), *state[1:])

    single = {"a": stack[0], "b": stack[1]}
    expected = steps(build(output_axis=-1), single, begin=begin)
    np.testing.assert_allclose(found, jnp.stack([*expected.values()]), 0, 1e-4)


@by_layout
def test_leaves_that_are_no_matrices(build):
    tx = build(output_axis=-1)
    with pytest.raises(ValueError, match=r"\(4,\) at 'layer.bias'.*label_matrices"):
        tx.init({"layer": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(4)}})
    with pytest.raises(ValueError, match=r"output_axis is \(0, 1\), .*'kernel' is no"):
        build(output_axis=(0, 1)).init({"kernel": jnp.ones((3, 2))})
    with pytest.raises(
        ValueError, match=r"output_axis is 2, .*'kernel' is not a matrix"
    ):
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


# --- what they are made for -----------------------------------------------------------


def digits_loss(params, x, labels):
    hidden = x
    for layer in params["layers"]:
        hidden = jax.nn.relu(hidden @ layer)
    logits = hidden @ params["head"]
    return of.losses.cross_entropy(logits, labels)


def test_muon_on_the_digits_of_scikit_learn():
    """A lower loss in as many steps as Adam with its best learning rate of a grid."""
    reason = "the extra `examples` is not installed"
    datasets = pytest.importorskip("sklearn.datasets", reason=reason)
    images, labels = datasets.load_digits(return_X_y=True)
    x = jnp.asarray(images / 16, jnp.float32)
    labels = jnp.asarray(labels, jnp.int32)
    rng = np.random.default_rng(0)

    def kernel(inputs, outputs):
        values = rng.normal(size=(inputs, outputs)) * np.sqrt(2 / inputs)
        return jnp.asarray(values, jnp.float32)

    start = {
        "layers": [kernel(64, 64), kernel(64, 64), kernel(64, 64)],
        "head": kernel(64, 10),
    }
    batches = jnp.asarray(rng.integers(0, len(x), (60, 128)), jnp.int32)
    fading = jnp.linspace(1, 0, len(batches))

    @jax.jit
    def last_loss(tx):
        def step(carry, given):
            params, state = carry
            batch, factor = given
            grads = jax.grad(digits_loss)(params, x[batch], labels[batch])
            updates, state = tx.update(grads, state, params)
            updates = jax.tree.map(lambda u: factor * u, updates)
            return (of.apply_updates(params, updates), state), None

        carry = start, tx.init(start)
        (params, _), _ = jax.lax.scan(step, carry, (batches, fading))
        return digits_loss(params, x, labels)

    adam = min(float(last_loss(of.adam(lr))) for lr in (0.01, 0.03, 0.1))

    def mixed(lr):
        muon = of.muon(lr, 0.0, output_axis=-1, ns_dtype="float32")
        transformations = {"matrix": muon, "other": of.adam(1e-2)}
        return of.partition(transformations, of.label_matrices("head"))

    muon = min(float(last_loss(mixed(lr))) for lr in (0.03, 0.1))
    assert muon < 0.7 * adam


MANY_FACTORIZATIONS = """
import jax, jax.numpy as jnp, optifunc as of
shapes = [(16 * (i + 2), 16 * (i % 4 + 1)) for i in range(16)]
keys = jax.random.split(jax.random.key(0), 32)
params = [jax.random.normal(k, shapes[i % 16]) for i, k in enumerate(keys)]
tx = of.{name}(0.01)
updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
assert all(jnp.all(jnp.isfinite(u)) for u in updates)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dion", "kron", "soap"])
def test_many_factorizations_in_one_program_come_to_an_end(name):
    """XLA's CPU client may wait for itself without end, if it begins all at once."""
    program = MANY_FACTORIZATIONS.replace("{name}", name)
    finished = subprocess.run([sys.executable, "-c", program], timeout=300, check=False)
    assert finished.returncode == 0
