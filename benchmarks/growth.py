"""How the figures grow with the number of leaves and of parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from .results import Results
from .workloads import Workload, equal_leaves, in_ten_leaves

LEAVES = (10, 30, 100, 300, 1000, 3000)
PARAMETERS = (10**4, 10**5, 10**6, 10**7, 10**8)
CONTENDERS = ["optax", "optifunc", "torch fused"]


def growing_leaves() -> list[Workload]:
    return [equal_leaves(leaves) for leaves in LEAVES]


def growing_parameters() -> list[Workload]:
    return [in_ten_leaves(parameters) for parameters in PARAMETERS]


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The ``k`` of ``values ~ sizes^k``, by least squares over the larger half.

    At the smaller sizes what does not grow at all still counts.
    """
    half = len(sizes) // 2
    slope, _ = np.polyfit(np.log(sizes[half:]), np.log(values[half:]), 1)
    return float(slope)


@dataclass(frozen=True)
class Panel:
    """A figure of AdamW against the size of the tree."""

    figure: str
    axis: str
    workloads: list[Workload]
    size: Callable[[Workload], int]

    def curves(self, results: Results) -> dict[str, tuple[list[int], list[float]]]:
        """By contender the sizes that were measured, and the medians."""
        found: dict[str, dict[int, float]] = {}
        for workload in self.workloads:
            key = {"workload": workload.name, "optimizer": "adamw"}
            for group in results.find(figure=self.figure, **key):
                for name in CONTENDERS:
                    if name in group.samples:
                        medians = found.setdefault(name, {})
                        medians[self.size(workload)] = group.spread(name).median
        return {name: ([*m], [*m.values()]) for name, m in found.items() if len(m) > 3}


def panels() -> list[Panel]:
    leaves, parameters = growing_leaves(), growing_parameters()
    return [
        Panel(figure, axis, workloads, attrgetter(axis))
        for axis, workloads in (("leaves", leaves), ("parameters", parameters))
        for figure in ("trace", "lower + compile", "step")
    ]
