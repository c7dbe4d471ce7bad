"""Time a step: update and apply, with the gradients given."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np

from .agreement import check_agreement
from .contenders import Contender, makers
from .optimizers import Optimizer
from .results import Group
from .timing import Budget, interleaved, no_collection
from .workloads import Workload

AGREEMENT_STEPS = 3
# Steps shorter than this are preceded by one that is not timed: it finds the caches
# and the cores as the contender before has left them.
SHORT = 0.02
# The parameters, as many again and the state of AdamW, in float32.
BYTES_A_PARAMETER = 16


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
        memory: float = 6e9,
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
            contenders = {name: available[name](params, grads) for name in part}
            turns = {}
            for name, contender in contenders.items():
                estimate = self._agree(name, contender, expected, optimizer.tolerance)
                turns[name] = self._turn(contender, estimate, figure)
            with no_collection():
                samples = interleaved(turns, self.budget)
            key = (workload.name, optimizer.name)
            yield Group(figure, *key, "s", samples)
            if figure == "step":
                sizes = {k: [float(c.state_bytes())] for k, c in contenders.items()}
                if sizes[part[0]] != [0]:  # plain gradient descent has no state
                    yield Group("state", *key, "bytes", sizes)
            del contenders, turns

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
