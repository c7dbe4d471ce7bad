"""Adafactor against NumPy in float64 and against torch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optifunc as of

pytestmark = pytest.mark.slow

STEPS = 50
SHAPES = {"matrix": (3, 2), "vector": (4,), "tensor": (2, 3, 4), "scalar": ()}
OPTIONS = [
    {},
    {"lr": 0.02, "weight_decay": 0.5, "beta2_decay": -0.5, "d": 1.5},
    {"eps": (1e-2, 0.5), "maximize": True},  # a floor above mean squares
]
TOLERANCES = {"float32": 1e-5, "float64": 1e-9}  # the project's, on numbers near 1


def start(dtype):
    rng = np.random.default_rng(0)
    return {k: rng.uniform(-0.5, 0.5, s).astype(dtype) for k, s in SHAPES.items()}


def gradient(param, scale, sin):
    return scale * (0.2 * param - 0.1 * sin(2 * param) + 0.07)


@functools.cache
def run(index, dtype, scale):
    """The parameters after each step and the final state, for ``OPTIONS[index]``."""
    with jax.enable_x64(dtype == "float64"):
        return _run(OPTIONS[index], dtype, scale)


def _run(options, dtype, scale):
    params = jax.tree.map(jnp.asarray, start(dtype))

    @jax.jit
    def compiled(tx, params):
        def step(carry, _):
            params, state = carry
            grads = jax.tree.map(lambda p: gradient(p, scale, jnp.sin), params)
            updates, state = tx.update(grads, state, params)
            params = of.apply_updates(params, updates)
            return (params, state), params

        (_, state), path = jax.lax.scan(step, (params, tx.init(params)), None, STEPS)
        return path, state

    path, (*_, state) = compiled(of.adafactor(**options), params)
    return path, state


def reference(
    param,
    gradients,
    lr=1e-2,
    beta2_decay=-0.8,
    eps=(None, 1e-3),
    d=1.0,
    weight_decay=0.0,
    maximize=False,
    dtype="float64",
):
    """In float64; ``gradients(param, t)``. ``dtype`` is whose epsilon is the floor."""
    eps1 = np.finfo(dtype).eps if eps[0] is None else eps[0]
    row = col = variance = 0.0
    path = []
    for t in range(1, STEPS + 1):
        grad = (-1 if maximize else 1) * gradients(param, t)
        w = t**beta2_decay
        if grad.ndim > 1:
            row = (1 - w) * row + w * np.mean(grad**2, -1, keepdims=True)
            col = (1 - w) * col + w * np.mean(grad**2, -2, keepdims=True)
            mean = np.maximum(np.mean(row, -2, keepdims=True), eps1)
            estimate = row * col / mean
        else:
            estimate = variance = (1 - w) * variance + w * grad**2
        direction = grad / np.sqrt(np.maximum(estimate, eps1**2))
        size = max(eps[1], np.sqrt(np.mean(param**2))) * min(lr, 1 / np.sqrt(t))
        clip = max(1.0, np.sqrt(np.mean(direction**2)) / d)
        param = param - lr * weight_decay * param - size / clip * direction
        path.append(param)
    state = {"row_var": row, "col_var": col, "variance": variance}
    return np.stack(path), {
        k: v for k, v in state.items() if np.ndim(v) or param.ndim == 0
    }


@pytest.mark.parametrize("index", range(len(OPTIONS)))
@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_with_numpy(index, scale, dtype):
    path, state = run(index, dtype, scale)
    assert state.step == STEPS
    for name, param in start("float64").items():
        expected, variances = reference(
            param.astype(dtype).astype("float64"),
            lambda p, t: gradient(p, scale, np.sin),
            dtype=dtype,
            **OPTIONS[index],
        )
        atol = TOLERANCES[dtype]
        np.testing.assert_allclose(path[name], expected, 0, atol, err_msg=name)
        for field in ("row_var", "col_var", "variance"):
            found = getattr(state, field)[name]
            if (field == "variance") == (param.ndim > 1):
                assert found is None
            else:
                assert found.dtype == dtype
                # Relative: with small gradients these are far below the tolerance.
                np.testing.assert_allclose(found, variances[field], 100 * atol)


@pytest.mark.torch
@pytest.mark.parametrize("index", range(len(OPTIONS)))
@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_with_torch(index, scale, dtype):
    torch = pytest.importorskip("torch", reason="live parity needs torch")
    path, state = run(index, dtype, scale)
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in start(dtype).items()}
    optimizer = torch.optim.Adafactor(tensors.values(), **OPTIONS[index])
    for step in range(STEPS):
        for tensor in tensors.values():
            tensor.grad = gradient(tensor.detach(), scale, torch.sin)
        optimizer.step()
        for name, tensor in tensors.items():
            np.testing.assert_allclose(
                path[name][step], tensor.detach().numpy(), 0, TOLERANCES[dtype]
            )
    for name, tensor in tensors.items():
        for field, value in optimizer.state[tensor].items():
            found = getattr(state, field)
            found = found if field == "step" else found[name]
            assert jnp.shape(found) == tuple(value.shape)
            np.testing.assert_allclose(found, value.numpy(), 0, TOLERANCES[dtype])


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_range_of_float32(scale):
    """Squares are within it, products of two of them are not."""
    rng = np.random.default_rng(3)
    param = rng.normal(size=(4, 3)).astype("float32")
    grads = (scale * rng.normal(size=(STEPS, 4, 3))).astype("float32")
    expected, _ = reference(
        param.astype("float64"),
        lambda p, t: grads[t - 1].astype("float64"),
        eps=(1e-30, 1e-3),
    )
    tx = of.adafactor(eps=(1e-30, 1e-3))

    @jax.jit
    def train(params, grads):
        def step(carry, grad):
            params, state = carry
            updates, state = tx.update(grad, state, params)
            return (of.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), grads)[0][0]

    np.testing.assert_allclose(train(param, grads), expected[-1], 0, 1e-5)


def test_the_first_leaf_chooses_the_floor_for_all():
    """As in torch; the leaves' own would be 2^-7 and 2^-23."""
    params = {"a": jnp.ones(3, jnp.bfloat16), "b": jnp.full((2, 2), 0.5)}
    grads = jax.tree.map(lambda p: 1e-3 * p, params)

    def updates(tx):
        return tx.update(grads, tx.init(params), params)[0]["b"]

    floors = {"bfloat16": 2.0**-7, "float32": 2.0**-23}
    explicit = {k: updates(of.adafactor(eps=(v, 1e-3))) for k, v in floors.items()}
    np.testing.assert_array_equal(updates(of.adafactor()), explicit["bfloat16"])
    assert not np.allclose(explicit["bfloat16"], explicit["float32"], rtol=0.1)


