"""Schedulers against those of torch: values, momentum, checkpoints, warnings, errors.

Both libraries compute in float64 with the same recursions, so they differ by rounding
only: by how much is bounded relative to the value.
"""

import copy
import math
import pickle
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import optifunc.optim as optim

torch = pytest.importorskip("torch", reason="parity needs torch (extra `parity`)")
pytestmark = pytest.mark.torch

EPOCHS = 200
TOLERANCE = 1e-12

ours = optim.lr_scheduler
theirs = torch.optim.lr_scheduler
# SWALR lives elsewhere in both libraries.
MODULES = {
    ours: (optim.lr_scheduler, optim.swa_utils),
    theirs: (torch.optim.lr_scheduler, torch.optim.swa_utils),
}


class Power:
    """A ``lr_lambda`` or ``scale_fn`` whose attributes are part of a checkpoint."""

    def __init__(self, base):
        self.base = base

    def __call__(self, x):
        return self.base**x


class Ripple(Power):
    """A factor near 1."""

    def __call__(self, x):
        return 1 + self.base * math.sin(x)


def floats(low, high):
    return st.floats(low, high, allow_nan=False)


def per_group(values):
    return values | st.lists(values, min_size=2, max_size=2)


decays = floats(0.5, 1.1)
small = floats(1e-3, 1.0)
iters = st.integers(1, 250)

CONFIGURATIONS = {
    "LambdaLR": {"lr_lambda": per_group(st.builds(Power, floats(0.9, 1.01)))},
    "MultiplicativeLR": {"lr_lambda": per_group(st.builds(Ripple, floats(-0.1, 0.1)))},
    "StepLR": {"step_size": st.integers(1, 80), "gamma": decays},
    "MultiStepLR": {
        "milestones": st.lists(st.integers(0, 220), max_size=6),
        "gamma": decays,
    },
    "ConstantLR": {"factor": floats(0.01, 1), "total_iters": iters},
    "LinearLR": {
        "start_factor": floats(0.01, 1),
        "end_factor": floats(0.01, 1),
        "total_iters": iters,
    },
    "ExponentialLR": {"gamma": floats(0.9, 1.01)},
    "PolynomialLR": {"total_iters": iters, "power": floats(0.1, 3)},
    "CosineAnnealingLR": {
        "T_max": iters,
        "eta_min": st.sampled_from([0, 0.0, 1e-3, 0.05]),
    },
    "CosineAnnealingWarmRestarts": {
        "T_0": st.integers(1, 60),
        "T_mult": st.integers(1, 3),
        "eta_min": st.sampled_from([0, 1e-3]),
    },
    "CyclicLR": {
        "base_lr": per_group(small),
        "max_lr": per_group(small),
        "step_size_up": st.integers(1, 60),
        "step_size_down": st.none() | st.integers(1, 60),
        "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]),
        "gamma": floats(0.9, 1),
        "scale_fn": st.none() | st.builds(Power, floats(0.9, 1)),
        "scale_mode": st.sampled_from(["cycle", "iterations"]),
        "cycle_momentum": st.booleans(),
        "base_momentum": per_group(floats(0.5, 0.8)),
        "max_momentum": per_group(floats(0.8, 0.95)),
    },
    "OneCycleLR": {
        "max_lr": per_group(small),
        "total_steps": st.integers(EPOCHS, 300),
        "pct_start": floats(0.05, 0.45),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "cycle_momentum": st.booleans(),
        "base_momentum": per_group(floats(0.5, 0.8)),
        "max_momentum": per_group(floats(0.8, 0.95)),
        "div_factor": floats(2, 50),
        "final_div_factor": floats(2, 1e5),
        "three_phase": st.booleans(),
    },
    "SWALR": {
        "swa_lr": per_group(small),
        "anneal_epochs": st.integers(0, 100),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
    },
}
# Those that multiply the learning rate, and so can be several on one optimizer.
CHAINABLE = [
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
]


def configuration(name):
    return st.tuples(st.just(name), st.fixed_dictionaries(CONFIGURATIONS[name]))


