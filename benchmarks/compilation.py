"""Time to trace a step, to lower it and to compile it, each time from nothing."""

import gc
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax

from .contenders import Recipe, chosen, recipes
from .optimizers import Optimizer
from .results import Group
from .timing import Budget, interleaved
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


def stage_times(
    recipe: Recipe, workload: Workload, last: str = STAGES[-1]
) -> dict[str, float]:
    """The time of each stage, up to ``last``, for a step that JAX has not seen."""
    jax.clear_caches()
    step, arguments = recipe.jitted(), recipe.arguments(workload)
    # Making the arguments has traced the initialization.
    jax.clear_caches()
    gc.collect()
    run: Any = step
    times = {}
    for stage in STAGES[: STAGES.index(last) + 1]:
        begin = time.perf_counter()
        run = run.trace(*arguments) if stage == "trace" else getattr(run, stage)()
        times[stage] = time.perf_counter() - begin
    return times


def compilation(
    workload: Workload,
    optimizer: Optimizer,
    budget: Budget,
    names: list[str] | None = None,
    last: str = STAGES[-1],
) -> Iterator[Group]:
    """All figures of compilation of an optimizer on a workload."""
    compiled = {
        name: recipe
        for name, recipe in chosen(recipes(optimizer), names).items()
        # Whether parameters are donated makes no difference here.
        if recipe.donate_params
    }
    for recipe in compiled.values():
        stage_times(recipe, TINY)  # imports what is imported late
    turns = {
        name: partial(stage_times, recipe, workload, last)
        for name, recipe in compiled.items()
    }
    rounds = interleaved(turns, budget)
    measured = STAGES[: STAGES.index(last) + 1]
    for figure, parts in FIGURES.items():
        if not set(parts) <= set(measured):
            continue
        samples = {
            name: [sum(times[stage] for stage in parts) for times in taken]
            for name, taken in rounds.items()
        }
        yield Group(figure, workload.name, optimizer.name, "s", samples)
