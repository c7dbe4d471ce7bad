"""What holds of every optimizer's factory: arguments, masks, states, late steps."""

import inspect

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import optifunc as of

from ..members import FACTORIES
from ..table import ROWS

PARAMETERS = {
    name: inspect.signature(factory).parameters for name, factory in FACTORIES.items()
}
DECAYING = [name for name, found in PARAMETERS.items() if "weight_decay" in found]
OPTIMIZERS = {row.name: row for row in ROWS if row.optimizer}


def is_weight(path, leaf):
    """The mask of the docstrings."""
    return leaf.ndim > 1 and not path.endswith("bias")


def pairs(names, wanted):
    return [
        (name, argument)
        for name in names
        for argument, parameter in PARAMETERS[name].items()
        if wanted(parameter)
    ]


def test_all_factories_are_in_the_main_namespace():
    for name, factory in FACTORIES.items():
        assert getattr(of, name) is factory


# --- arguments ------------------------------------------------------------------------


@pytest.mark.cheap
@pytest.mark.parametrize(
    ("name", "flag"), pairs(FACTORIES, lambda p: p.annotation == "bool")
)
def test_flags_are_bools(name, flag):
    for value in (1, "yes", jnp.array(True), None):
        with pytest.raises(TypeError, match=f"{flag} must be True or False"):
            FACTORIES[name](**{flag: value})
    before = list(PARAMETERS[name].values())
    at = [p.name for p in before].index(flag)
    if before[at].kind is not before[at].KEYWORD_ONLY:
        with pytest.raises(TypeError, match=f"{flag} must be True or False"):
            FACTORIES[name](*(p.default for p in before[:at]), 1)


@pytest.mark.cheap
@pytest.mark.parametrize("name", FACTORIES)
def test_foreign_names_of_arguments(name):
    takes = PARAMETERS[name]
    for foreign, ours in {
        "learning_rate": "lr",
        "b1": "betas",
        "beta_2": "betas",
        "epsilon": "eps",
        "weight_decay_mask": "mask",
        "lrr": "lr",
    }.items():
        message = f"did you mean '{ours}'" if ours in takes else "did you mean|takes"
        with pytest.raises(TypeError, match=rf"^{name}\(\).*'{foreign}'.*{message}"):
            FACTORIES[name](**{foreign: 0.5})


@pytest.mark.parametrize(
    ("name", "argument"),
    pairs(
        FACTORIES,
        lambda p: isinstance(p.default, float) or p.name in ("eps", "tolerance_grad"),
    ),
)
@pytest.mark.parametrize("size", [1, 3])
def test_an_array_with_axes_names_the_argument(name, argument, size):
    def built(value):
        if isinstance(PARAMETERS[name][argument].default, tuple):
            value = (value, 1e-3)
        others = {"momentum": 0.9} if argument == "dampening" else {}
        return FACTORIES[name](**{argument: value}, **others)

    tx, params = built(jnp.full(size, 0.5)), {"w": jnp.ones((2, 2))}
    message = (
        rf"^{argument}(\[0\])? must be a scalar, found an array of shape \({size},"
    )
    with pytest.raises(ValueError, match=message):
        tx.init(params)
    inside = {"beta2_decay": -0.5, "decay_rate": -0.5, "d": 1.5}
    state = built(inside.get(argument, 0.5)).init(params)
    row = OPTIMIZERS[name]
    with pytest.raises(ValueError, match=message):
        tx.update(row.gradient(params), state, params, **row.extra(params))


def has_pair(name):
    betas = PARAMETERS[name].get("betas")
    return betas is not None and len(betas.default) == 2


@pytest.mark.parametrize("name", [*filter(has_pair, FACTORIES)])
def test_betas_may_be_one_array(name, x64):
    # In float64: Shampoo's first factor is singular, its root a matter of rounding.
    row, params = OPTIMIZERS[name], {"w": jnp.array([[1.0, -0.5], [0.25, 2.0]])}
    grads = row.gradient(params)

    def updates(betas):
        tx = FACTORIES[name](betas=betas)
        return tx.update(grads, tx.init(params), params, **row.extra(params))[0]

    count = len(PARAMETERS[name]["betas"].default)
    betas = (0.5, 0.75, 0.875)[:count]
    found, expected = updates(jnp.array(betas)), updates(betas)
    for x, y in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        # What float64 leaves of that; the other rules agree to rounding.
        np.testing.assert_allclose(x, y, 1e-5)
    wanted = {2: "a pair", 3: "(3|three) numbers"}[count]
    with pytest.raises(ValueError, match=f"betas must be {wanted}"):
        FACTORIES[name](betas=jnp.ones(count + 1))


# --- masks ----------------------------------------------------------------------------

# What moves a parameter without a gradient, besides decay.
WITHOUT_GRADIENT = {
    "asgd": {"lambd": 0.0},
    "yogi": {"initial_accumulator_value": 0.0},
    "schedule_free_radam": {"silent_sgd_phase": False},
}