def members(names, least, most):
    one = st.sampled_from(names).flatmap(configuration)
    return st.lists(one, min_size=least, max_size=most)


@st.composite
def sequences(draw):
    # OneCycleLR and CyclicLR write "lr" when they are built, for all others too.
    names = [*CHAINABLE, "LambdaLR", "CosineAnnealingWarmRestarts"]
    schedulers = draw(members(names, 1, 4))
    milestones = st.lists(
        st.integers(1, 190),
        min_size=len(schedulers) - 1,
        max_size=len(schedulers) - 1,
        unique=True,
    )
    return ("SequentialLR", {"of": schedulers, "milestones": sorted(draw(milestones))})


chains = st.tuples(
    st.just("ChainedScheduler"),
    st.fixed_dictionaries({"of": members(CHAINABLE, 1, 3)}),
)
ALL = {name: configuration(name) for name in CONFIGURATIONS} | {
    "ChainedScheduler": chains,
    "SequentialLR": sequences(),
}


def build(library, optimizer, spec):
    name, kwargs = spec
    # A callable with state belongs to one scheduler.
    kwargs = copy.deepcopy(kwargs)
    if "of" in kwargs:
        inner = [build(library, optimizer, member) for member in kwargs.pop("of")]
        if name == "ChainedScheduler":
            return library.ChainedScheduler(inner, optimizer)
        return library.SequentialLR(optimizer, inner, **kwargs)
    module = next(m for m in MODULES[library] if hasattr(m, name))
    return getattr(module, name)(optimizer, **kwargs)


def optimizers(lrs, kind="SGD"):
    """The same optimizer of two groups in both libraries, after its first step."""
    pair = []
    for library, zeros in (
        (optim, lambda: jnp.zeros(2)),
        (torch.optim, lambda: torch.nn.Parameter(torch.zeros(2))),
    ):
        extra = {"momentum": 0.9} if kind == "SGD" else {}
        groups = [{"params": [zeros()], "lr": lr} for lr in lrs]
        pair.append(getattr(library, kind)(groups, **extra))
    return pair


def step(optimizer):
    optimizer.step()  # no gradients: nothing but the call


def close(found, expected):
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for key in expected:
            close(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            close(f, e)
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=1e-300)
    else:
        assert found == expected


WATCHED = ("lr", "initial_lr", "momentum", "betas", "max_lr", "min_lr", "swa_lr")


def close_groups(found, expected):
    for mine, reference in zip(found.param_groups, expected.param_groups, strict=True):
        for key in WATCHED:
            assert (key in mine) == (key in reference)
            if key in reference:
                close(mine[key], reference[key])


learning_rates = st.tuples(small, small)


@pytest.mark.parametrize("name", ALL)
def test_every_scheduler_follows_torch(name):
    @settings(max_examples=30)
    @given(spec=ALL[name], lrs=learning_rates, kind=st.sampled_from(["SGD", "Adam"]))
    def check(spec, lrs, kind):
        mine, reference = optimizers(lrs, kind)
        scheduler = build(ours, mine, spec)
        expected = build(theirs, reference, spec)
        step(mine), step(reference)
        close_groups(mine, reference)
        for _ in range(EPOCHS):
            scheduler.step()
            expected.step()
            close_groups(mine, reference)
            close(scheduler.get_last_lr(), expected.get_last_lr())
        close(scheduler.state_dict(), expected.state_dict())

    check()


@settings(max_examples=40)
@given(specs=members(CHAINABLE, 2, 4), lrs=learning_rates)
def test_several_on_one_optimizer(specs, lrs):
    mine, reference = optimizers(lrs)
    schedulers = [build(ours, mine, spec) for spec in specs]
    expected = [build(theirs, reference, spec) for spec in specs]
    step(mine), step(reference)
    for _ in range(EPOCHS):
        for scheduler in (*schedulers, *expected):
            scheduler.step()
        close_groups(mine, reference)


