"""Values: compared by content, hashed, copied, pickled, with flags that are flags."""

import copy
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .table import ROWS

NAN = float("nan")


def ramp(step):
    return 0.1 * (1 + step.astype(jnp.float32))


def steep(step):
    return 0.2 * (1 + step.astype(jnp.float32))


# Pairs of ways to build the same value.
EQUAL = {
    "defaults": (of.adamw, lambda: of.adamw(1e-3, (0.9, 0.999), 1e-8, 1e-2)),
    "integers": (lambda: of.scale(2), lambda: of.scale(2.0)),
    "numbers of NumPy": (lambda: of.scale(0.1), lambda: of.scale(np.float64(0.1))),
    "arrays": (lambda: of.scale(jnp.float32(0.1)), lambda: of.scale(jnp.float32(0.1))),
    "arrays of NumPy": (
        lambda: of.scale(jnp.float32(0.5)),
        lambda: of.scale(np.asarray(0.5, np.float32)),
    ),
    "betas": (
        lambda: of.scale_by_adam(jnp.array([0.9, 0.99])),
        lambda: of.scale_by_adam(jnp.array([0.9, 0.99])),
    ),
    "functions": (lambda: of.sgd(ramp), lambda: of.sgd(ramp)),
    "schedules": (
        lambda: of.sgd(of.schedules.exponential(0.1, 0.9)),
        lambda: of.sgd(of.schedules.exponential(0.1, 0.9)),
    ),
    "masks": (
        lambda: of.masked(of.scale(2.0), {"a": [True], "b": False}),
        lambda: of.masked(of.scale(2.0), {"b": False, "a": [True]}),
    ),
    "names": (
        lambda: of.chain(a=of.clip(1.0), b=of.adam()),
        lambda: of.chain(a=of.clip(1), b=of.adam()),
    ),
    "what was replaced": (
        lambda: of.sgd(0.1, 0.9),
        lambda: of.replace_hyperparameters(of.sgd(0.5, 0.9), lr=0.1),
    ),
}