def shrunk(name, params, **options):
    """Whether a step without a gradient changes each parameter."""
    tx = FACTORIES[name](weight_decay=0.5, **options)
    grads = jax.tree.map(jnp.zeros_like, params)
    extra = OPTIMIZERS[name].extra(params)
    state = tx.init(params)
    # The first step of ADOPT and SOAP moves nothing.
    for _ in range(2):
        updates, state = tx.update(grads, state, params, **extra)
    return jax.tree.map(lambda u: bool(jnp.any(u != 0)), updates)


@pytest.mark.parametrize("name", DECAYING)
def test_masks(name):
    options = WITHOUT_GRADIENT.get(name, {})
    params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones((2, 3))}
    everything = {"kernel": True, "scale": True}
    assert shrunk(name, params, **options) == everything
    for mask in (
        {"kernel": True, "scale": False},
        lambda path, leaf: path == "kernel",
        lambda tree: {key: key == "kernel" for key in tree},
    ):
        found = shrunk(name, params, mask=mask, **options)
        assert found == {"kernel": True, "scale": False}
    with pytest.warns(UserWarning, match="mask selects none of the 2 parameters"):
        assert not any(
            shrunk(name, params, mask=lambda p, x: False, **options).values()
        )
    with pytest.raises(ValueError, match="mask must consist of bools, found 'no'"):
        FACTORIES[name](weight_decay=0.5, mask={"kernel": "no", "scale": True})
    with pytest.raises(ValueError, match="mask must have the structure"):
        FACTORIES[name](weight_decay=0.5, mask={"bias": True}).init(params)


# One step size for all parameters, which depends on what decays.
COMMON_STEP = ("polyak_sgd", "momo", "momo_adam", "dog", "dowg", "dadapt_sgd")


@pytest.mark.parametrize("name", [n for n in DECAYING if n not in COMMON_STEP])
def test_a_mask_changes_nothing_where_it_selects(name):
    """The same bits with a mask of True as without one, and as without decay.

    Where the norm of the decayed gradient counts, one parameter's decay is felt by all.
    """
    params = {"a": jnp.linspace(-1, 1, 6).reshape(2, 3), "b": jnp.ones((3, 2))}
    grads = jax.tree.map(lambda p: 0.3 * p + 0.1, params)

    def updates(**options):
        tx = FACTORIES[name](**options)
        extra = OPTIMIZERS[name].extra(params)
        return tx.update(grads, tx.init(params), params, **extra)[0]

    masked = updates(weight_decay=0.5, mask={"a": True, "b": False})
    np.testing.assert_array_equal(masked["a"], updates(weight_decay=0.5)["a"])
    np.testing.assert_array_equal(masked["b"], updates(weight_decay=0.0)["b"])


def test_a_mask_of_a_bare_array():
    for name in ("adamw", "adafactor"):
        assert shrunk(name, jnp.ones(3), mask=True)
        assert not shrunk(name, jnp.ones(3), mask=False)