@pytest.mark.parametrize("name", ALL)
def test_checkpoints_go_both_ways_in_mid_run(name):
    @settings(max_examples=15)
    @given(spec=ALL[name], lrs=learning_rates, epochs=st.integers(0, 60))
    def check(spec, lrs, epochs):
        runs = {}
        for library, optimizer in zip((ours, theirs), optimizers(lrs), strict=True):
            scheduler = build(library, optimizer, spec)
            step(optimizer)
            for _ in range(epochs):
                scheduler.step()
            runs[library] = optimizer, scheduler
        for source, target in ((ours, theirs), (theirs, ours)):
            optimizer = optimizers((0.7, 0.7))[target is theirs]
            scheduler = build(target, optimizer, forget(spec))
            step(optimizer)
            state = copy.deepcopy(runs[source][1].state_dict())
            optimizer.load_state_dict(runs[source][0].state_dict())
            scheduler.load_state_dict(state)
            runs[source, target] = optimizer, scheduler
        for _ in range(60):
            for _, scheduler in runs.values():
                scheduler.step()
            for optimizer, _ in runs.values():
                close_groups(optimizer, runs[theirs][0])

    check()


def forget(spec):
    """The same schedulers, with callables whose attributes the checkpoint must set."""
    name, kwargs = spec
    kwargs = dict(kwargs)

    def other(value):
        if isinstance(value, list):
            return [other(x) for x in value]
        return type(value)(0.123) if isinstance(value, Power) else value

    for key, value in kwargs.items():
        if key == "of":
            kwargs[key] = [forget(member) for member in value]
        else:
            kwargs[key] = other(value)
    return name, kwargs


@settings(max_examples=40)
@given(
    kwargs=st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["min", "max"]),
            "factor": floats(0.1, 0.9),
            "patience": st.integers(0, 5),
            "threshold": floats(0, 0.5),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 5),
            "min_lr": per_group(floats(0, 0.1)),
            "eps": st.sampled_from([1e-8, 1e-2]),
        }
    ),
    lrs=learning_rates,
    metrics=st.lists(
        st.integers(-20, 20).map(float) | st.just(math.nan), min_size=5, max_size=30
    ),
    moved=st.integers(0, EPOCHS),
)
def test_reduce_on_plateau_follows_torch(kwargs, lrs, metrics, moved):
    mine, reference = optimizers(lrs)
    scheduler = ours.ReduceLROnPlateau(mine, **kwargs)
    expected = theirs.ReduceLROnPlateau(reference, **kwargs)
    for epoch in range(EPOCHS):
        metric = metrics[epoch % len(metrics)] / (1 + epoch // len(metrics))
        scheduler.step(metric)
        expected.step(torch.tensor(metric, dtype=torch.float64))
        close_groups(mine, reference)
        close(scheduler.get_last_lr(), expected.get_last_lr())
        assert scheduler.in_cooldown == expected.in_cooldown
        close(scheduler.state_dict(), expected.state_dict())
        if epoch == moved:
            state, theirs_state = scheduler.state_dict(), expected.state_dict()
            scheduler = ours.ReduceLROnPlateau(mine)
            expected = theirs.ReduceLROnPlateau(reference)
            scheduler.load_state_dict(theirs_state)
            expected.load_state_dict(state)


@pytest.mark.parametrize(
    "spec",
    [
        ("StepLR", {"step_size": 7}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("LinearLR", {"total_iters": 30}),
        ("ConstantLR", {"total_iters": 30}),
        ("PolynomialLR", {"total_iters": 30}),
        ("CosineAnnealingLR", {"T_max": 13}),
        ("MultiStepLR", {"milestones": [5, 5, 22]}),
        ("LambdaLR", {"lr_lambda": Power(0.9)}),
        ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2}),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.2, "step_size_up": 4}),
    ],
    ids=lambda spec: spec[0],
)
def test_resuming_and_stepping_to_an_epoch(spec):
    mine, reference = optimizers((0.3, 0.05))
    for optimizer in (mine, reference):
        for group in optimizer.param_groups:
            group["initial_lr"] = 2 * group["lr"]
            group["max_momentum"], group["base_momentum"] = 0.9, 0.8
    scheduler = build(ours, mine, (spec[0], spec[1] | {"last_epoch": 11}))
    expected = build(theirs, reference, (spec[0], spec[1] | {"last_epoch": 11}))
    step(mine), step(reference)
    close_groups(mine, reference)
    for epoch in (None, None, None, 4, None, 21, 22, 0, 40, None):
        with warnings.catch_warnings():
            # Both libraries say that the epoch is deprecated; tested below.
            warnings.simplefilter("ignore", UserWarning)
            scheduler.step(epoch), expected.step(epoch)
        close_groups(mine, reference)
        assert scheduler.last_epoch == expected.last_epoch


