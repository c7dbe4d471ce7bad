"""The contenders do the same, and what is timed is what is meant."""

import dataclasses
import math

import numpy as np
import optax
import pytest

import optifunc as of
from benchmarks.agreement import Disagreement, check_agreement
from benchmarks.compilation import FIGURES, compilation, stage_times
from benchmarks.contenders import DECISIVE, Recipe, makers
from benchmarks.cores import CONTENDERS, numbers_of_cores, on_cores
from benchmarks.fits import fits
from benchmarks.memory import planned
from benchmarks.networks import NETWORKS
from benchmarks.optimizers import OPTIMIZERS
from benchmarks.steps import Steps
from benchmarks.timing import Budget
from benchmarks.training import training
from benchmarks.workloads import TINY, WORKLOADS, Workload

ONCE = Budget(seconds=0, at_least=1)
SMALL = Workload("small", "small", {"a": (16, 24), "b": (32, 16), "c": (8, 8)})


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_contenders_end_at_the_same_parameters(name):
    groups = {group.figure: group for group in Steps(ONCE)(SMALL, OPTIMIZERS[name])}
    times = groups["step"].samples
    assert {"optifunc", "optifunc, argument", "optifunc.optim"} <= times.keys()
    assert all(time > 0 for taken in times.values() for time in taken)
    if name == "sgd":
        assert "state" not in groups
    else:
        assert groups["state"].samples.keys() == times.keys()


@pytest.mark.slow
@pytest.mark.skipif(not numbers_of_cores(), reason="a system without affinities")
def test_each_number_of_cores_is_measured():
    groups = list(on_cores(WORKLOADS["tiny"], OPTIMIZERS["adamw"], ONCE, ["optax"]))
    assert [group.cores for group in groups] == numbers_of_cores()
    for group in groups:
        assert all(time > 0 for time in group.samples["optax"])


def test_the_contenders_that_decide_exist():
    assert {*DECISIVE, *CONTENDERS} <= makers(OPTIMIZERS["adamw"]).keys() | {
        name for name in DECISIVE if "fused" in name or "torch" in name
    }


def test_a_clip_leaves_the_gradients_of_the_others_alone():
    params, grads = SMALL.params(), SMALL.grads()
    for make in makers(OPTIMIZERS["clipped_adamw"]).values():
        contender = make(params, grads)
        contender.step()
        contender.wait()
    for name, expected in SMALL.grads().items():
        np.testing.assert_array_equal(grads[name], expected)


def test_the_steps_change_what_is_compared():
    params, grads = SMALL.params(), SMALL.grads()
    contenders = {n: m(params, grads) for n, m in makers(OPTIMIZERS["adamw"]).items()}
    before = {name: np.array(p) for name, p in params.items()}
    for contender in contenders.values():
        check_agreement("unmoved", contender.params(), before)
        for _ in range(3):
            contender.step()
        contender.wait()
        # Adam's steps have the size of the learning rate.
        for name, p in contender.params().items():
            assert np.abs(p - before[name]).max() == pytest.approx(3e-3, rel=0.1)
    # Two moments of each parameter, and counters.
    least = 2 * 4 * SMALL.parameters
    sizes = {name: c.state_bytes() for name, c in contenders.items()}
    assert all(least < size <= least + 100 for size in sizes.values()), sizes


@pytest.mark.parametrize("shift", [2e-5, math.nan])
def test_another_end_is_a_disagreement(shift):
    expected = {"a": np.zeros(3), "b": np.full(3, 100.0)}
    check_agreement("x", {"a": np.full(3, 9e-6), "b": np.full(3, 100.0009)}, expected)
    for leaf, size in (("a", 1), ("b", 100)):
        found = {**expected, leaf: expected[leaf] + [0, shift * size, 0]}
        with pytest.raises(Disagreement, match=leaf):
            check_agreement("x", found, expected)


WRONG = [
    {"lr": 1.005e-3},
    {"weight_decay": 0.0},
    {"weight_decay": 2e-2},
    {"betas": (0.8, 0.999)},
    {"betas": (0.9, 0.99)},
    {"eps": 1e-3},
]


@pytest.mark.parametrize("arguments", WRONG, ids=str)
def test_other_arguments_are_a_disagreement(arguments):
    adamw = dataclasses.replace(
        OPTIMIZERS["adamw"], pure=lambda: of.adamw(**{"lr": 1e-3} | arguments)
    )
    with pytest.raises(Disagreement, match="optifunc"):
        list(Steps(ONCE)(SMALL, adamw, ["optax", "optifunc"]))


def test_compilation_starts_from_nothing():
    traced = []

    def update(updates, state, params=None):
        traced.append(params)
        return updates, state

    tx = optax.GradientTransformation(lambda params: (), update)
    recipe = Recipe(lambda: tx, optax.apply_updates)
    for i in range(1, 4):
        times = stage_times(recipe, TINY)
        assert len(traced) == i
        assert all(time > 0 for time in times.values())
    assert stage_times(recipe, TINY, last="trace").keys() == {"trace"}


def test_the_figures_of_compilation_are_sums_of_stages():
    adamw = OPTIMIZERS["adamw"]
    groups = {g.figure: g.samples for g in compilation(TINY, adamw, ONCE, ["optifunc"])}
    assert groups.keys() == FIGURES.keys()
    for figure, stages in FIGURES.items():
        total = sum(groups[stage]["optifunc"][0] for stage in stages)
        assert groups[figure]["optifunc"] == [pytest.approx(total)]


def test_parameters_that_are_kept_take_memory_of_their_own():
    (group,) = planned(SMALL, OPTIMIZERS["adamw"])
    samples = group.samples
    extra = samples["optifunc, params kept"][0] - samples["optifunc, argument"][0]
    assert extra >= 4 * SMALL.parameters
    assert samples["optifunc"][0] >= 4 * 4 * SMALL.parameters


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_all_contenders_see_the_same_losses(network):
    (group,) = training(NETWORKS[network], OPTIMIZERS["adamw"], ONCE)
    assert len(group.samples) >= 4


@pytest.mark.slow
def test_fits_end_at_the_same_loss():
    (group,) = fits(ONCE)
    assert {"optax", "optifunc", "optifunc.optim"} <= group.samples.keys()
    assert len(group.remarks) == len(group.samples)
