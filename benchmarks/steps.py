"""Time a step: update and apply, with the gradients given."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import jax
import numpy as np

from .agreement import check_agreement
from .contenders import Contender, makers
from .optimizers import Optimizer
from .release import release
from .results import Group
from .timing import Budget, interleaved, no_collection
from .workloads import Workload

AGREEMENT_STEPS = 3
# Steps shorter than this are preceded by one that is not timed: it finds the caches
# and the cores as the contender before has left them.
SHORT = 0.02
# The parameters and the state of AdamW, in float32.
BYTES_A_PARAMETER = 12


def timed_step(contender: Contender) -> float:
    begin = time.perf_counter()
    contender.step()
    contender.wait()
    return time.perf_counter() - begin


def dispatch(contender: Contender) -> float:
    """The time until the call returns."""
    contender.step()
    contender.wait()
    begin = time.perf_counter()
    contender.step()
    elapsed = time.perf_counter() - begin
    contender.wait()
    return elapsed


def turn(contender: Contender, estimate: float) -> float:
    if estimate < SHORT:
        timed_step(contender)
    return timed_step(contender)


def parts(names: list[str], workload: Workload, memory: float) -> Iterator[list[str]]:
    """Contenders that fit into memory together, the baseline among each."""
    baseline, *others = names
    each = workload.parameters * BYTES_A_PARAMETER
    size = max(1, int(memory / each) - 1)
    for start in range(0, max(1, len(others)), size):
        yield [baseline, *others[start : start + size]]


class Steps:
    """The figure "step" (or "dispatch") of an optimizer on a workload."""

    def __init__(
        self,
        budget: Budget,
        agreement_steps: int = AGREEMENT_STEPS,
        memory: float = 5e9,
    ) -> None:
        self.budget, self.agreement_steps = budget, agreement_steps
        self.memory = memory  # bytes that the contenders may take together

    def __call__(
        self,
        workload: Workload,
        optimizer: Optimizer,
        names: list[str] | None = None,
        figure: str = "step",
    ) -> Iterator[Group]:
        available = makers(optimizer)
        chosen = [name for name in available if names is None or name in names]
        params, grads = workload.params(), workload.grads()
        jax.block_until_ready((params, grads))
        expected: dict[str, np.ndarray] = {}
        for part in parts(chosen, workload, self.memory):
            makes = {name: partial(available[name], params, grads) for name in part}
            found = self._measure(makes, expected, optimizer.tolerance, figure)
            for name, unit, samples in found:
                yield Group(name, workload.name, optimizer.name, unit, samples)
            if len(part) < len(chosen):
                release()

    def _measure(
        self,
        makes: Mapping[str, Callable[[], Contender]],
        expected: dict[str, np.ndarray],
        tolerance: float,
        figure: str,
    ) -> list[tuple[str, str, dict[str, list[float]]]]:
        """Figure, unit and samples of contenders that are gone when this returns."""
        contenders = {name: make() for name, make in makes.items()}
        turns = {}
        for name, contender in contenders.items():
            estimate = self._agree(name, contender, expected, tolerance)
            turns[name] = self._turn(contender, estimate, figure)
        with no_collection():
            found = [(figure, "s", interleaved(turns, self.budget))]
        sizes = {name: [float(c.state_bytes())] for name, c in contenders.items()}
        # Plain gradient descent has no state.
        if figure == "step" and [0] not in sizes.values():
            found.append(("state", "bytes", sizes))
        return found

    def _turn(
        self, contender: Contender, estimate: float, figure: str
    ) -> Callable[[], float]:
        if figure == "dispatch":
            return partial(dispatch, contender)
        return partial(turn, contender, estimate)

    def _agree(
        self,
        name: str,
        contender: Contender,
        expected: dict[str, np.ndarray],
        tolerance: float,
    ) -> float:
        """Check where a few steps end; returns the time of the last of them."""
        times = [timed_step(contender) for _ in range(self.agreement_steps)]
        if not expected:
            # JAX's arrays may give up their memory at the next step.
            expected.update({k: np.array(p) for k, p in contender.params().items()})
        else:
            check_agreement(name, contender.params(), expected, tolerance)
        return times[-1]
