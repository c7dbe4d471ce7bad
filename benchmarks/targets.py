"""The library's targets, as ratios within one run."""

from dataclasses import dataclass

from .results import Results
from .timing import Spread


@dataclass(frozen=True)
class Target:
    """A ratio of one figure, and the most that it may be."""

    title: str
    figure: str
    workload: str
    optimizer: str
    contender: str
    baseline: str
    bar: float

    def reached(self, results: Results) -> Spread | None:
        """The ratio, or None if it was not measured."""
        return results.ratio(
            self.contender,
            self.baseline,
            figure=self.figure,
            workload=self.workload,
            optimizer=self.optimizer,
        )


def _beside_optax(
    title: str,
    figure: str,
    workload: str,
    bar: float,
    optimizer: str = "adamw",
    contender: str = "optifunc",
) -> Target:
    return Target(title, figure, workload, optimizer, contender, "optax", bar)


TARGETS = (
    _beside_optax("trace, 1,000 leaves", "trace", "leaves_1000", 0.35),
    _beside_optax(
        "lower + compile, 1,000 leaves", "lower + compile", "leaves_1000", 0.8
    ),
    _beside_optax("step, MLP", "step", "mlp", 0.9),
    _beside_optax("step, GPT-2 small", "step", "gpt2", 0.9),
    _beside_optax("step, two large leaves", "step", "two_large", 0.9),
    _beside_optax("step, 1,000 leaves", "step", "leaves_1000", 0.7),
    _beside_optax(
        "step, 1,000 leaves, with `of.flatten`",
        "step",
        "leaves_1000",
        0.7,
        contender="optifunc.flatten",
    ),
    _beside_optax(
        "Muon in float32, GPT-2 small's matrices: trace + compile",
        "trace + lower + compile",
        "gpt2_matrices",
        0.4,
        "muon",
    ),
    _beside_optax(
        "Muon in float32, GPT-2 small's matrices: step",
        "step",
        "gpt2_matrices",
        0.8,
        "muon",
    ),
    Target(
        "step of the stateful API over the functional one, MLP",
        "step",
        "mlp",
        "adamw",
        "optifunc.optim",
        "optifunc, params kept",
        1.15,
    ),
)
