"""Schedulers against those of torch: values, momentum, checkpoints."""

import copy
import math
import warnings

import pytest
from hypothesis import given, settings, strategies as st

from .scheduler_harness import (
    ALL,
    CHAINABLE,
    EPOCHS,
    Power,
    build,
    close,
    close_groups,
    floats,
    learning_rates,
    members,
    optimizers,
    ours,
    per_group,
    step,
    theirs,
    torch,
)

pytestmark = pytest.mark.torch


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
