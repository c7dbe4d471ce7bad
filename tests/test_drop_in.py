"""Our transformations where optax's are expected, and optax's inside ours."""

import sys

import chex
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import optax
import optimistix
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from numpyro.infer import SVI, Trace_ELBO

import optifunc as of
from optifunc.interop import to_optax

STEPS = 5


@pytest.fixture(autouse=True)
def promotion():
    """The other libraries count on implicit promotion; ours is tested without."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def start():
    return {"kernel": jnp.asarray([[0.5, -1.0], [2.0, 0.3]]), "bias": jnp.ones(2)}


def loss(params, _=None):
    x = params["kernel"] @ jnp.asarray([1.0, 2.0]) + params["bias"]
    return jnp.sum((x - 3) ** 2) + 0.1 * jnp.sum(params["kernel"] ** 4)


def run(tx, **extra):
    """Parameters after `STEPS` steps of any object with ``init`` and ``update``."""

    @jax.jit
    def go(params):
        def step(carry, _):
            params, state = carry
            grads = jax.grad(loss)(params)
            updates, state = tx.update(grads, state, params, **extra)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), None, STEPS)[0][0]

    return go(start())


def close(found, expected):
    # Steps of 0.1, of which two libraries round each in float32 in their own way.
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)


OURS, THEIRS = of.adam(0.1), optax.adam(0.1)


def falling(step):
    return 0.1 / (1.0 + step)


KERNEL = {"kernel": True, "bias": False}
LABELS = {"kernel": "a", "bias": "b"}

# --- optax ----------------------------------------------------------------------------


MIXED = {
    "in its chain": (
        lambda: optax.chain(optax.clip(0.5), OURS),
        lambda: optax.chain(optax.clip(0.5), THEIRS),
    ),
    "a building block in its chain": (
        lambda: optax.chain(of.scale_by_adam(), optax.scale(-0.1)),
        lambda: THEIRS,
    ),
    "around it": (
        lambda: of.chain(optax.clip(0.5), OURS),
        lambda: of.chain(of.clip(0.5), OURS),
    ),
    "around it, by name": (
        lambda: of.chain(adam=optax.scale_by_adam(), lr=of.scale_by_learning_rate(0.1)),
        lambda: OURS,
    ),
    "around it and inside": (
        lambda: of.chain(optax.chain(of.chain(optax.clip(0.5), OURS))),
        lambda: of.chain(of.clip(0.5), OURS),
    ),
    "a schedule in its chain": (
        lambda: optax.chain(of.adam(falling)),
        lambda: optax.adam(falling),
    ),
    "its schedule": (
        lambda: of.adam(optax.exponential_decay(0.1, 2, 0.5)),
        lambda: optax.adam(optax.exponential_decay(0.1, 2, 0.5)),
    ),
    "its MultiSteps": (
        lambda: optax.MultiSteps(OURS, 2),
        lambda: optax.MultiSteps(THEIRS, 2),
    ),
    "its apply_if_finite": (
        lambda: optax.apply_if_finite(OURS, 3),
        lambda: THEIRS,
    ),
    "its masked": (
        lambda: optax.chain(optax.masked(of.clip(0.5), KERNEL), OURS),
        lambda: optax.chain(optax.masked(optax.clip(0.5), KERNEL), THEIRS),
    ),
    "our masked": (
        lambda: of.chain(of.masked(optax.scale_by_adam(), KERNEL), of.sgd(0.01)),
        lambda: of.chain(of.masked(of.scale_by_adam(), KERNEL), of.sgd(0.01)),
    ),
    "its partition": (
        lambda: optax.partition({"a": OURS, "b": of.sgd(0.01)}, LABELS),
        lambda: optax.partition({"a": THEIRS, "b": optax.sgd(0.01)}, LABELS),
    ),
    "our partition": (
        lambda: of.partition({"a": THEIRS, "b": optax.sgd(0.01)}, LABELS),
        lambda: of.partition({"a": OURS, "b": of.sgd(0.01)}, LABELS),
    ),
    "its inject_hyperparams": (
        lambda: optax.inject_hyperparams(of.adam)(lr=falling),
        lambda: optax.adam(falling),
    ),
    "to_optax": (lambda: to_optax(OURS), lambda: THEIRS),
    "to_optax of a schedule": (
        lambda: to_optax(of.scale_by_learning_rate(falling)),
        lambda: optax.sgd(falling),
    ),
}


@pytest.mark.parametrize(("mixed", "plain"), MIXED.values(), ids=MIXED)
def test_optax_in_ours_and_ours_in_optax(mixed, plain):
    close(run(mixed()), run(plain()))


def test_state_of_inject_hyperparams_sets_the_learning_rate():
    tx = optax.inject_hyperparams(of.adam)(lr=0.1)
    state = tx.init(start())
    state.hyperparams["lr"] = jnp.asarray(0.3)
    grads = jax.grad(loss)(start())
    found, _ = jax.jit(tx.update)(grads, state, start())
    built = of.adam(0.3)
    close(found, jax.jit(built.update)(grads, built.init(start()))[0])


# --- extra arguments ------------------------------------------------------------------


@of.transformation
class scale_by_value(of.GradientTransformation):
    """Multiply by an extra argument, which must be given."""

    def init(self, params):
        return ()

    def update(self, updates, state, params=None, *, value, **extra):
        return jax.tree.map(lambda u: value * u, updates), state


def optax_scale_by_value():
    def update(updates, state, params=None, *, value, **extra):
        return jax.tree.map(lambda u: value * u, updates), state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)


WITH_VALUE = {
    "ours in its chain": lambda: optax.chain(
        optax.scale(-1.0), to_optax(scale_by_value())
    ),
    "its in our chain": lambda: of.chain(optax.scale(-1.0), optax_scale_by_value()),
    "ours around its chain": lambda: of.chain(
        optax.chain(to_optax(of.chain(optax_scale_by_value(), of.scale(-1.0))))
    ),
    "ours in its masked": lambda: optax.chain(
        optax.masked(to_optax(scale_by_value()), KERNEL),
        optax.masked(to_optax(scale_by_value()), {"kernel": False, "bias": True}),
        optax.scale(-1.0),
    ),
}


@pytest.mark.parametrize("tx", WITH_VALUE.values(), ids=WITH_VALUE)
def test_extra_arguments_arrive(tx):
    close(run(tx(), value=0.01), run(of.sgd(0.01)))


def test_optax_drops_extra_arguments_of_other_types():
    # Why there is `to_optax`; when this fails, it may no longer be needed.
    with pytest.raises(TypeError, match="value"):
        run(optax.chain(scale_by_value()), value=0.01)


def test_to_optax_without_optax(monkeypatch):
    monkeypatch.setitem(sys.modules, "optax", None)
    with pytest.raises(ImportError, match="pip install optax"):
        to_optax(OURS)


def test_to_optax_of_no_transformation():
    with pytest.raises(TypeError, match="found None"):
        to_optax(None)


# --- flax -----------------------------------------------------------------------------


class Linear(nnx.Module):
    def __init__(self):
        self.kernel = nnx.Param(start()["kernel"])
        self.bias = nnx.Param(start()["bias"])

    @property
    def arrays(self):
        return {"kernel": self.kernel[...], "bias": self.bias[...]}


def train_nnx(tx):
    """Parameters and the optimizer's state after `STEPS` steps."""

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: loss(m.arrays))(model))

    model = Linear()
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    before = jax.tree.map(jnp.shape, nnx.as_pure(optimizer.opt_state))
    for _ in range(STEPS):
        step(model, optimizer)
    after = nnx.as_pure(optimizer.opt_state)
    assert jax.tree.map(jnp.shape, after) == before
    assert optimizer.step[...] == STEPS
    return model.arrays, after


