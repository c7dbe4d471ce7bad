"""Time a step: update and apply, with the gradients given."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import psutil

from .agreement import check_agreement
from .bandwidth import memory_bandwidth
from .contenders import DECISIVE, Arrays, Contender, chosen, makers
from .optimizers import Optimizer
from .release import release
from .results import Group
from .timing import Budget, interleaved, no_collection, settle, step_time, timed_step
from .workloads import Workload

AGREEMENT_STEPS = 3
# The parameters and the state of AdamW, in float32.
BYTES_A_PARAMETER = 12


def dispatch(contender: Contender) -> float:
    """The time until the call returns."""
    settle(partial(timed_step, contender))
    begin = time.perf_counter()
    contender.step()
    elapsed = time.perf_counter() - begin
    contender.wait()
    return elapsed


def varied(grads: Arrays, step: int) -> Arrays:
    """Other gradients in each of three steps.

    From equal ones a momentum or a mean of squares, corrected for its bias, would be
    the same whatever its decay is.
    """
    if step % 3 == 0:
        return grads
    if step % 3 == 1:
        return {name: jnp.flip(g, 0) / 2 for name, g in grads.items()}
    return {name: -2 * g for name, g in grads.items()}


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
        memory: float | None = None,
    ) -> None:
        self.budget, self.agreement_steps = budget, agreement_steps
        # Bytes that the contenders may take together.
        self.memory = memory or psutil.virtual_memory().total / 2

    def __call__(
        self,
        workload: Workload,
        optimizer: Optimizer,
        names: list[str] | None = None,
        figure: str = "step",
    ) -> Iterator[Group]:
        found = chosen(makers(optimizer), names)
        available = {
            name: found[name] for name in sorted(found, key=lambda n: n not in DECISIVE)
        }
        params, grads = workload.params(), workload.grads()
        jax.block_until_ready((params, grads))
        start = {name: np.asarray(p) for name, p in params.items()}
        expected: dict[str, np.ndarray] = {}
        for part in parts([*available], workload, self.memory):
            contenders = {name: available[name](params, grads) for name in part}
            for name, contender in contenders.items():
                self._advance(contender, grads)
                # JAX's arrays may give up their memory at the next step.
                expected = expected or {
                    k: np.array(p) for k, p in contender.params().items()
                }
                check_agreement(
                    name,
                    contender.params(),
                    expected,
                    optimizer.tolerance,
                    start,
                    optimizer.share,
                )
            timed = dispatch if figure == "dispatch" else step_time
            samples, bandwidth = self._measure(contenders, timed)
            key = workload.name, optimizer.name
            yield Group(figure, *key, "s", samples, bandwidth=bandwidth)
            sizes = {n: [float(c.state_bytes())] for n, c in contenders.items()}
            # Plain gradient descent has no state.
            if figure == "step" and [0] not in sizes.values():
                yield Group("state", *key, "bytes", sizes)
            del contenders, contender
            if len(part) < len(available):
                release()

    def _advance(self, contender: Contender, grads: Arrays) -> None:
        """A few steps with different gradients."""
        for step in range(self.agreement_steps):
            contender.give(varied(grads, step))
            timed_step(contender)
        contender.give(grads)

    def _measure(
        self,
        contenders: Mapping[str, Contender],
        timed: Callable[[Contender], float],
    ) -> tuple[dict[str, list[float]], float]:
        """Samples, and the memory's bandwidth before or after them."""
        turns = {name: partial(timed, c) for name, c in contenders.items()}
        before = memory_bandwidth()
        with no_collection():
            samples = interleaved(turns, self.budget)
        # Whoever else used the memory before the run may be gone after it.
        return samples, max(before, memory_bandwidth())
