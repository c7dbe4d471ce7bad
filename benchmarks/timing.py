"""Contenders in turn, round by round, and ratios of their times in pairs."""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

FAR_LONGER = 3
# Seconds. PyTorch's threads keep the cores busy for 4 ms after a step, in case
# another follows.
SETTLING = 0.02


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles about it."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values))


@dataclass(frozen=True)
class Budget:
    """How long and how often to measure."""

    seconds: float = 10.0
    at_least: int = 5
    at_most: int = 200


class Stepping(Protocol):
    """What takes steps, which may go on after the call returns."""

    def step(self) -> Any: ...

    def wait(self) -> None:
        """Until all steps are done."""


def timed_step(stepping: Stepping) -> float:
    begin = time.perf_counter()
    stepping.step()
    stepping.wait()
    return time.perf_counter() - begin


def settle(turn: Callable[[], object]) -> None:
    """Repeat a contender's turn until it finds the caches and the cores as it leaves
    them itself, and not as the contender before has left them.
    """
    begin = time.perf_counter()
    turn()
    while time.perf_counter() - begin < SETTLING:
        turn()


def settled(turn: Callable[[], T]) -> T:
    """The result of a turn after others whose result does not count."""
    settle(turn)
    return turn()


def step_time(stepping: Stepping) -> float:
    """The time of a step, until its results are there, after steps of its own kind."""
    return settled(partial(timed_step, stepping))


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python from collecting garbage in the middle of a measurement."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def interleaved(
    turns: Mapping[str, Callable[[], T]], budget: Budget
) -> dict[str, list[T]]:
    """Let each contender have its turn, round by round, until the budget is spent.

    Each round has a new random order: what a contender leaves behind, caches or threads
    that still wait for work, meets each of the others alike.

    **Arguments:** ``turns``: by contender, the baseline first, a function that measures
    once and returns the result.

    **Returns:** by contender one result a round. One whose turn takes all of the
    budget, and far longer than the baseline's, has no other: its list is short.
    """
    results: dict[str, list[T]] = {name: [] for name in turns}
    remaining = list(turns)
    baseline = next(iter(turns), None)
    generator = random.Random(0)
    begin = time.perf_counter()
    for done in range(budget.at_most):
        if done >= budget.at_least and time.perf_counter() - begin >= budget.seconds:
            break
        taken = {}
        for name in generator.sample(remaining, len(remaining)):
            before = time.perf_counter()
            results[name].append(turns[name]())
            taken[name] = time.perf_counter() - before
        longest = max(budget.seconds, FAR_LONGER * taken.get(baseline, 0))
        remaining = [n for n in remaining if n == baseline or taken[n] <= longest]
    return results