@pytest.mark.parametrize(
    "tx",
    # nnx takes no array as a part of what it holds to be static; functions hide it.
    [OURS, to_optax(of.adam(jnp.asarray(0.1)))],
    ids=["numbers", "an array"],
)
def test_flax_nnx_optimizer(tx):
    close(train_nnx(tx)[0], run(THEIRS))


@pytest.mark.parametrize(
    "convert", [lambda tx: tx, to_optax], ids=["as is", "to_optax"]
)
def test_flax_nnx_mask_by_path(convert):
    """The names are the same where nnx gives Variables, and where it gives arrays."""
    seen = []

    def is_kernel(path, leaf):
        seen.append(path)
        return path.endswith("kernel")

    decay = of.masked(of.add_decayed_weights(0.5), is_kernel)
    found, _ = train_nnx(convert(of.chain(decay, of.sgd(0.01))))
    assert set(seen) == {"kernel", "bias"}
    expected = start()
    for _ in range(STEPS):
        grads = jax.grad(loss)(expected)
        expected = {
            "kernel": expected["kernel"]
            - 0.01 * (grads["kernel"] + 0.5 * expected["kernel"]),
            "bias": expected["bias"] - 0.01 * grads["bias"],
        }
    close(found, expected)


def test_flax_nnx_partition_by_path():
    def label(path, leaf):
        return {"kernel": "a", "bias": "b"}[path]

    parts = {"a": OURS, "b": of.sgd(0.01, momentum=0.9)}
    found, state = train_nnx(of.partition(parts, label))
    close(found, run(of.partition(parts, LABELS)))
    assert set(state) == {"a", "b"}
    # Of each label only its own parameter has state: two moments and a step; a buffer.
    shapes = {
        name: sorted(map(jnp.shape, jax.tree.leaves(state[name]))) for name in state
    }
    assert [s for s in shapes["a"] if s] == [(2, 2), (2, 2)]
    assert [s for s in shapes["b"] if s] == [(2,)]
    found, _ = train_nnx(of.partition({"a": OURS, "b": of.set_to_zero()}, label))
    close(found["bias"], start()["bias"])