@pytest.mark.parametrize("eps", [(None, 1e-3), (0.0, 0.0), (1e-30, 1e-3)])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_zero_gradients_and_leaves_without_elements(eps, dtype):
    params = {
        "matrix": jnp.ones((3, 2), dtype),
        "scalar": jnp.ones((), dtype),
        "empty": [
            jnp.ones(shape, dtype) for shape in [(0,), (0, 3), (3, 0), (2, 0, 3)]
        ],
        "none": None,
    }
    tx = of.adafactor(eps=eps)
    state = tx.init(params)
    grads = jax.tree.map(jnp.zeros_like, params)
    updates, new_state = jax.jit(tx.update)(grads, state, params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    for update in jax.tree.leaves(updates):
        assert update.dtype == dtype
        np.testing.assert_array_equal(update, 0)
    for old, new in zip(
        jax.tree.leaves(state), jax.tree.leaves(new_state), strict=True
    ):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
        assert jnp.all(jnp.isfinite(new))
    assert tx.update({}, tx.init({}), {})[0] == {}


REDUCED = {
    "row_var": PartitionSpec("rows", None),
    "col_var": PartitionSpec(None, "columns"),
}


def sharded_param(axis_type):
    mesh = jax.make_mesh((4, 2), ("rows", "columns"), axis_types=(axis_type,) * 2)
    sharding = NamedSharding(mesh, PartitionSpec("rows", "columns"))
    return jax.device_put(jnp.ones((8, 4)), sharding)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_variances_are_sharded_like_their_parameter(axis_type):
    param = sharded_param(axis_type)
    tx = of.step_by_adafactor()
    state = tx.init({"w": param})
    for field, spec in REDUCED.items():
        found = getattr(state, field)["w"].sharding
        assert found.is_equivalent_to(NamedSharding(param.sharding.mesh, spec), 2)
    _, after = jax.jit(tx.update)({"w": param}, state, {"w": param})
    for field in REDUCED:
        before, found = (getattr(x, field)["w"].sharding for x in (state, after))
        assert found.is_equivalent_to(before, 2), field
    assert jax.eval_shape(of.adafactor().init, {"w": param})


def test_variances_are_sharded_inside_jit_on_an_explicit_mesh():
    """Where the axes are automatic, the compiler chooses."""
    param = sharded_param(AxisType.Explicit)
    with jax.set_mesh(param.sharding.mesh):
        state = jax.jit(of.step_by_adafactor().init)({"w": param})
    for field, spec in REDUCED.items():
        assert getattr(state, field)["w"].sharding.spec == spec


def test_init_commits_what_the_parameter_is_committed_to():
    """As `jax.device_put` with a device does; anything else may move."""
    tx = of.adafactor()
    free = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}
    device = jax.devices()[1]
    params = {**free, "committed": jax.device_put(jnp.ones((3, 2)), device)}
    state = tx.init(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        is_committed = "committed" in jax.tree_util.keystr(path)
        assert leaf.committed is is_committed, path
        assert not is_committed or leaf.devices() == {device}
    # Arrays of NumPy are nowhere yet.
    fresh = tx.init(jax.tree.map(np.asarray, free))
    assert not any(leaf.committed for leaf in jax.tree.leaves(fresh))

    @jax.jit
    def step(params, state, x):
        grads = jax.tree.map(lambda p: x * p, params)
        updates, state = tx.update(grads, state, params)
        return of.apply_updates(params, updates), state

    params, state = free, tx.init(free)
    for _ in range(3):
        params, state = step(params, state, 1.0)
    assert step._cache_size() == 1
    step(free, tx.init(free), jax.device_put(1.0, device))


def test_schedules():
    params = {"w": jnp.ones((2, 3))}
    tx = of.adafactor(
        lr=lambda step: 0.1 * jnp.exp2(-step.astype("float32")), weight_decay=0.1
    )
    state = tx.init(params)
    for lr in (0.1, 0.05):
        zero_grads = jax.tree.map(jnp.zeros_like, params)
        updates, state = tx.update(zero_grads, state, params)
        # Nothing but the decay, which is scaled by the learning rate itself.
        np.testing.assert_allclose(updates["w"], -0.1 * lr, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr must be at least 0, found -1"),
        ({"beta2_decay": 0.1}, "beta2_decay must be at most 0, found 0.1"),
        ({"eps": (-1.0, 1e-3)}, r"eps\[0\] must be at least 0"),
        ({"eps": (None, float("nan"))}, r"eps\[1\] must be at least 0, found nan"),
        ({"eps": 1e-3}, "eps must be a pair"),
        ({"d": 0.9}, "d must be at least 1, found 0.9"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        of.adafactor(**options)


def test_bad_trees():
    tx = of.adafactor()
    params = {"w": jnp.ones((3, 2))}
    state = tx.init(params)
    with pytest.raises(TypeError, match="parameters, found complex64 at 'z'"):
        tx.init({"z": jnp.ones(3, jnp.complex64)})
    with pytest.raises(ValueError, match="adafactor needs the parameters"):
        tx.update(params, state)
    with pytest.raises(
        ValueError, match=r"differ in shape at 'w': \(2, 3\) and \(3, 2"
    ):
        tx.update({"w": jnp.ones((2, 3))}, state, params)
    with pytest.raises(ValueError, match="updates has no leaf at 'w'"):
        tx.update({"v": jnp.ones((3, 2))}, state, params)
    sparse = BCOO((jnp.ones((1, 2)), jnp.zeros((1, 1), jnp.int32)), shape=(3, 2))
    with pytest.raises(TypeError, match="sparse"):
        tx.update({"w": sparse}, state, params)