def test_the_mask_of_the_docstrings_on_real_models():
    """Which names it selects. The bias of Equinox's convolution has three axes."""

    def chosen(params):
        tx = of.masked(of.identity(), is_weight)
        (child,) = tx.children()
        found = jax.tree_util.tree_leaves_with_path(tx.params_of(child, params))
        return {
            jax.tree_util.keystr(p, simple=True, separator=".").removesuffix(".value")
            for p, _ in found
        }

    class Network(eqx.Module):
        conv: eqx.nn.Conv2d
        norm: eqx.nn.LayerNorm
        head: eqx.nn.Linear

        def __init__(self, key):
            self.conv = eqx.nn.Conv2d(3, 4, 3, key=key)
            self.norm = eqx.nn.LayerNorm(4)
            self.head = eqx.nn.Linear(4, 2, key=key)

    network = eqx.filter(Network(jax.random.key(0)), eqx.is_inexact_array)
    assert network.conv.bias.shape == (4, 1, 1)
    assert chosen(network) == {"conv.weight", "head.weight"}

    class Module(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
            self.norm = nnx.LayerNorm(4, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(2, 4, rngs=rngs, decode=False)

    attention = {
        f"attention.{part}.kernel" for part in ("query", "key", "value", "out")
    }
    state = nnx.state(Module(nnx.Rngs(0)), nnx.Param)
    assert chosen(state) == {"conv.kernel"} | attention

    class Linen(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.LayerNorm(name="norm")(nn.Conv(4, (3, 3), name="conv")(x))
            return nn.MultiHeadDotProductAttention(2, name="attention")(x, x)

    params = Linen().init(jax.random.key(0), jnp.ones((1, 4, 4, 3)))["params"]
    assert chosen(params) == {"conv.kernel"} | attention


# --- states ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "flag"),
    [(of.scale_by_adam, "amsgrad"), (of.scale_by_rmsprop, "centered")],
)
def test_states_of_another_option_are_refused(direction, flag):
    params = {"w": jnp.ones(2), "frozen": None}
    for wanted in (False, True):
        tx, other = direction(**{flag: wanted}), direction(**{flag: not wanted})
        with pytest.raises(ValueError, match=f"with {flag}={not wanted}, .*={wanted};"):
            tx.update(params, other.init(params), params)
        tx.update(params, tx.init(params), params)
        # There is no parameter, and so nothing that would differ.
        for nothing in ({}, (), None):
            tx.update(nothing, tx.init(nothing), {})


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("steps_left", [0, 1])
def test_the_last_steps_that_can_be_counted(name, steps_left):
    """A count that has reached its largest value stays there, and the update finite."""
    row = OPTIMIZERS[name]
    tx, params = row.build(), {"w": jnp.ones((2, 2))}
    largest = np.iinfo(np.int32).max

    def late(leaf):
        is_count = leaf.dtype == jnp.int32 and leaf.ndim == 0
        return jnp.int32(largest - steps_left) if is_count else leaf

    state = jax.tree.map(late, tx.init(params))
    step = jax.jit(
        lambda state: tx.update(
            row.gradient(params), state, params, **row.extra(params)
        )
    )
    for _ in range(3):
        updates, state = step(state)
        for leaf in jax.tree.leaves((updates, state)):
            values = np.asarray(leaf)
            assert np.all(np.isfinite(values))
            assert np.all(values >= 0) or values.dtype != np.int32
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path[-1:])
        # A line search counts the evaluations of one update, and steps since a sync
        # begin again with each.
        is_other = "linesearch" in name or "since" in name
        if "step" in name and not is_other and leaf.dtype == jnp.int32:
            assert leaf == largest


# --- Equinox --------------------------------------------------------------------------

MLP = [
    name
    for name, row in OPTIMIZERS.items()
    if not (row.matrices or row.sparse or row.value_fn)
]


@pytest.mark.slow
@pytest.mark.parametrize("name", MLP)
def test_equinox_models_as_parameters(name):
    """`update` gets the whole model, whose activations are leaves without gradients."""
    model = eqx.nn.MLP(2, 1, 3, 1, key=jax.random.key(0))
    assert any(map(callable, jax.tree.leaves(model)))
    arrays = eqx.filter(model, eqx.is_inexact_array)
    tx, extra = OPTIMIZERS[name].build(), OPTIMIZERS[name].extra(arrays)
    grads = eqx.filter_grad(lambda model: model(jnp.ones(2))[0] ** 2)(model)
    state = tx.init(arrays)
    found, _ = tx.update(grads, state, model, **extra)
    expected, _ = tx.update(grads, state, arrays, **extra)
    assert jax.tree.structure(found) == jax.tree.structure(grads)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    eqx.apply_updates(model, found)
    # A layer without gradients, too, is left out.
    frozen = eqx.tree_at(lambda m: m.layers[0].weight, grads, None)
    with_hole = eqx.tree_at(lambda m: m.layers[0].weight, arrays, None)
    extra = OPTIMIZERS[name].extra(with_hole)
    found, _ = tx.update(frozen, tx.init(with_hole), model, **extra)
    assert found.layers[0].weight is None
    if not any(map(np.ndim, jax.tree.leaves(state))):
        return  # What keeps nothing of a parameter looks at none.
    with pytest.raises(TypeError, match=r"must be arrays, found .* at '\w*activation"):
        tx.init(model)


def test_lbfgs_of_an_equinox_model():
    model = eqx.nn.MLP(2, 1, 3, 1, key=jax.random.key(0))
    arrays, functions = eqx.partition(model, eqx.is_inexact_array)

    def loss(arrays):
        return eqx.combine(arrays, functions)(jnp.ones(2))[0] ** 2

    tx = of.lbfgs(0.1, max_iter=2, history_size=2)
    updates, _ = tx.update(
        jax.grad(loss)(arrays), tx.init(arrays), arrays, value_fn=loss
    )
    assert loss(of.apply_updates(arrays, updates)) < loss(arrays)
    with pytest.raises(TypeError, match=r"'\w*activation"):
        tx.init(model)


def test_muon_and_sparse_adam_name_functions_among_the_parameters():
    model = eqx.nn.MLP(
        2, 1, 3, 1, use_bias=False, use_final_bias=False, key=jax.random.key(0)
    )
    for tx in (of.muon(), of.sparse_adam()):
        with pytest.raises(TypeError, match=r"'\w*activation"):
            tx.init(model)
    arrays = eqx.filter(model, eqx.is_inexact_array)
    grads = eqx.filter_grad(lambda model: model(jnp.ones(2))[0] ** 2)(model)
    tx = of.muon()
    updates, _ = tx.update(grads, tx.init(arrays), model)
    eqx.apply_updates(model, updates)
