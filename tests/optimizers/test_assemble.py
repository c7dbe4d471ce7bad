"""`assemble`: each kind of decay against numbers from elsewhere, and what it builds.

The numbers are of the problem ``g = H p``: "dion" and "optimi" were computed by
microsoft/dion and torch-optimi 0.3.3, "NumPy" by a few lines of it, all in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .authors import assert_follows

H = np.array([[2.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 1.5]])
START = [1.0, -2.0, 3.0]
# The gradient and one of these parameters differ in sign.
MIXED = [1.0, 0.2, -3.0]


def after(tx, start, steps):
    """The parameters after some steps."""
    hessian = jnp.asarray(H)

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(hessian @ params, state, params)
        return (of.apply_updates(params, updates), state), None

    start = jnp.asarray(start)
    (params, _), _ = jax.lax.scan(step, (start, tx.init(start)), length=steps)
    return params


def falling(step):
    return 0.1 * 0.5 ** jnp.asarray(step, float)


@pytest.mark.parametrize(
    ("direction", "options", "start", "steps", "expected"),
    [
        pytest.param(
            of.scale_by_adam((0.9, 0.95)),
            {"lr": 0.1, "weight_decay": 0.1, "decay": "cautious"},
            MIXED,
            4,
            [0.5690651830471192, 0.12499669311334624, -2.488549634671264],
            id="cautious Adam, dion",
        ),
        pytest.param(
            optax.scale_by_lion(0.9, 0.99),
            {"lr": 0.1, "weight_decay": 0.1, "decay": "cautious"},
            MIXED,
            4,
            [0.5665561100000001, 0.19602, -2.4877481299999995],
            id="cautious Lion, dion",
        ),
        pytest.param(
            of.scale_by_adam((0.9, 0.99), 1e-6),
            {"lr": 0.1, "weight_decay": 0.01, "decay": "independent", "peak_lr": 0.2},
            START,
            3,
            [0.8236345826375228, -1.6722068732321738, 2.657066935847494],
            id="independent, optimi",
        ),
        pytest.param(
            of.scale_by_adam(),
            {"lr": 0.1, "weight_decay": 0.01, "decay": "independent", "peak_lr": 0.2},
            START,
            3,
            [0.823649780716819, -1.6722481176261987, 2.657094644596117],
            id="independent, NumPy",
        ),
        pytest.param(
            # The same by decoupled decay with a schedule of its own.
            of.scale_by_adam(),
            {"lr": falling, "weight_decay": lambda t: 0.1 * falling(t) / 0.1},
            START,
            3,
            [0.8574878456466417, -1.7993109196402675, 2.7861782299316302],
            id="corrected, NumPy",
        ),
    ],
)
def test_numbers_from_elsewhere(x64, direction, options, start, steps, expected):
    found = after(of.assemble(direction, **options), start, steps)
    np.testing.assert_allclose(found, expected, 1e-9)


def test_recorded_decays(x64):
    """Step for step, by the authors' packages or the specification's NumPy."""
    adam = of.scale_by_adam()
    for name, direction, options in (
        ("adamw_cautious_wd", of.scale_by_adam((0.9, 0.95)), {"decay": "cautious"}),
        ("lion_cautious_wd", optax.scale_by_lion(0.9, 0.99), {"decay": "cautious"}),
        (
            "adamw_independent_wd",
            adam,
            {"decay": "independent", "peak_lr": 0.2, "weight_decay": 0.01},
        ),
        (
            "optimi_adamw_decouple_lr",
            of.scale_by_adam((0.9, 0.99), 1e-6),
            {"decay": "independent", "peak_lr": 0.2, "weight_decay": 0.01},
        ),
        (
            # Whose eps is added before the correction.
            "adamc",
            of.scale_by_adam(
                eps=lambda t: 1e-8 / jnp.sqrt(1 - 0.999 ** (t + 1).astype(float))
            ),
            {"decay": "corrected"},
        ),
        (
            "adamc_scheduled",
            adam,
            {"decay": "corrected", "lr": falling, "peak_lr": 0.1},
        ),
    ):
        options = {"lr": 0.1, "weight_decay": 0.1, **options}
        assert_follows(name, of.assemble(direction, **options))


def test_corrected_decay_of_some_parameters():
    """Its learning rate is one hyperparameter, and its mask is that of `masked`."""
    mask = {"kernel": True, "scale": False}
    tx = of.assemble(
        lr=0.1, weight_decay=0.5, decay="corrected", peak_lr=0.4, mask=mask
    )
    params = {"kernel": jnp.array([1.0, -2.0]), "scale": jnp.array([3.0])}
    zeros = jax.tree.map(jnp.zeros_like, params)
    for lr, share in ((0.1, 0.1**2 / 0.4), (0.2, 0.2**2 / 0.4)):
        own = of.replace_hyperparameters(tx, lr=lr)
        updates, _ = own.update(zeros, own.init(params), params)
        # A few roundings.
        np.testing.assert_allclose(
            updates["kernel"], -0.5 * share * params["kernel"], 1e-6
        )
        np.testing.assert_array_equal(updates["scale"], [0])
    with pytest.warns(UserWarning, match="mask selects none of the 2 parameters"):
        of.assemble(
            lr=0.1, weight_decay=0.5, decay="corrected", mask=lambda path, leaf: False
        ).init(params)


def test_decay_after_the_step():
    tx = of.assemble(lr=0.1, weight_decay=0.5, decay="after")
    params, grads = jnp.array([1.0, -2.0]), jnp.array([3.0, 4.0])
    updates, _ = tx.update(grads, tx.init(params), params)
    arrived = params - 0.1 * grads
    np.testing.assert_allclose(params + updates, arrived * (1 - 0.1 * 0.5), 1e-6)


def test_the_chain_that_it_builds():
    """The members of before there was `assemble`: states are in checkpoints."""
    adam, lr = of.scale_by_adam(), of.scale_by_learning_rate(0.1)
    decay = of.add_decayed_weights(0.2)
    for built, expected in (
        (of.assemble(adam, lr=0.1), of.chain(adam, lr)),
        (of.assemble(lr=0.1), of.chain(lr)),
        (of.assemble(adam, lr=None), of.chain(adam)),
        (of.assemble(adam, lr=0.1, maximize=True), of.chain(of.negate(), adam, lr)),
        (of.assemble(adam, lr=0.1, weight_decay=0.2), of.chain(adam, decay, lr)),
        (
            of.assemble(adam, lr=0.1, weight_decay=0.2, decay="coupled", maximize=True),
            of.chain(of.negate(), decay, adam, lr),
        ),
        (
            of.assemble(adam, lr=0.1, weight_decay=0.2, mask={"w": True}),
            of.chain(adam, of.masked(decay, {"w": True}), lr),
        ),
        (of.adam(0.1, weight_decay=0.2), of.chain(decay, adam, lr)),
        (of.adamw(0.1, weight_decay=0.2), of.chain(adam, decay, lr)),
        (of.sgd(0.1), of.chain(lr)),
        (of.asgd(), of.chain(of.step_by_asgd())),
        (
            of.asgd(weight_decay=0.2, maximize=True),
            of.chain(of.negate(), decay, of.step_by_asgd()),
        ),
        (
            of.adafactor(weight_decay=0.2),
            of.chain(of.step_by_adafactor(weight_decay=0.2)),
        ),
        (of.lbfgs(), of.chain(of.step_by_lbfgs())),
        (
            of.muon(0.1, weight_decay=0.2),
            of.chain(of.scale_by_muon(), decay, lr),
        ),
    ):
        assert built == expected


@pytest.mark.parametrize("lr", [0.1, jnp.float32(0.1)], ids=["number", "array"])
def test_the_peak_is_by_default_the_learning_rate(lr):
    tx = of.assemble(lr=lr, weight_decay=0.25, decay="independent")
    params = jnp.array([1.0, -2.0])
    updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
    np.testing.assert_allclose(updates, -0.25 * params, 1e-6)  # a few roundings
    assert of.current_hyperparameters(tx, None) == {
        "weight_decay": 0.25,
        "peak_lr": lr,
        "lr": lr,
    }
    # It stays where it is if the learning rate falls.
    tx = of.replace_hyperparameters(tx, lr=0.05)
    updates, _ = tx.update(jnp.zeros(2), tx.init(params), params)
    np.testing.assert_allclose(updates, -0.125 * params, 1e-6)


def test_without_a_peak_there_is_no_such_hyperparameter():
    found = of.current_hyperparameters(of.adamw(), None)
    assert found.keys() == {"lr", "betas", "eps", "weight_decay"}
    with pytest.raises(ValueError, match="unknown hyperparameter 'peak_lr'"):
        of.replace_hyperparameters(of.adamw(), peak_lr=0.1)


def test_independent_decay_follows_schedules():
    tx = of.assemble(
        lr=falling,
        weight_decay=lambda t: 0.25 * (t + 1).astype(float),
        decay="independent",
        peak_lr=0.1,
    )
    params, zero = jnp.array([1.0, -2.0]), jnp.zeros(2)
    state = tx.init(params)
    for share in (0.25, 0.5 / 2, 0.75 / 4):
        updates, state = tx.update(zero, state, params)
        np.testing.assert_allclose(updates, -share * params, 1e-6)


def test_cautious_decay_of_complex_parameters_is_of_their_parts():
    tx = of.add_decayed_weights(0.5, cautious=True)
    params = jnp.array([2 + 4j, 2 - 4j, -2 + 4j, 0 + 4j])
    updates = jnp.array([1 + 1j, 1 + 1j, 1 + 1j, 1 + 0j])
    found, _ = tx.update(updates, (), params)
    np.testing.assert_array_equal(found, [2 + 3j, 2 + 1j, 1 + 3j, 1 + 2j])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": "cautios"}, "decay must be one of"),
        ({"peak_lr": 0.1}, "is only for decay='independent' or 'corrected'"),
        ({"lr": falling, "decay": "independent"}, "needs peak_lr"),
        ({"lr": falling, "decay": "corrected"}, "decay='corrected' needs peak_lr"),
        ({"lr": 0.0, "decay": "corrected"}, "peak_lr must be above 0, found 0.0"),
        ({"lr": None, "decay": "corrected"}, "decay must be 'coupled', found 'corr"),
        ({"lr": 0.0, "decay": "independent"}, "peak_lr must be above 0, found 0.0"),
        ({"lr": None}, "decay must be 'coupled', found 'decoupled'"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, found -1.0"),
        ({"mask": {"w": 1}}, "mask must consist of bools, found 1 at 'w'"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        of.assemble(of.scale_by_adam(), **{"lr": 0.1, "weight_decay": 0.1, **options})


def test_the_peak_of_a_step_with_decay():
    for options in ({"decay": "corrected"}, {"decay": "after", "peak_lr": 0.1}):
        with pytest.raises(ValueError, match="peak_lr is for decay='corrected', which"):
            of.step_with_decay(0.1, 0.5, **options)


def test_arguments_that_are_none_of_its_own():
    with pytest.raises(TypeError, match=r"assemble\(\) .*'learning_rate'.*'lr'"):
        of.assemble(learning_rate=0.1)
    with pytest.raises(TypeError, match="maximize must be True or False, found 1"):
        of.assemble(lr=0.1, maximize=1)
    with pytest.raises(TypeError, match="expected a gradient transformation"):
        of.assemble(0.1, lr=0.1)
