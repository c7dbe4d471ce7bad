"""The results as tables of ratios."""

from collections.abc import Iterator

from .growth import CONTENDERS, exponent, panels
from .networks import NETWORKS
from .optimizers import OPTIMIZERS
from .results import Group, Results
from .tables import Table
from .targets import TARGETS
from .timing import Spread
from .workloads import WORKLOADS

TITLES = {
    "dispatch": "Dispatch: until the call of a step returns",
    "step": "Time a step",
    "trace": "Time to trace",
    "lower": "Time to lower",
    "compile": "Time to compile",
    "lower + compile": "Time to lower and compile",
    "trace + lower + compile": "Time to trace, lower and compile",
    "state": "Size of the optimizer's state",
    "planned memory": "Memory of a step, as compiled",
    "peak memory": "Peak memory of a process that steps",
    "training step": "Time a whole training step",
    "whole fit": "Time a whole fit",
}


def number(value: float) -> str:
    """Three digits, and no exponent for what is not extreme."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:#.3g}"


def quantity(value: float, unit: str) -> str:
    """A number with the prefix that suits it."""
    if unit == "bytes":
        return f"{number(value / 1e6)} MB"
    for factor, name in ((1, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{number(value * factor)} {name}"
    return f"{number(value * 1e6)} us"


def ratio(spread: Spread) -> str:
    """A ratio with its quartiles, where there are several rounds."""
    if spread.count == 1:
        return f"{spread.median:.2f}"
    return f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"


def workload_title(name: str) -> str:
    for table in (WORKLOADS, NETWORKS):
        if name in table:
            return table[name].title
    return name


def optimizer_title(name: str) -> str:
    return OPTIMIZERS[name].title if name in OPTIMIZERS else name.upper()


def is_growth(group: Group) -> bool:
    """Whether a group is a point of a curve only, and in no table."""
    known = group.workload in WORKLOADS or group.workload in NETWORKS
    return not known and group.figure != "whole fit"


def ratio_tables(results: Results) -> Iterator[Table]:
    """For each figure and optimizer: contenders down, workloads across."""
    shown = [group for group in results.groups if not is_growth(group)]
    keys = dict.fromkeys((group.figure, group.optimizer) for group in shown)
    for figure, optimizer in sorted(keys, key=lambda key: [*TITLES].index(key[0])):
        groups = [g for g in shown if (g.figure, g.optimizer) == (figure, optimizer)]
        yield _ratio_table(figure, optimizer, groups)
        if figure == "step":
            yield from _limit_table(results, optimizer, groups)


def _ratio_table(figure: str, optimizer: str, groups: list[Group]) -> Table:
    workloads = dict.fromkeys(group.workload for group in groups)
    baselines = dict.fromkeys(group.baseline for group in groups)
    contenders = dict.fromkeys(name for group in groups for name in group.samples)
    rows = []
    for name in contenders:
        row = [name]
        for workload in workloads:
            found = [g for g in groups if g.workload == workload and name in g.samples]
            if not found:
                row.append("")
            elif name == found[0].baseline:
                row.append(quantity(found[0].spread(name).median, found[0].unit))
            else:
                row.append(ratio(found[0].ratio(name)))
        rows.append(row)
    remarks = [remark for group in groups for remark in group.remarks]
    if optimizer in OPTIMIZERS and OPTIMIZERS[optimizer].remark:
        remarks.append(f"{OPTIMIZERS[optimizer].remark}.")
    title = f"{TITLES[figure]}: {optimizer_title(optimizer)}"
    corner = f"over {', '.join(baselines)}"
    return Table(title, [corner, *map(workload_title, workloads)], rows, remarks)


def _limit_table(
    results: Results, optimizer: str, groups: list[Group]
) -> Iterator[Table]:
    """Each step as a multiple of what memory allows, and the bytes it moves."""
    accesses = OPTIMIZERS[optimizer].accesses
    if accesses is None:
        return
    workloads = dict.fromkeys(group.workload for group in groups)
    contenders = dict.fromkeys(name for group in groups for name in group.samples)
    bandwidth = results.machine["bandwidth"]
    peak = results.machine["peak bandwidth"]
    rows = []
    for name in contenders:
        row = [name]
        for workload in workloads:
            found = [g for g in groups if g.workload == workload and name in g.samples]
            if not found:
                row.append("")
                continue
            moved = 4 * accesses * WORKLOADS[workload].parameters
            time = found[0].spread(name).median
            share = f", {moved / time / peak:.0%} of peak" if peak else ""
            multiple = f"{time * bandwidth / moved:.2f}"
            row.append(f"{multiple} ({moved / time / 1e9:.1f} GB/s{share})")
        rows.append(row)
    limit = f"{accesses} accesses of 4 bytes a parameter at {bandwidth / 1e9:.1f} GB/s"
    yield Table(
        f"A step as a multiple of the limit: {optimizer_title(optimizer)}",
        [f"over {limit}", *map(workload_title, workloads)],
        rows,
        ["Trees that fit into the processor's caches can be below 1."],
    )


def target_table(results: Results) -> Table:
    """What was to be reached, and what was."""
    rows = []
    for target in TARGETS:
        reached = target.reached(results)
        found = "not measured" if reached is None else ratio(reached)
        verdict = ""
        if reached is not None:
            verdict = "yes" if reached.median <= target.bar else "no"
        over = f"{target.title} (over {target.baseline})"
        rows.append([over, found, f"{target.bar:.2f}", verdict])
    header = ["figure", "ratio", "at most", "reached"]
    return Table("What it must reach: AdamW, if not said otherwise", header, rows)


def growth_table(results: Results) -> Table | None:
    """Exponents of growth; None if too little of it was measured."""
    found = [(panel, panel.curves(results)) for panel in panels()]
    rows = [
        [
            f"{panel.title} against {panel.axis}",
            *(
                f"{exponent(*curves[name]):.2f}" if name in curves else ""
                for name in CONTENDERS
            ),
        ]
        for panel, curves in found
        if curves
    ]
    title = "Growth of AdamW's figures: exponents, fitted to the larger half"
    return Table(title, ["", *CONTENDERS], rows) if rows else None
