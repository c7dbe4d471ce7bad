"""The pictures of the documentation's page."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from .growth import exponent, panels
from .results import Group, Results
from .workloads import WORKLOADS

# The contenders that are drawn; the tables have all.
COLORS = {
    "optax": "#7f7f7f",
    "optifunc": "#5e35b1",
    "optifunc.optim, donated": "#b39ddb",
    "optax, fused": "#80cbc4",
    "optifunc, fused": "#00897b",
    "optifunc.flatten, fused": "#004d40",
    "torch foreach": "#ffb74d",
    "torch fused": "#e65100",
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Write what can be drawn from ``results`` into ``folder``; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in ("step", "trace + lower + compile"):
        groups = [
            group
            for group in results.find(figure=figure, optimizer="adamw")
            if group.workload in WORKLOADS and len(group.samples) > 1
        ]
        if groups:
            name = "steps" if figure == "step" else "compilation"
            written.append(folder / f"benchmarks_{name}.png")
            _bars(groups, f"AdamW, {figure}: over {groups[0].baseline}", written[-1])
    if any(panel.curves(results) for panel in panels()):
        written.append(folder / "benchmarks_growth.png")
        _growth(results, written[-1])
    return written


def _bars(groups: Iterable[Group], title: str, path: Path) -> None:
    """Ratios of each contender on each workload, with their quartiles."""
    groups = list(groups)
    workloads = list(dict.fromkeys(group.workload for group in groups))
    names = [
        name
        for name in COLORS
        if any(name in g.samples and name != g.baseline for g in groups)
    ]
    width = 0.8 / len(names)
    left = (1 - len(names)) / 2 * width
    figure, axes = plt.subplots(figsize=(11, 4.5), layout="constrained")
    for i, name in enumerate(names):
        for group in groups:
            if name in group.samples and name != group.baseline:
                spread = group.ratio(name)
                axes.bar(
                    workloads.index(group.workload) + left + i * width,
                    spread.median - 1,
                    width,
                    bottom=1,  # above the line what is slower, below it what is faster
                    color=COLORS[name],
                    label=name,
                    yerr=[[spread.median - spread.low], [spread.high - spread.median]],
                    error_kw={"linewidth": 0.7},
                )
    axes.axhline(1, color=COLORS["optax"], linewidth=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_xticks(
        range(len(workloads)), [WORKLOADS[name].title for name in workloads]
    )
    axes.set_ylabel("ratio (less is faster)")
    axes.set_title(title)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), ncols=4, fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _growth(results: Results, path: Path) -> None:
    figure, grid = plt.subplots(2, 3, figsize=(14, 8), layout="constrained")
    axes: Axes
    for panel, axes in zip(panels(), grid.flat, strict=True):
        for name, (sizes, medians) in panel.curves(results).items():
            power = exponent(sizes, medians)
            label = f"{name}: exponent {power:.2f}"
            axes.loglog(sizes, medians, "o-", color=COLORS[name], label=label)
            # The fitted line, through the middle of the points it was fitted to.
            half = np.array(sizes[len(sizes) // 2 :])
            middle = np.exp(np.mean(np.log(medians[len(sizes) // 2 :])))
            line = middle * (half / np.exp(np.mean(np.log(half)))) ** power
            axes.loglog(half, line, "--", color=COLORS[name], linewidth=0.8)
        axes.set_title(f"AdamW, {panel.figure}")
        axes.set_xlabel(panel.axis)
        axes.set_ylabel("seconds")
        if axes.has_data():
            axes.legend(fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)
