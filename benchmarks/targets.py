"""The library's targets, as ratios within one run."""

from dataclasses import dataclass

from .optimizers import OPTIMIZERS, RULES
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


# Trees by name, with how the targets call them.
TREES = {
    "mlp": "MLP",
    "gpt2": "GPT-2 small",
    "two_large": "two large leaves",
    "resnet50": "ResNet-50",
    "leaves_1000": "1,000 leaves",
    "mixed_1000": "1,000 mixed leaves",
}
MANY = ("leaves_1000", "mixed_1000")
FLAT = "fused step with `of.flatten`"


def _fused_beside(
    baseline: str,
    optimizer: str,
    title: str,
    bars: dict[str, float],
    contender: str = "optifunc, fused",
) -> tuple[Target, ...]:
    """A fused step on trees, by name the most that its ratio may be."""
    return tuple(
        Target(
            f"{title}, {TREES[tree]}", "step", tree, optimizer, contender, baseline, bar
        )
        for tree, bar in bars.items()
    )


def _bars(large: float, many: float) -> dict[str, float]:
    return {tree: many if tree in MANY else large for tree in TREES}


FUSED = (
    *_fused_beside("torch fused", "adamw", "fused step", _bars(0.95, 1.0)),
    *_fused_beside(
        "torch fused", "clipped_adamw", "fused step, clip + AdamW", _bars(0.95, 1.0)
    ),
    *_fused_beside(
        "torch fused", "momentum", "fused step, SGD with momentum", _bars(1.0, 1.0)
    ),
    *(
        target
        for optimizer, name in (
            ("adamw", FLAT),
            ("clipped_adamw", f"{FLAT}, clip + AdamW"),
            ("momentum", f"{FLAT}, SGD with momentum"),
        )
        for target in _fused_beside(
            "torch fused",
            optimizer,
            name,
            dict.fromkeys(MANY, 1.0),
            "optifunc.flatten, fused",
        )
    ),
    *(
        target
        for name in RULES
        for title, contender, trees in (
            ("fused step", "optifunc, fused", ("mlp", "resnet50", "leaves_1000")),
            (FLAT, "optifunc.flatten, fused", ("leaves_1000",)),
        )
        for target in _fused_beside(
            "torch foreach",
            name,
            f"{title}, {OPTIMIZERS[name].title}",
            dict.fromkeys(trees, 0.5),
            contender,
        )
    ),
    # The MLP fits into the caches, where XLA's loops cost little.
    *_fused_beside(
        "optax",
        "adamw",
        "fused step beside XLA's",
        {tree: 0.65 for tree in TREES if tree != "mlp"},
    ),
    *_fused_beside(
        "optax",
        "adamw",
        f"{FLAT} beside XLA's",
        dict.fromkeys(MANY, 0.65),
        "optifunc.flatten, fused",
    ),
    _beside_optax(
        "fused step: trace + lower + compile, 1,000 leaves",
        "trace + lower + compile",
        "leaves_1000",
        0.35,
        contender="optifunc, fused",
    ),
    *(
        Target(
            f"step of the stateful API, parameters donated, {TREES[tree]}",
            "step",
            tree,
            "adamw",
            "optifunc.optim, donated",
            "optifunc, fused",
            1.05,
        )
        for tree in ("mlp", "gpt2")
    ),
)

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
    *FUSED,
)
