"""The regression guard: ratios of a short run beside the recorded ones."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .compilation import compilation
from .optimizers import OPTIMIZERS, Optimizer
from .results import Group
from .steps import Steps
from .suite import Task
from .tables import Table
from .timing import Budget
from .workloads import WORKLOADS, Workload, equal_leaves, gpt2_matrix_shapes

RECORD = Path(__file__).with_name("recorded_ratios.json")
MOST_LOSS = 0.25
# A busy machine does not make the same ratio worse three times in a row.
ATTEMPTS = 3

SMALL_MATRICES = Workload(
    "small_matrices",
    "GPT-2's matrices in small",
    gpt2_matrix_shapes(width=64, layers=4),
)


@dataclass(frozen=True)
class Check:
    """A task that takes seconds, and the ratios to look at: figure, contenders."""

    task: Task
    ratios: tuple[tuple[str, str, str], ...]

    def measure(self) -> tuple[list[Group], dict[str, float]]:
        """What was measured, and the ratios of the contenders that are there."""
        groups = list(self.task.run())
        found = {group.figure: group for group in groups}
        return groups, {
            ratio_name(self.task, figure, *names): found[figure].ratio(*names).median
            for figure, *names in self.ratios
            if found[figure].samples.keys() >= {*names}
        }


def ratio_name(task: Task, figure: str, contender: str, baseline: str) -> str:
    return f"{figure}, {task.workload}, {task.optimizer}: {contender} / {baseline}"


PURE = ["optax", "optifunc", "optifunc, argument"]
FUSED = ["optifunc, fused"]


def _beside_optax(
    *figures: str, names: Sequence[str] = PURE[1:]
) -> tuple[tuple[str, str, str], ...]:
    return tuple((figure, name, "optax") for figure in figures for name in names)


def checks(seconds: float) -> list[Check]:
    """What is guarded, each measured for ``seconds``."""
    return [*_of_steps(seconds), *_of_compilation(seconds)]


def _of_steps(seconds: float) -> Iterator[Check]:
    adamw = OPTIMIZERS["adamw"]
    steps = Steps(Budget(seconds, at_least=20, at_most=400))

    def check(
        workload: Workload, names: list[str], *ratios: tuple[str, str, str]
    ) -> Check:
        run = partial(steps, workload, adamw, names)
        return Check(Task("step", workload.name, "adamw", run), ratios)

    yield check(
        WORKLOADS["mlp"],
        [*PURE, "optifunc, params kept", "optifunc.optim", "torch fused"],
        *_beside_optax("step"),
        ("step", "optifunc.optim", "optifunc, params kept"),
    )
    # Small trees fit into the caches, where fused steps gain least.
    yield check(
        WORKLOADS["two_large"],
        ["optax", *FUSED],
        *_beside_optax("step", names=FUSED),
    )
    joined = ["optifunc.flatten"]
    yield check(
        equal_leaves(100),
        [*PURE, *joined],
        *_beside_optax("step"),
        *_beside_optax("step", names=joined),
    )


def _of_compilation(seconds: float) -> Iterator[Check]:
    adamw, muon = OPTIMIZERS["adamw"], OPTIMIZERS["muon"]
    compiled = partial(compilation, budget=Budget(seconds, at_least=3))

    def check(
        workload: Workload,
        optimizer: Optimizer,
        run: Callable[[], Iterable[Group]],
        *ratios: tuple[str, str, str],
    ) -> Check:
        return Check(Task("compilation", workload.name, optimizer.name, run), ratios)

    hundred, thousand = equal_leaves(100), equal_leaves(1000)
    yield check(
        hundred,
        adamw,
        partial(compiled, hundred, adamw, names=[*PURE, *FUSED]),
        *_beside_optax("trace", "lower + compile"),
        *_beside_optax("trace + lower + compile", names=FUSED),
    )
    yield check(
        thousand,
        adamw,
        partial(compiled, thousand, adamw, names=PURE, last="trace"),
        *_beside_optax("trace"),
    )
    yield check(
        SMALL_MATRICES,
        muon,
        partial(compiled, SMALL_MATRICES, muon, names=["optax", "optifunc"]),
        ("trace + lower + compile", "optifunc", "optax"),
    )


def losses(found: Mapping[str, float], recorded: Mapping[str, float]) -> dict[str, str]:
    """By name the ratios that are lost, each with a message."""
    return {
        name: f"{name}: {value:.2f}, recorded {recorded[name]:.2f}"
        for name, value in found.items()
        if name in recorded and value > (1 + MOST_LOSS) * recorded[name]
    }


def guard(
    measure: Callable[[], Mapping[str, float]],
    recorded: Mapping[str, float],
    attempts: int = ATTEMPTS,
) -> list[str]:
    """Messages about the ratios that ``measure`` finds lost at every attempt."""
    lost = losses(measure(), recorded)
    for _ in range(attempts - 1):
        if not lost:
            break
        again = losses(measure(), recorded)
        lost = {name: message for name, message in again.items() if name in lost}
    return list(lost.values())


def load(path: Path = RECORD) -> dict[str, float]:
    recorded: dict[str, float] = json.loads(path.read_text())
    return recorded


def save(ratios: Mapping[str, float], path: Path = RECORD) -> None:
    rounded = {name: round(value, 3) for name, value in ratios.items()}
    path.write_text(json.dumps(rounded, indent=1) + "\n")


def table(found: Mapping[str, float], recorded: Mapping[str, float]) -> Table:
    """What was found beside what is recorded."""
    rows = [
        [name, f"{value:.2f}", f"{recorded[name]:.2f}" if name in recorded else ""]
        for name, value in found.items()
    ]
    return Table("Guarded ratios", ["", "found", "recorded"], rows)