def test_warm_restarts_take_fractions_of_an_epoch():
    mine, reference = optimizers((0.3, 0.05))
    scheduler = ours.CosineAnnealingWarmRestarts(mine, 4, 2)
    expected = theirs.CosineAnnealingWarmRestarts(reference, 4, 2)
    for i in range(200):
        scheduler.step(i / 7), expected.step(i / 7)
        close_groups(mine, reference)
    close(scheduler.state_dict(), expected.state_dict())
    with pytest.raises(ValueError, match="non-negative epoch, but got -1"):
        scheduler.step(-1)


def test_nested_composites_follow_torch():
    spec = (
        "ChainedScheduler",
        {
            "of": [
                (
                    "SequentialLR",
                    {
                        "of": [
                            ("LinearLR", {"total_iters": 6}),
                            ("CosineAnnealingLR", {"T_max": 20}),
                        ],
                        "milestones": [7],
                    },
                ),
                ("ExponentialLR", {"gamma": 0.98}),
            ]
        },
    )
    outer = ("SequentialLR", {"of": [spec, ("StepLR", {"step_size": 9})]})
    outer[1]["milestones"] = [31]
    for case in (spec, outer):
        mine, reference = optimizers((0.3, 0.05))
        with warnings.catch_warnings():
            # Both libraries step the inner schedulers twice here, and so warn.
            warnings.simplefilter("ignore", UserWarning)
            scheduler = build(ours, mine, case)
            expected = build(theirs, reference, case)
        step(mine), step(reference)
        for _ in range(60):
            scheduler.step(), expected.step()
            close_groups(mine, reference)
        close(scheduler.state_dict(), expected.state_dict())


def sgd(lr=0.1, groups=2, **kwargs):
    params = [{"params": [jnp.zeros(2)], "lr": lr} for _ in range(groups)]
    return optim.SGD(params, **kwargs)


def test_a_scheduler_of_ones_own():
    class Halving(ours.LRScheduler):
        def get_lr(self):
            return [lr / 2**self.last_epoch for lr in self.base_lrs]

    optimizer = sgd()
    scheduler = Halving(optimizer)
    step(optimizer)
    for _ in range(3):
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.0125, 0.0125]
    assert scheduler.get_last_lr() == [0.0125, 0.0125]
    with pytest.raises(NotImplementedError, match="get_lr"):
        ours.LRScheduler(optimizer)


def test_the_learning_rate_reaches_the_step():
    optimizer = optim.SGD([jnp.ones(2)], lr=1.0)
    scheduler = ours.ExponentialLR(optimizer, 0.5)
    for _ in range(3):
        optimizer.step(grads=[jnp.ones(2)])
        scheduler.step()
    # 1 - (1 + 1/2 + 1/4), exact in float32
    assert optimizer.params[0].tolist() == [-0.75, -0.75]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_training_with_cycled_momentum_follows_torch_and_compiles_once(kind, caplog):
    mine, reference = optimizers((0.1, 0.2), kind)
    runs = [(ours, mine), (theirs, reference)]
    schedulers = [library.OneCycleLR(o, [0.1, 0.2], 12) for library, o in runs]
    compiled = []
    for i in range(12):
        grads = [[math.cos(i), -1.0], [0.5, math.sin(i)]]
        caplog.clear()
        with jax.log_compiles():
            mine.step(grads=[[jnp.array(g)] for g in grads])
        compiled.append(sum("Compiling" in r.message for r in caplog.records))
        for group, grad in zip(reference.param_groups, grads, strict=True):
            group["params"][0].grad = torch.tensor(grad)
        reference.step()
        for scheduler in schedulers:
            scheduler.step()
    # State is made at the first step and only read and written from the second on.
    assert compiled[2:] == [0] * 10
    for found, expected in zip(mine.params, reference.param_groups, strict=True):
        # Twelve updates in float32.
        expected = expected["params"][0].detach().numpy()
        np.testing.assert_allclose(found[0], expected, rtol=2e-6)


