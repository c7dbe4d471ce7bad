"""Time to trace a step, to lower it and to compile it, each time from nothing."""

import time
from collections.abc import Iterator
from functools import partial

import jax

from .contenders import Recipe, recipes
from .optimizers import Optimizer
from .results import Group
from .timing import Budget, interleaved, no_collection
from .workloads import TINY, Workload

STAGES = ("trace", "lower", "compile")
# Each figure is the sum of some stages.
FIGURES = {
    "trace": ("trace",),
    "lower": ("lower",),
    "compile": ("compile",),
    "lower + compile": ("lower", "compile"),
    "trace + lower + compile": STAGES,
}


def stage_times(recipe: Recipe, workload: Workload) -> dict[str, float]:
    """The time of each stage for a step that JAX has not seen."""
    jax.clear_caches()
    step, arguments = recipe.jitted(), recipe.arguments(workload)
    # Making the arguments has traced the initialisation.
    jax.clear_caches()
    times = [time.perf_counter()]
    traced = step.trace(*arguments)
    times.append(time.perf_counter())
    lowered = traced.lower()
    times.append(time.perf_counter())
    lowered.compile()
    times.append(time.perf_counter())
    return {
        stage: after - before
        for stage, before, after in zip(STAGES, times, times[1:], strict=False)
    }


def compilation(
    workload: Workload,
    optimizer: Optimizer,
    budget: Budget,
    names: list[str] | None = None,
) -> Iterator[Group]:
    """All figures of compilation of an optimizer on a workload."""
    chosen = {
        name: recipe
        for name, recipe in recipes(optimizer).items()
        if names is None or name in names
    }
    for recipe in chosen.values():
        stage_times(recipe, TINY)  # imports what is imported late
    turns = {
        name: partial(stage_times, recipe, workload) for name, recipe in chosen.items()
    }
    with no_collection():
        rounds = interleaved(turns, budget)
    for figure, parts in FIGURES.items():
        samples = {
            name: [sum(times[stage] for stage in parts) for times in taken]
            for name, taken in rounds.items()
        }
        yield Group(figure, workload.name, optimizer.name, "s", samples)
