"""Errors of schedulers: what they say, and that they change nothing."""

import copy
import math

import jax.numpy as jnp
import pytest

import optifunc.optim as optim

from .scheduler_harness import (
    Power,
    close_groups,
    optimizers,
    ours,
    sgd,
    step,
    theirs,
    torch,
)

pytestmark = pytest.mark.torch


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


def state_of(scheduler):
    groups = [
        {key: value for key, value in group.items() if key != "params"}
        for group in scheduler.optimizer.param_groups
    ]
    return copy.deepcopy((scheduler.state_dict(), groups))


SCHEDULERS = {
    "StepLR": lambda library, o: library.StepLR(o, 3),
    "MultiStepLR": lambda library, o: library.MultiStepLR(o, [2, 5]),
    "LinearLR": lambda library, o: library.LinearLR(o),
    "ConstantLR": lambda library, o: library.ConstantLR(o),
    "PolynomialLR": lambda library, o: library.PolynomialLR(o),
    "ExponentialLR": lambda library, o: library.ExponentialLR(o, 0.5),
    "CosineAnnealingLR": lambda library, o: library.CosineAnnealingLR(o, 5),
    "CyclicLR": lambda library, o: library.CyclicLR(o, 0.1, 1.0, 4),
    "OneCycleLR": lambda library, o: library.OneCycleLR(o, 1.0, 20),
    "CosineAnnealingWarmRestarts": (
        lambda library, o: library.CosineAnnealingWarmRestarts(o, 3)
    ),
}
EPOCHS_GIVEN = [4, 4.0, True, 2.5, 0, -1, -2.5, math.nan, math.inf, "4", None, [4], 3j]


@pytest.mark.filterwarnings("ignore:The epoch parameter", "ignore:.*deprecated")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_an_epoch_is_what_torch_can_compute_with(name):
    """Otherwise an error names it and nothing changes."""
    for epoch in EPOCHS_GIVEN:
        mine, reference = optimizers((0.1, 0.2))
        scheduler = SCHEDULERS[name](ours, mine)
        expected = SCHEDULERS[name](theirs, reference)
        step(mine), step(reference)
        before = state_of(scheduler)
        try:
            expected.step(epoch)
            lrs = expected.get_last_lr()
            fails = any(isinstance(lr, complex) or math.isnan(lr) for lr in lrs)
            # No `step()` can continue from one of these.
            fails |= epoch in (math.inf, math.nan)
        except (TypeError, ValueError, OverflowError):
            fails = True
        if fails:
            with pytest.raises((TypeError, ValueError), match="epoch"):
                scheduler.step(epoch)
            assert state_of(scheduler) == before
        else:
            scheduler.step(epoch)
            close_groups(mine, reference)


@pytest.mark.parametrize("epoch", [jnp.int32(4), torch.tensor(4)])
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_an_epoch_in_an_array_is_kept_as_a_number(epoch):
    optimizer = sgd()
    for scheduler in (
        ours.StepLR(optimizer, 3),
        ours.CosineAnnealingWarmRestarts(optimizer, 3),
    ):
        step(optimizer)
        scheduler.step(epoch)
        assert type(scheduler.last_epoch) is int
        assert scheduler.last_epoch == 4
    plateau = ours.ReduceLROnPlateau(optimizer)
    plateau.step(1.0, epoch)
    assert plateau.last_epoch == 4
    with pytest.raises(TypeError, match="epoch must be a number, found '4'"):
        plateau.step(1.0, "4")


def test_a_failed_step_changes_nothing():
    """Whatever fails: a function, a missing value, a member of a chain."""

    def fails_at_2(epoch):
        if epoch == 2:
            raise RuntimeError("no value at 2")
        return 0.5

    def cycle(o):
        return ours.OneCycleLR(o, 1.0, 3)

    cases = [
        (lambda o: ours.LambdaLR(o, fails_at_2), RuntimeError, 1),
        (cycle, ValueError, 3),
        (
            lambda o: ours.ChainedScheduler(
                [
                    ours.StepLR(o, 1),
                    ours.ChainedScheduler([ours.ExponentialLR(o, 0.5)]),
                    ours.MultiplicativeLR(o, fails_at_2),
                ]
            ),
            RuntimeError,
            1,
        ),
        (
            lambda o: ours.SequentialLR(
                o, [ours.StepLR(o, 1), ours.LambdaLR(o, fails_at_2)], [1]
            ),
            RuntimeError,
            2,
        ),
    ]
    for build, error, steps in cases:
        optimizer = sgd(momentum=0.9)
        scheduler = build(optimizer)
        step(optimizer)
        for _ in range(steps):
            scheduler.step()
        before = state_of(scheduler)
        for _ in range(2):
            with pytest.raises(error):
                scheduler.step()
            assert state_of(scheduler) == before


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_a_group_added_later_is_named_before_momentum_moves(name):
    optimizer = sgd(momentum=0.9)
    scheduler = SCHEDULERS[name](ours, optimizer)
    optimizer.add_param_group({"params": [jnp.zeros(2)], "lr": 1.0})
    step(optimizer)
    before = state_of(scheduler)
    with pytest.raises(ValueError, match="for 2 groups and the optimizer has 3"):
        scheduler.step()
    assert state_of(scheduler) == before