def test_an_array_stays_an_array():
    optimizer = sgd(lr=jnp.asarray(0.5, jnp.float32))
    scheduler = ours.ExponentialLR(optimizer, 0.5)
    step(optimizer)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"].dtype == jnp.float32
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert scheduler.base_lrs == [0.5, 0.5]
    state = scheduler.state_dict() | {"base_lrs": [torch.tensor(0.5), jnp.ones(())]}
    scheduler.load_state_dict(state)
    assert [type(lr) for lr in scheduler.base_lrs] == [float, float]


def test_pickling_and_copying():
    optimizer = sgd(momentum=0.9)
    scheduler = ours.OneCycleLR(optimizer, 0.5, 20)
    step(optimizer)
    copied, other = copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))
    for each in (scheduler, copied, other):
        step(each.optimizer)
        each.step()
    assert copied.optimizer is not optimizer
    assert copied.get_last_lr() == other.get_last_lr() == scheduler.get_last_lr()


def test_warnings():
    optimizer = sgd()
    scheduler = ours.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="before `optimizer.step\\(\\)`"):
        scheduler.step()
    scheduler.step()  # said once
    step(optimizer)
    with pytest.warns(UserWarning, match="get_last_lr\\(\\)"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match="The epoch parameter"):
        scheduler.step(3)
    with pytest.warns(UserWarning, match="The epoch parameter"):
        ours.ReduceLROnPlateau(optimizer).step(1.0, epoch=3)
    for make in (
        lambda o: ours.StepLR(o, 1),
        lambda o: ours.ChainedScheduler([ours.StepLR(o, 1)]),
        lambda o: ours.SequentialLR(o, [ours.StepLR(o, 1)], []),
        lambda o: ours.CosineAnnealingWarmRestarts(o, 2),  # as torch's, never
    ):
        optimizer = sgd()
        scheduler = make(optimizer)
        step(optimizer)
        scheduler.step()


def plateau(o):
    return ours.ReduceLROnPlateau(o)


def sequence(o, schedulers, milestones):
    return ours.SequentialLR(o, schedulers, milestones)


