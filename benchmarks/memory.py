"""Memory of a step: what the compiler plans, and what the process takes."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import psutil

from .contenders import chosen, makers, recipes
from .optimizers import OPTIMIZERS, Optimizer
from .pytorch import torch
from .release import trim
from .results import Group
from .workloads import WORKLOADS, Workload


def planned(
    workload: Workload, optimizer: Optimizer, names: list[str] | None = None
) -> Iterator[Group]:
    """Arguments, results and temporaries of the compiled step; shared ones once."""
    samples = {}
    for name, recipe in chosen(recipes(optimizer), names).items():
        step = recipe.jitted().lower(*recipe.arguments(workload)).compile()
        sizes = step.memory_analysis()
        samples[name] = [
            float(
                sizes.argument_size_in_bytes
                + sizes.output_size_in_bytes
                - sizes.alias_size_in_bytes
                + sizes.temp_size_in_bytes
            )
        ]
    if samples:
        yield Group("planned memory", workload.name, optimizer.name, "bytes", samples)


def resident(
    workload: Workload, optimizer: Optimizer, names: list[str] | None = None
) -> Iterator[Group]:
    """The most memory that a process of each contender's own takes during a step."""
    samples: dict[str, list[float]] = {}
    for name in chosen(makers(optimizer), names):
        command = [sys.executable, "-m", "benchmarks.memory"]
        finished = subprocess.run(
            [*command, workload.name, optimizer.name, name],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        samples[name] = [float(finished.stdout)]
    yield Group("peak memory", workload.name, optimizer.name, "bytes", samples)


def memory_used() -> int:
    """Bytes that the arrays take on a GPU, or that the process takes."""
    device = jax.devices()[0]
    if device.platform == "gpu":
        in_use: int = device.memory_stats()["bytes_in_use"]
        return in_use + (torch.cuda.memory_allocated() if torch is not None else 0)
    resident: int = psutil.Process().memory_info().rss
    return resident


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Look every millisecond how much memory is used; keeps the most."""
    ended = threading.Event()
    peak = [0]

    def watch() -> None:
        while not ended.wait(0.001):
            peak[0] = max(peak[0], memory_used())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def own_peak(workload: Workload, optimizer: Optimizer, name: str) -> int:
    """Bytes that parameters, gradients, state and a step take in this process."""
    before = memory_used()
    params, grads = workload.params(), workload.grads()
    contender = makers(optimizer)[name](params, grads)
    del params
    # The first step compiles, or makes the state.
    for _ in range(2):
        contender.step()
        contender.wait()
    trim()  # what was freed is no part of a step
    with peak_memory() as peak:
        begin = time.perf_counter()
        while time.perf_counter() - begin < 1:
            contender.step()
            contender.wait()
    return peak[0] - before


def main() -> None:
    workload, optimizer, name = sys.argv[1:]
    jax.devices()  # the backend's own memory is no one's
    print(own_peak(WORKLOADS[workload], OPTIMIZERS[optimizer], name))


if __name__ == "__main__":
    main()
