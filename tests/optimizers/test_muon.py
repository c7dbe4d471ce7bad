"""Muon against NumPy in float64, against torch, and its building block."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

COEFFICIENTS = (3.4445, -4.775, 2.0315)
SHAPES = {"tall": (6, 3), "wide": (3, 6), "square": (4, 4), "tall_too": (6, 3)}
OPTIONS = [
    {},
    {"lr": 0.02, "nesterov": False, "weight_decay": 0.0, "adjust_lr_fn": "original"},
    {"lr": 0.02, "momentum": 0.3, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
    {"lr": 0.01, "ns_coefficients": (1.5, -0.5, 0.0), "eps": 10.0, "momentum": 0.0},
]


def start(dtype):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=s).astype(dtype) for name, s in SHAPES.items()}


def gradient(param, sin):
    return 0.2 * param - 0.1 * sin(2 * param) + 0.07


def run(tx, params, steps):
    """The parameters after each step, the final state."""

    @jax.jit
    def compiled(tx, params):
        def step(carry, _):
            params, state = carry
            grads = jax.tree.map(lambda p: gradient(p, jnp.sin), params)
            updates, state = tx.update(grads, state, params)
            params = of.apply_updates(params, updates)
            return (params, state), params

        (_, state), path = jax.lax.scan(step, (params, tx.init(params)), None, steps)
        return path, state

    return compiled(tx, jax.tree.map(jnp.asarray, params))


def newton_schulz(matrix, coefficients, eps, steps):
    a, b, c = coefficients
    x = matrix / max(np.linalg.norm(matrix), eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def reference(
    param,
    steps,
    lr=1e-3,
    weight_decay=0.1,
    momentum=0.95,
    nesterov=True,
    ns_coefficients=COEFFICIENTS,
    eps=1e-7,
    ns_steps=5,
    adjust_lr_fn=None,
):
    rows, columns = param.shape
    ratio = (
        0.2 * np.sqrt(max(rows, columns))
        if adjust_lr_fn == "match_rms_adamw"
        else np.sqrt(max(1.0, rows / columns))
    )
    average = np.zeros_like(param)
    path = []
    for _ in range(steps):
        grad = gradient(param, np.sin)
        average = momentum * average + (1 - momentum) * grad
        direction = (1 - momentum) * grad + momentum * average if nesterov else average
        direction = newton_schulz(direction, ns_coefficients, eps, ns_steps)
        param = param - lr * (ratio * direction + weight_decay * param)
        path.append(param)
    return np.stack(path), average


@pytest.mark.parametrize("options", OPTIONS)
def test_float64_agrees_with_numpy(options, x64):
    params = start("float64")
    path, state = run(of.muon(**options, ns_dtype="float64"), params, 20)
    for name, param in params.items():
        expected_path, average = reference(param, 20, **options)
        # Rounding of 1e-16, which the iterations' slope of 3.4^5 may amplify.
        np.testing.assert_allclose(path[name], expected_path, 1e-11, 1e-11)
        np.testing.assert_allclose(state[0].momentum_buffer[name], average, 1e-11)


@pytest.mark.torch
@pytest.mark.parametrize("options", OPTIONS)
def test_bfloat16_inside_agrees_with_torch(options):
    torch = pytest.importorskip("torch", reason="live parity needs torch")
    torch.set_num_threads(1)  # with matrices this small, more only wait for each other
    params = start("float32")
    path, state = run(of.muon(**options), params, 50)
    # Another order of summation may flip a rounding to bfloat16 (2^-8 relative).
    atol = 0.2 * options.get("lr", 1e-3)
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in params.items()}
    optimizer = torch.optim.Muon(tensors.values(), **options)
    for step in range(50):
        for tensor in tensors.values():
            tensor.grad = gradient(tensor.detach(), torch.sin)
        optimizer.step()
        for name, tensor in tensors.items():
            found = tensor.detach().numpy()
            np.testing.assert_allclose(path[name][step], found, 0, atol)
    for name, tensor in tensors.items():
        buffer = optimizer.state[tensor]["momentum_buffer"].numpy()
        np.testing.assert_allclose(state[0].momentum_buffer[name], buffer, 0, atol)


@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (5, 5), (3, 8, 5)])
def test_orthogonalize_brings_singular_values_near_one(shape):
    matrices = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)
    found = {
        dtype: of.linalg.orthogonalize(matrices, ns_dtype=dtype)
        for dtype in ("bfloat16", "float16", "float32")
    }
    for matrix in np.asarray(found["float32"]).reshape(-1, *shape[-2:]):
        singular_values = np.linalg.svd(matrix, compute_uv=False)
        # What the quintic maps the interval it attracts to.
        assert 0.6 < singular_values.min() <= singular_values.max() < 1.3
    for matrix, result in zip(
        np.asarray(matrices, np.float64).reshape(-1, *shape[-2:]),
        np.asarray(found["float32"]).reshape(-1, *shape[-2:]),
        strict=True,
    ):
        expected = newton_schulz(matrix, COEFFICIENTS, 1e-7, 5)
        np.testing.assert_allclose(result, expected, 0, 1e-5)
    for dtype, rounding in {"bfloat16": 2.0**-9, "float16": 2.0**-11}.items():
        assert found[dtype].dtype == matrices.dtype
        # Five iterations of three roundings each, on elements of at most about 1.
        difference = np.abs(found[dtype] - found["float32"]).max()
        assert 0 < difference < 30 * rounding


def test_orthogonalize_of_nothing_and_of_zeros():
    for shape in [(0, 3), (3, 0), (0, 0), (0, 2, 3)]:
        assert of.linalg.orthogonalize(jnp.zeros(shape)).shape == shape
        np.testing.assert_array_equal(of.linalg.orthogonalize(jnp.zeros(shape)), 0)
    np.testing.assert_array_equal(of.linalg.orthogonalize(jnp.zeros((3, 2))), 0)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_matrices_of_one_shape_are_orthogonalized_together(platform):
    params = {name: jnp.zeros(shape) for name, shape in SHAPES.items()}
    params |= {"none": None, "empty": jnp.zeros((3, 0)), "narrow": jnp.zeros((3, 2))}
    tx = of.scale_by_muon()
    exported = jax.export.export(jax.jit(tx.update), platforms=[platform])
    program = exported(params, tx.init(params)).mlir_module()
    # Tall and wide together, square, empty, narrow.
    assert program.count("stablehlo.while") == 4
    iterations = re.findall(r"call @iterated\w*\(", program)
    matrices = len(jax.tree.leaves(params))
    assert len(iterations) == (matrices if platform == "cpu" else 4)


def test_a_batch_and_a_loop_over_matrices_agree():
    keys = jax.random.split(jax.random.key(0), 3)
    matrices = [jax.random.normal(key, (3, 5)) for key in keys]
    tx = of.scale_by_muon(momentum=0.0, nesterov=False, ns_dtype=jnp.float32)
    updates, _ = tx.update(matrices, tx.init(matrices))
    batch = of.linalg.orthogonalize(jnp.stack(matrices), ns_dtype=jnp.float32)
    # Sums of at most 5 terms in another order, through 5 iterations: 1e-7 each.
    np.testing.assert_allclose(jnp.stack(updates), batch, 0, 1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_state_and_updates_keep_the_dtype(dtype):
    params = {"w": jnp.ones((3, 2), dtype), "none": None, "empty": jnp.ones((0, 2))}
    tx = of.muon()
    updates, state = tx.update(params, tx.init(params), params)
    assert updates["w"].dtype == state[0].momentum_buffer["w"].dtype == dtype
    assert updates["none"] is None
    assert jnp.all(jnp.isfinite(updates["w"]))


def test_other_leaves_go_to_another_optimizer():
    """As the error for a leaf that is not a matrix says."""
    params = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}
    grads = {"kernel": jnp.asarray([[1.0, 2], [0, 1], [3, 1]]), "bias": jnp.ones(2)}
    tx = of.partition(
        {"matrix": of.muon(), "other": of.adamw()},
        lambda path, leaf: "matrix" if leaf.ndim == 2 else "other",
    )
    updates, _ = tx.update(grads, tx.init(params), params)
    for name, single in {"kernel": of.muon(), "bias": of.adamw()}.items():
        expected, _ = single.update(
            grads[name], single.init(params[name]), params[name]
        )
        np.testing.assert_array_equal(updates[name], expected)


def test_schedules():
    params = {"w": jnp.asarray([[1.0, 2.0], [3.0, 5.0]])}

    def halving(first):
        return lambda step: first * jnp.exp2(-step.astype("float32"))

    tx = of.muon(lr=halving(0.1), momentum=halving(0.5), weight_decay=0.0)
    state = tx.init(params)
    first, state = tx.update(params, state, params)
    _, state = tx.update(params, state, params)
    current = of.current_hyperparameters(tx, state)
    assert current["lr"] == pytest.approx(0.025)
    assert current["momentum"] == pytest.approx(0.125)
    fixed = of.muon(lr=0.1, momentum=0.5, weight_decay=0.0)
    expected, _ = fixed.update(params, fixed.init(params), params)
    np.testing.assert_allclose(first["w"], expected["w"], 1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, "lr must be at least 0, found -1"),
        ({"momentum": -0.1}, ValueError, "momentum must be at least 0"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be at least 0"),
        ({"eps": float("nan")}, ValueError, "eps must be at least 0, found nan"),
        ({"ns_steps": 100}, ValueError, "ns_steps must be below 100, found 100"),
        ({"ns_steps": 2.0}, TypeError, "ns_steps must be an integer"),
        ({"ns_coefficients": (1.0, 2.0)}, ValueError, "three numbers"),
        ({"adjust_lr_fn": "x"}, ValueError, "adjust_lr_fn must be one of"),
        ({"ns_dtype": "int8"}, ValueError, "ns_dtype must be a real floating-point"),
        ({"ns_dtype": "complex64"}, ValueError, "ns_dtype must be a real floating"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        of.muon(**options)


def test_bad_trees():
    matrix = jnp.ones((3, 2))
    with pytest.raises(ValueError, match=r"\(4,\) at 'layer.bias'.*partition\("):
        of.muon().init({"layer": {"kernel": matrix, "bias": jnp.ones(4)}})
    with pytest.raises(TypeError, match="parameters, found complex64 at 'z'"):
        of.muon().init({"z": jnp.ones((3, 2), jnp.complex64)})
    tx = of.muon()
    state = tx.init({"w": matrix})
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update({"w": matrix}, state)
    with pytest.raises(ValueError, match=r"differ in shape at 'w': \(2, 3\)"):
        tx.update({"w": matrix.T}, state, {"w": matrix})
    sparse = BCOO((jnp.ones((1, 2)), jnp.zeros((1, 1), jnp.int32)), shape=(3, 2))
    with pytest.raises(TypeError, match="sparse"):
        tx.update({"w": sparse}, state, {"w": matrix})
