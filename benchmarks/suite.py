"""Which figures are measured on which workloads, and in which order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from .compilation import compilation
from .contenders import DECISIVE
from .cores import on_cores
from .fits import fits
from .growth import CONTENDERS, growing_leaves, growing_parameters
from .memory import planned, resident
from .networks import NETWORKS
from .optimizers import OPTIMIZERS, RULES, Optimizer
from .results import Group
from .steps import Steps
from .timing import Budget
from .training import training
from .workloads import WORKLOADS, Workload

FIGURES = (
    "dispatch",
    "step",
    "cores",
    "compilation",
    "memory",
    "training",
    "fit",
    "growth",
)

NETWORK_SHAPES = ("mlp", "gpt2")
TREES = ("mlp", "gpt2", "leaves_1000", "mixed_1000", "two_large", "resnet50")
# What is compared for torch's other rules, and where.
BESIDE_FOREACH = (
    "optifunc",
    "optifunc, fused",
    "optifunc.flatten, fused",
    "torch foreach",
)
BESIDE_TORCH = ("mlp", "leaves_1000", "resnet50")
STEPS = {
    "adamw": TREES,
    "clipped_adamw": TREES,
    "momentum": TREES,
    "sgd": NETWORK_SHAPES,
    "adafactor": NETWORK_SHAPES,
    **dict.fromkeys(RULES, BESIDE_TORCH),
    "muon": ("gpt2_matrices",),
    "muon_bfloat16": ("gpt2_matrices",),
}
COMPILATIONS = {
    "adamw": ("mlp", "gpt2", "leaves_1000", "mixed_1000", "resnet50"),
    "sgd": ("gpt2",),
    "momentum": ("gpt2",),
    "adafactor": ("gpt2",),
    "muon": ("gpt2_matrices",),
}


@dataclass(frozen=True)
class Task:
    """Something to measure, which yields the groups of one or several figures."""

    figure: str
    workload: str
    optimizer: str
    run: Callable[[], Iterable[Group]]

    def __str__(self) -> str:
        return f"{self.figure}, {self.workload}, {self.optimizer}"


@dataclass(frozen=True)
class Options:
    """What to measure: None stands for what the suite has by default."""

    figures: list[str] | None = None
    workloads: list[str] | None = None
    optimizers: list[str] | None = None
    contenders: list[str] | None = None
    seconds: float = 8.0
    at_most: int = 100

    def pairs(
        self, defaults: dict[str, tuple[str, ...]]
    ) -> Iterator[tuple[Workload, Optimizer]]:
        """The requested default pairs; any pair, if both sides are named."""
        if self.workloads and self.optimizers:
            defaults = dict.fromkeys(self.optimizers, tuple(self.workloads))
        for name, workloads in defaults.items():
            for workload in map(WORKLOADS.get, workloads):
                optimizer = OPTIMIZERS.get(name)
                if workload is None or optimizer is None:
                    continue  # the name of something that another figure is about
                fits = workload.is_matrices or not optimizer.matrices_only
                if fits and self.includes(workload.name, name):
                    yield workload, optimizer

    def includes(self, workload: str, optimizer: str) -> bool:
        return (not self.workloads or workload in self.workloads) and (
            not self.optimizers or optimizer in self.optimizers
        )

    def budget(self, at_least: int, share: float = 1.0) -> Budget:
        at_least = min(at_least, self.at_most)
        return Budget(share * self.seconds, at_least, self.at_most)


def tasks(options: Options) -> list[Task]:
    """What `options` ask for."""
    makers = {
        "dispatch": _dispatch,
        "step": _steps,
        "cores": _cores,
        "compilation": _compilations,
        "memory": _memory,
        "training": _training,
        "fit": _fit,
        "growth": _growth,
    }
    return [
        task
        for figure in options.figures or FIGURES
        for task in makers[figure](options)
    ]


def _dispatch(options: Options) -> Iterator[Task]:
    steps = Steps(options.budget(at_least=20))
    for workload, optimizer in options.pairs({"adamw": ("tiny",)}):
        run = partial(steps, workload, optimizer, options.contenders, "dispatch")
        yield Task("dispatch", workload.name, optimizer.name, run)


def _steps(options: Options) -> Iterator[Task]:
    for workload, optimizer in options.pairs(STEPS):
        names = options.contenders
        steps = Steps(options.budget(at_least=5))
        if optimizer.name in ("clipped_adamw", "momentum") or workload.is_large:
            names = names or DECISIVE
        if optimizer.name in RULES:
            names = names or [*BESIDE_FOREACH]
        # A step takes many seconds, nearly all of them in products of matrices.
        if optimizer.matrices_only:
            names = names or ["optax", "optifunc", "torch"]
            steps = Steps(options.budget(at_least=3), agreement_steps=2)
        run = partial(steps, workload, optimizer, names)
        yield Task("step", workload.name, optimizer.name, run)


def _cores(options: Options) -> Iterator[Task]:
    budget = options.budget(at_least=5)
    for workload, optimizer in options.pairs({"adamw": ("gpt2", "leaves_1000")}):
        run = partial(on_cores, workload, optimizer, budget, options.contenders)
        yield Task("cores", workload.name, optimizer.name, run)


def _compilations(options: Options) -> Iterator[Task]:
    budget = options.budget(at_least=3)
    for workload, optimizer in options.pairs(COMPILATIONS):
        run = partial(compilation, workload, optimizer, budget, options.contenders)
        yield Task("compilation", workload.name, optimizer.name, run)


def _memory(options: Options) -> Iterator[Task]:
    for workload, optimizer in options.pairs({"adamw": ("gpt2",)}):

        def run(
            workload: Workload = workload, optimizer: Optimizer = optimizer
        ) -> Iterator[Group]:
            names = options.contenders or DECISIVE
            yield from planned(workload, optimizer, names)
            yield from resident(workload, optimizer, names)

        yield Task("memory", workload.name, optimizer.name, run)


def _training(options: Options) -> Iterator[Task]:
    for network in NETWORKS.values():
        if options.includes(network.name, "adamw"):
            budget = options.budget(at_least=10)
            run = partial(
                training, network, OPTIMIZERS["adamw"], budget, options.contenders
            )
            yield Task("training", network.name, "adamw", run)


def _fit(options: Options) -> Iterator[Task]:
    if options.includes("regression", "lbfgs"):
        run = partial(fits, options.budget(at_least=5), options.contenders)
        yield Task("fit", "regression", "lbfgs", run)


def _growth(options: Options) -> Iterator[Task]:
    """Growth, without the points that the other figures hold already."""
    adamw = OPTIMIZERS["adamw"]
    names = options.contenders or CONTENDERS
    budget = options.budget(at_least=3, share=0.5)
    steps = Steps(budget)
    measured = options.figures or FIGURES
    for workload in [*growing_leaves(), *growing_parameters()]:
        if not options.includes(workload.name, "adamw"):
            continue
        key = ("growth", workload.name, "adamw")
        if "compilation" not in measured or workload.name not in COMPILATIONS["adamw"]:
            yield Task(*key, partial(compilation, workload, adamw, budget, names))
        if "step" not in measured or workload.name not in STEPS["adamw"]:
            yield Task(*key, partial(steps, workload, adamw, names))