# Pairs that differ in one thing.
DIFFERENT = {
    "a number": (of.adam(0.1), of.adam(0.2)),
    "how it is rounded": (of.scale(0.1), of.scale(np.float32(0.1))),
    "a number and an array": (of.scale(0.5), of.scale(jnp.float32(0.5))),
    "an array": (of.scale(jnp.float32(1)), of.scale(jnp.float32(2))),
    "a dtype": (of.scale(jnp.float32(1)), of.scale(jnp.bfloat16(1))),
    "a flag": (of.scale_by_adam(), of.scale_by_adam(amsgrad=True)),
    "a class": (of.ema_parameters(0.5), of.scale(0.5)),
    "a function": (of.sgd(ramp), of.sgd(steep)),
    "lambdas": (of.sgd(lambda step: 0.1), of.sgd(lambda step: 0.1)),
    "a schedule": (
        of.sgd(of.schedules.exponential(0.1, 0.9)),
        of.sgd(of.schedules.exponential(0.1, 0.8)),
    ),
    "a mask": (of.masked(of.scale(2.0), True), of.masked(of.scale(2.0), False)),
    "an order": (
        of.chain(of.clip(1.0), of.negate()),
        of.chain(of.negate(), of.clip(1)),
    ),
    "the order of names": (
        of.chain(a=of.clip(1.0), b=of.negate()),
        of.chain(b=of.negate(), a=of.clip(1.0)),
    ),
    "a name": (of.chain(a=of.clip(1.0)), of.chain(b=of.clip(1.0))),
    "NaN and a number": (of.momentum(jnp.float32(NAN)), of.momentum(jnp.float32(0))),
    "another kind of object": (of.scale(1.0), 1.0),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_content_is_equal(name):
    one, other = (build() for build in EQUAL[name])
    assert one == other
    assert hash(one) == hash(other)
    assert {one: "found"}[other] == "found"


@pytest.mark.parametrize("name", DIFFERENT)
def test_other_content_is_not(name):
    one, other = DIFFERENT[name]
    assert one != other
    assert other != one


def test_nan_equals_nan():
    """So that a value equals its copy; two objects of NaN have two hashes in Python."""

    @of.transformation
    class shift(of.Stateless):
        by: float

        def apply(self, updates, params=None):
            return updates

    other = float("nan")
    assert shift(NAN) == shift(other) == shift(np.float32(NAN))
    assert hash(shift(NAN)) == hash(shift(other)) == hash(shift(np.float32(NAN)))
    arrays = [of.momentum(jnp.array(NAN)) for _ in range(2)]
    assert arrays[0] == arrays[1]


@pytest.mark.cheap
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_transformation_equals_its_twin_and_its_copies(row):
    tx = row.build()
    twins = (row.build(), copy.copy(tx), copy.deepcopy(tx), reloaded(tx), rebuilt(tx))
    for twin in twins:
        assert twin == tx
        assert hash(twin) == hash(tx)


def reloaded(value):
    return pickle.loads(pickle.dumps(value))


def rebuilt(value):
    leaves, structure = jax.tree.flatten(value)
    return structure.unflatten(leaves)


def test_copies_of_a_mask_and_of_a_layout_over_a_module():
    eqx = pytest.importorskip("equinox", reason="a user's model")
    model = eqx.nn.Linear(2, 3, key=jax.random.key(0))
    tx = of.masked(of.adam(), jax.tree.map(lambda x: x.ndim > 1, model))
    state = of.flatten(of.adam()).init(model)
    for again in (copy.deepcopy, reloaded):
        assert again(tx) == tx
        assert jax.tree.structure(again(state)) == jax.tree.structure(state)


def test_traced_values_are_compared_without_looking_at_their_numbers():
    @jax.jit
    def compared(x, y):
        one, same, other = of.scale(x), of.scale(x), of.scale(y)
        hash(of.chain(one, other))
        return jnp.array([one == same, one == other, one == of.scale(2.0)])

    assert compared(2.0, 2.0).tolist() == [True, False, False]


def test_as_a_static_argument_equal_values_are_compiled_once():
    compiled = []

    @partial(jax.jit, static_argnums=0)
    def step(tx, grads):
        compiled.append(tx)
        return tx.update(grads, tx.init(grads), grads)[0]

    grads = {"w": jnp.ones(2)}
    for _ in range(2):
        step(of.adamw(0.1), grads)
        step(of.chain(of.scale(jnp.float32(2.0)), of.sgd(ramp)), grads)
    assert len(compiled) == 2
    found = step(of.adamw(0.2), grads)["w"]
    assert len(compiled) == 3
    tx = of.adamw(0.2)
    wanted = tx.update(grads, tx.init(grads), grads)[0]["w"]
    # Compiled as a whole, which may round otherwise.
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


# --- arguments ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.scale_by_adam(amsgrad=1), "amsgrad must be True or False, found 1"),
        (lambda: of.scale_by_adam((0.9, 0.9), 1e-8, "no"), "amsgrad must be .*'no'"),
        (lambda: of.momentum(0.9, nesterov=None), "nesterov must be .* found None"),
        (lambda: of.adam(amsgrad=1), "amsgrad must be True or False, found 1"),
        (lambda: of.sgd(0.1, 0.9, nesterov=1.0), "nesterov must be .* found 1.0"),
    ],
)
def test_flags_must_be_bools(build, message):
    with pytest.raises(TypeError, match=message):
        build()
    assert of.scale_by_adam(amsgrad=np.True_) == of.scale_by_adam(amsgrad=True)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        # Misspelled.
        (
            lambda: of.ema_parameters(deacy=0.9),
            r"ema_parameters\(\) has no argument 'deacy'; did you mean 'decay'\?",
        ),
        # As other libraries call it.
        (
            lambda: of.clip_by_global_norm(max_grad_norm=1.0),
            "did you mean 'max_norm'",
        ),
        (lambda: of.scale_by_learning_rate(learning_rate=0.1), "did you mean 'lr'"),
        (lambda: of.accumulate_gradients(of.adam(), every_k=2), "did you mean 'every'"),
        (
            lambda: of.partition(transforms={}, labels={}),
            "did you mean 'transformations'",
        ),
        # Of which nothing like it is known.
        (
            lambda: of.scale(xyz=1.0),
            r"scale\(\) has no argument 'xyz'; it takes factor",
        ),
    ],
)
def test_unknown_arguments_are_told_what_there_is(build, message):
    with pytest.raises(TypeError, match=message):
        build()