ERRORS = {
    "no optimizer": (
        lambda o: ours.StepLR(torch.optim.SGD([torch.zeros(1)]), 1),
        (TypeError, "SGD is not an Optimizer"),
    ),
    "no optimizer, cyclic": (
        lambda o: ours.CyclicLR("x", 0.1, 1.0),
        (TypeError, "str is not an Optimizer"),
    ),
    "no optimizer, plateau": (
        lambda o: ours.ReduceLROnPlateau(None),
        (TypeError, "NoneType is not an Optimizer"),
    ),
    "resumed without initial_lr": (
        lambda o: ours.StepLR(o, 1, last_epoch=3),
        (KeyError, r"param 'initial_lr' is not specified in param_groups\[0\]"),
    ),
    "lambdas": (
        lambda o: ours.LambdaLR(o, [abs]),
        (ValueError, "Expected 2 lr_lambdas, but got 1"),
    ),
    "no lambda": (
        lambda o: ours.MultiplicativeLR(o, 0.5),
        (TypeError, "lr_lambda should be a function, but got float"),
    ),
    "factor": (
        lambda o: ours.ConstantLR(o, factor=1.5),
        (ValueError, "between 0 and 1, found 1.5"),
    ),
    "start_factor": (
        lambda o: ours.LinearLR(o, start_factor=0),
        (ValueError, "Starting multiplicative factor .* found 0"),
    ),
    "end_factor": (
        lambda o: ours.LinearLR(o, end_factor=math.nan),
        (ValueError, "Ending multiplicative factor .* found nan"),
    ),
    "T_0": (
        lambda o: ours.CosineAnnealingWarmRestarts(o, 0),
        (ValueError, "Expected positive integer T_0, but got 0"),
    ),
    "T_mult": (
        lambda o: ours.CosineAnnealingWarmRestarts(o, 1, 1.5),
        (ValueError, "Expected integer T_mult >= 1, but got 1.5"),
    ),
    "eta_min": (
        lambda o: ours.CosineAnnealingWarmRestarts(o, 1, 1, "0"),
        (ValueError, "Expected float or int eta_min"),
    ),
    "cyclic lengths": (
        lambda o: ours.CyclicLR(o, [0.1], 1.0),
        (ValueError, "base_lr must have the same length as optimizer.param_groups"),
    ),
    "cyclic mode": (
        lambda o: ours.CyclicLR(o, 0.1, 1.0, mode="round"),
        (ValueError, "mode is invalid and scale_fn is None: .*'round'"),
    ),
    "total_steps": (
        lambda o: ours.OneCycleLR(o, 0.1, total_steps=0),
        (ValueError, "Expected positive integer total_steps, but got 0"),
    ),
    "no total_steps": (
        lambda o: ours.OneCycleLR(o, 0.1, epochs=3),
        (ValueError, "You must define either total_steps OR"),
    ),
    "epochs": (
        lambda o: ours.OneCycleLR(o, 0.1, epochs=3.0, steps_per_epoch=2),
        (ValueError, "Expected positive integer epochs, but got 3.0"),
    ),
    "pct_start": (
        lambda o: ours.OneCycleLR(o, 0.1, 9, pct_start=1.1),
        (ValueError, "pct_start, but got 1.1"),
    ),
    "anneal_strategy": (
        lambda o: ours.OneCycleLR(o, 0.1, 9, anneal_strategy="sin"),
        (ValueError, "one of 'cos' or 'linear', instead got 'sin'"),
    ),
    "momenta": (
        lambda o: ours.OneCycleLR(o, 0.1, 9, base_momentum=[0.1]),
        (ValueError, "base_momentum must have the same length"),
    ),
    "no schedulers": (
        lambda o: ours.ChainedScheduler([]),
        (ValueError, "expects at least one scheduler"),
    ),
    "no scheduler": (
        lambda o: ours.ChainedScheduler([3]),
        (TypeError, "ChainedScheduler at index 0 should have `optimizer`"),
    ),
    "chained plateau": (
        lambda o: ours.ChainedScheduler([plateau(o)]),
        (ValueError, "does not support `ReduceLROnPlateau` scheduler"),
    ),
    "other optimizer": (
        lambda o: ours.ChainedScheduler([plateau_free(o), plateau_free(sgd())]),
        (ValueError, "expects all schedulers to belong to the same optimizer"),
    ),
    "milestones": (
        lambda o: sequence(o, [plateau_free(o)], [3]),
        (ValueError, "Sequential Schedulers expects number of schedulers provided"),
    ),
    "composite at a milestone": (
        lambda o: sequence(
            o, [plateau_free(o), ours.ChainedScheduler([plateau_free(o)])], [1]
        ).step(),
        (NotImplementedError, "cannot begin at a milestone"),
    ),
    "plateau factor": (
        lambda o: ours.ReduceLROnPlateau(o, factor=1.0),
        (ValueError, "Factor should be < 1.0"),
    ),
    "plateau min_lr": (
        lambda o: ours.ReduceLROnPlateau(o, min_lr=[0.1]),
        (ValueError, "expected 2 min_lrs, got 1"),
    ),
    "plateau mode": (
        lambda o: ours.ReduceLROnPlateau(o, mode="least"),
        (ValueError, "mode least is unknown!"),
    ),
    "plateau threshold mode": (
        lambda o: ours.ReduceLROnPlateau(o, threshold_mode="both"),
        (ValueError, "threshold mode both is unknown!"),
    ),
    "swa lengths": (
        lambda o: optim.swa_utils.SWALR(o, [0.1] * 3),
        (ValueError, "swa_lr must have the same length"),
    ),
    "swa strategy": (
        lambda o: optim.swa_utils.SWALR(o, 0.1, anneal_strategy="sin"),
        (ValueError, "one of 'cos' or 'linear', instead got sin"),
    ),
    "swa epochs": (
        lambda o: optim.swa_utils.SWALR(o, 0.1, anneal_epochs=-1),
        (ValueError, "anneal_epochs must be equal or greater than 0, got -1"),
    ),
}