def test_flax_nnx_names_of_the_variables_attribute_select_nothing():
    tx = of.masked(of.scale(2.0), lambda path, leaf: path.endswith("kernel.value"))
    message = "mask selects none of the 2 parameters: 'bias', 'kernel'"
    with pytest.warns(of.EmptyMaskWarning, match=message):
        nnx.Optimizer(Linear(), tx, wrt=nnx.Param)
    # A tree of labels must have the Variables too, or none.
    labels = jax.tree.map(lambda _: "a", nnx.state(Linear()))
    tx = of.partition({"a": OURS}, labels)
    state = nnx.as_pure(nnx.state(Linear()))
    with pytest.raises(ValueError, match=r"labels must .*; found .*Param.*, expected"):
        tx.init(state)


def test_flax_train_state():
    @jax.jit
    def step(state):
        return state.apply_gradients(grads=jax.grad(loss)(state.params))

    state = TrainState.create(apply_fn=None, params=start(), tx=OURS)
    for _ in range(STEPS):
        state = step(state)
    close(state.params, run(THEIRS))


# --- numpyro --------------------------------------------------------------------------


def test_numpyro_svi():
    def model(data):
        mean = numpyro.sample("mean", dist.Normal(0.0, 10.0))
        numpyro.sample("data", dist.Normal(mean, 1.0), obs=data)

    def guide(data):
        loc = numpyro.param("loc", 0.0)
        scale = numpyro.param("scale", 1.0, constraint=dist.constraints.positive)
        numpyro.sample("mean", dist.Normal(loc, scale))

    def fit(tx):
        svi = SVI(model, guide, tx, Trace_ELBO())
        data = jnp.asarray([2.0, 3.0, 2.5])
        result = svi.run(jax.random.key(0), 20, data, progress_bar=False)
        return result.params, result.losses

    expected = fit(THEIRS)
    # SVI looks at the type of what it is given; the converter does not.
    close(fit(to_optax(OURS)), expected)
    close(fit(numpyro.optim.optax_to_numpyro(OURS)), expected)


# --- optimistix -----------------------------------------------------------------------


def minimise(tx, max_steps):
    solver = optimistix.OptaxMinimiser(tx, rtol=1e-5, atol=1e-5)
    solution = optimistix.minimise(
        loss, solver, start(), max_steps=max_steps, throw=False
    )
    return solution.value


def test_optimistix():
    close(minimise(OURS, STEPS), run(THEIRS))


def test_optimistix_gives_lbfgs_its_function():
    found = minimise(of.lbfgs(line_search_fn="strong_wolfe"), 10)
    # Float32: the gradient is a sum of terms near 10.
    assert of.global_norm(jax.grad(loss)(found)) < 1e-3
