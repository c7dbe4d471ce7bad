"""A step on one core, on two and on all, in a process for each number of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .optimizers import OPTIMIZERS, Optimizer
from .results import Group
from .steps import Steps
from .timing import Budget
from .workloads import WORKLOADS, Workload

CONTENDERS = ["optax", "optifunc", "optifunc, fused", "torch foreach", "torch fused"]
# The processes take turns too, so that a change of the machine's speed meets each.
TURNS = 2
RUN = "from benchmarks.cores import main; main()"


def numbers_of_cores() -> list[int]:
    """Those that are measured; none where a process cannot be bound to some cores."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    available = len(os.sched_getaffinity(0))
    return sorted({1, min(2, available), available})


def on_cores(
    workload: Workload,
    optimizer: Optimizer,
    budget: Budget,
    names: list[str] | None = None,
) -> Iterator[Group]:
    """The time of a step on each number of cores."""
    samples: dict[int, dict[str, list[float]]] = {n: {} for n in numbers_of_cores()}
    arguments = [
        workload.name,
        optimizer.name,
        str(budget.seconds / TURNS),
        str(budget.at_least),
        str(budget.at_most),
        *(names or CONTENDERS),
    ]
    for _ in range(TURNS):
        for cores, found in samples.items():
            bound = sorted(os.sched_getaffinity(0))[:cores]
            # Before JAX and torch make their threads.
            code = f"import os; os.sched_setaffinity(0, {bound}); {RUN}"
            finished = subprocess.run(
                [sys.executable, "-c", code, *arguments],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[1],
            )
            for name, times in json.loads(finished.stdout).items():
                found.setdefault(name, []).extend(times)
    for cores, found in samples.items():
        if found:
            key = workload.name, optimizer.name
            yield Group("cores", *key, "s", found, cores=cores)


def main() -> None:
    """Measure on the cores that this process is bound to; print the samples."""
    workload, optimizer, seconds, at_least, at_most, *names = sys.argv[1:]
    steps = Steps(Budget(float(seconds), int(at_least), int(at_most)))
    found: dict[str, list[float]] = {}
    for group in steps(WORKLOADS[workload], OPTIMIZERS[optimizer], names):
        if group.figure == "step":
            for name, times in group.samples.items():
                found.setdefault(name, times)
    print(json.dumps(found))