def plateau_free(o):
    return ours.ConstantLR(o, factor=1.0)  # leaves "lr" as it is


@pytest.mark.parametrize("name", ERRORS)
def test_errors_leave_the_groups_as_they_were(name):
    call, (error, message) = ERRORS[name]
    optimizer = sgd(momentum=0.5)
    with_initial = "other optimizer milestones composite"
    before = [dict(group) for group in optimizer.param_groups]
    with pytest.raises(error, match=message):
        call(optimizer)
    after = [dict(group) for group in optimizer.param_groups]
    if any(word in with_initial for word in name.split()):
        for group in after:
            group.pop("initial_lr", None)  # of the schedulers that were in order
    for old, new in zip(before, after, strict=True):
        assert old.keys() == new.keys()
        assert {k: v for k, v in old.items() if k != "params"} == {
            k: v for k, v in new.items() if k != "params"
        }


def test_momentum_needs_an_optimizer_with_momentum():
    optimizer = optim.Adagrad([jnp.zeros(2)])
    for make in (
        lambda **kwargs: ours.CyclicLR(optimizer, 0.1, 1.0, **kwargs),
        lambda **kwargs: ours.OneCycleLR(optimizer, 0.1, 9, **kwargs),
    ):
        with pytest.raises(ValueError, match="must support momentum or beta1"):
            make()
        make(cycle_momentum=False)


def test_errors_of_step():
    optimizer = sgd(momentum=0.9)
    scheduler = ours.OneCycleLR(optimizer, 0.5, total_steps=3)
    step(optimizer)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match=r"Tried to step 4 times.* is 3"):
        scheduler.step()

    optimizer = sgd()
    scheduler = ours.LambdaLR(optimizer, Power(0.5))
    listed = ours.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.0, 0.0])
    single = ours.ReduceLROnPlateau(optimizer, patience=0)
    optimizer.add_param_group({"params": [jnp.zeros(2)], "lr": 1.0})
    step(optimizer)
    with pytest.raises(ValueError, match="for 2 groups and the optimizer has 3"):
        scheduler.step()
    listed.step(1.0), single.step(1.0)
    with pytest.raises(RuntimeError, match=r"param groups .*\(3\) .* \(2\)"):
        listed.step(1.0)
    single.step(1.0)
    assert optimizer.param_groups[2]["lr"] == 0.1

    optimizer = sgd()
    optimizer.param_groups[0]["lr"] = lambda step: 0.1
    with pytest.raises(TypeError, match="lr is a schedule"):
        ours.StepLR(optimizer, 1)


def test_a_wrong_checkpoint_changes_nothing():
    optimizer = sgd()
    parts = [ours.StepLR(optimizer, 3), ours.LambdaLR(optimizer, Power(0.5))]
    chained = ours.ChainedScheduler(parts)
    before = copy.deepcopy(chained.state_dict())
    with pytest.raises(TypeError, match="state_dict must be a dict, found list"):
        chained.load_state_dict([])
    with pytest.raises(ValueError, match=r"not of a StepLR: it has no .*'step_size'"):
        parts[0].load_state_dict(before["_schedulers"][1])
    with pytest.raises(ValueError, match="has 1 schedulers, expected 2"):
        chained.load_state_dict(before | {"_schedulers": before["_schedulers"][:1]})
    good, bad = copy.deepcopy(before["_schedulers"])
    good["step_size"], bad["lr_lambdas"] = 5, [None]
    with pytest.raises(ValueError, match="has 1 lr_lambdas, expected 2"):
        chained.load_state_dict(before | {"_schedulers": [good, bad]})
    assert chained.state_dict() == before
    scheduler = ours.ReduceLROnPlateau(optimizer)
    with pytest.raises(ValueError, match="mode most is unknown!"):
        scheduler.load_state_dict(scheduler.state_dict() | {"mode": "most"})
