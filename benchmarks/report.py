"""The results as tables of ratios."""

from collections.abc import Callable, Iterator
from typing import Any

from .growth import CONTENDERS, exponent, panels
from .networks import NETWORKS
from .optimizers import OPTIMIZERS, RULES
from .results import Group, Results
from .tables import Table, ratio
from .targets import TARGETS
from .workloads import WORKLOADS

TITLES = {
    "dispatch": "Dispatch: time until the call of a step returns",
    "step": "Time per step",
    "trace": "Time to trace",
    "lower": "Time to lower",
    "compile": "Time to compile",
    "lower + compile": "Time to lower and compile",
    "trace + lower + compile": "Time to trace, lower and compile",
    "state": "Size of the optimizer's state",
    "planned memory": "Memory of a compiled step",
    "peak memory": "Peak memory of a process that takes steps",
    "training step": "Time of a whole training step",
    "whole fit": "Time of a whole fit",
}


def number(value: float) -> str:
    """Three digits, without an exponent unless the value is extreme."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:#.3g}"


def quantity(value: float, unit: str) -> str:
    """A number with a suitable unit prefix."""
    if unit == "bytes":
        return f"{number(value / 1e6)} MB"
    for factor, name in ((1, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{number(value * factor)} {name}"
    return f"{number(value * 1e6)} us"


def workload_title(name: str) -> str:
    for table in (WORKLOADS, NETWORKS):
        if name in table:
            return table[name].title
    return name


def optimizer_title(name: str) -> str:
    return OPTIMIZERS[name].title if name in OPTIMIZERS else name.upper()


def is_growth(group: Group) -> bool:
    """Whether a group is only a point of a curve and appears in no table."""
    known = group.workload in WORKLOADS or group.workload in NETWORKS
    return not known and group.figure != "whole fit"


def ratio_tables(results: Results) -> Iterator[Table]:
    """For each figure: contenders down; workloads, and other optimizers, across."""
    shown = [group for group in results.groups if not is_growth(group)]
    for figure, title in TITLES.items():
        found = [group for group in shown if group.figure == figure]
        for groups in _tables_of(found):
            optimizers = {optimizer_title(group.optimizer) for group in groups}
            name = optimizers.pop() if len(optimizers) == 1 else "other optimizers"
            if groups:
                yield _ratio_table(f"{title}: {name}", groups)
            limited = [g for g in groups if figure == "step" and _accesses(g)]
            if limited:
                yield _limit_table(name, limited, results.machine)


def _tables_of(groups: list[Group]) -> Iterator[list[Group]]:
    """One table for an optimizer on several trees, and one for all others."""
    by_optimizer: dict[str, list[Group]] = {}
    for group in groups:
        by_optimizer.setdefault(group.optimizer, []).append(group)
    others: list[Group] = []
    for name, own in by_optimizer.items():
        if name in RULES:
            continue  # in a table of their own
        if name == "adamw" or len({group.workload for group in own}) > 2:
            yield own
        else:
            others += own
    yield others


def rules_table(results: Results) -> Table | None:
    """Fused steps of torch's other rules."""
    columns = [
        *((tree, "optifunc, fused", "") for tree in ("mlp", "resnet50", "leaves_1000")),
        ("leaves_1000", "optifunc.flatten, fused", ", with `of.flatten`"),
    ]
    rows = []
    for name in RULES:
        found = [
            results.ratio(
                contender,
                "torch foreach",
                figure="step",
                workload=tree,
                optimizer=name,
            )
            for tree, contender, _ in columns
        ]
        if any(found):
            cells = ("" if x is None else ratio(x) for x in found)
            rows.append([optimizer_title(name), *cells])
    header = ["", *(f"{workload_title(tree)}{how}" for tree, _, how in columns)]
    title = "Time per step: torch's other rules, fused, relative to torch foreach"
    return Table(title, header, rows) if rows else None


def _accesses(group: Group) -> int | None:
    known = group.optimizer in OPTIMIZERS
    return OPTIMIZERS[group.optimizer].accesses if known else None


def _table(
    title: str,
    corner: str,
    groups: list[Group],
    cell: Callable[[Group, str], str],
    remarks: list[str],
) -> Table:
    """One row per contender; groups of one optimizer and workload share a column."""
    columns: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        columns.setdefault((group.optimizer, group.workload), []).append(group)
    rows = []
    for name in dict.fromkeys(name for group in groups for name in group.samples):
        row = [name]
        for column in columns.values():
            found = [group for group in column if name in group.samples]
            row.append(cell(found[0], name) if found else "")
        rows.append(row)
    alone = len({optimizer for optimizer, _ in columns}) == 1
    header = [
        workload_title(workload)
        if alone
        else f"{optimizer_title(optimizer)}, {workload_title(workload)}"
        for optimizer, workload in columns
    ]
    return Table(title, [corner, *header], rows, remarks)


def _cell(group: Group, name: str) -> str:
    """What the baseline took, or another contender's ratio to it."""
    if name == group.baseline:
        return quantity(group.spread(name).median, group.unit)
    return ratio(group.ratio(name))


def _ratio_table(title: str, groups: list[Group]) -> Table:
    figures = {group.figure for group in groups}
    remarks = [remark for group in groups for remark in group.remarks]
    for name in dict.fromkeys(group.optimizer for group in groups):
        if name in OPTIMIZERS and OPTIMIZERS[name].remark and "step" in figures:
            remarks.append(f"{OPTIMIZERS[name].title}: {OPTIMIZERS[name].remark}.")
    return _table(title, "", groups, _cell, remarks)


def _limit_table(name: str, groups: list[Group], machine: dict[str, Any]) -> Table:
    """Each step as a multiple of what memory allows, and the bytes it moves."""
    peak = machine["peak bandwidth"]

    def bandwidth(group: Group) -> float:
        measured: float = group.bandwidth or machine["bandwidth"]
        return measured

    def cell(group: Group, name: str) -> str:
        accesses = _accesses(group) or 0
        moved = 4 * accesses * WORKLOADS[group.workload].parameters
        time = group.spread(name).median
        share = f", {moved / time / peak:.0%} of peak" if peak else ""
        multiple = f"{time * bandwidth(group) / moved:.2f}"
        return f"{multiple} ({moved / time / 1e9:.1f} GB/s{share})"

    counts = {group.optimizer: _accesses(group) for group in groups}
    accesses = ", ".join(f"{optimizer_title(k)} {v}" for k, v in counts.items())
    slowest, fastest = (f(map(bandwidth, groups)) / 1e9 for f in (min, max))
    remarks = [
        f"The limit is the fewest accesses of 4 bytes per parameter ({accesses}) at "
        f"the bandwidth measured right before and after each column, {slowest:.1f} to "
        f"{fastest:.1f} GB/s. Trees that fit into the processor's caches can be below "
        "1."
    ]
    title = f"A step as a multiple of the limit: {name}"
    return _table(title, "", groups, cell, remarks)


def scaling_table(results: Results) -> Table | None:
    """Steps on each number of cores, and how many times faster more cores are."""
    found: dict[tuple[str, str], list[Group]] = {}
    for group in results.find(figure="cores"):
        found.setdefault((group.optimizer, group.workload), []).append(group)
    if not found:
        return None
    header = [""]
    rows: dict[str, list[str]] = {}
    for (optimizer, workload), groups in found.items():
        one, *more = sorted(groups, key=lambda group: group.cores or 0)
        tree = f"{optimizer_title(optimizer)}, {workload_title(workload)}"
        header.append(f"{tree}: 1 core")
        for group in more:
            header += [f"{group.cores} cores", f"speedup with {group.cores}"]
        for name in one.samples:
            row = rows.setdefault(name, [name])
            row.append(_cell(one, name))
            for group in more:
                speedup = one.spread(name).median / group.spread(name).median
                row += [_cell(group, name), f"{speedup:.2f}"]
    remark = (
        "A process for each number of cores; they take turns. The speedup is the "
        "median time on one core over that on several."
    )
    title = "Time per step on one core and on several"
    return Table(title, header, [*rows.values()], [remark])


def target_table(results: Results) -> Table:
    """The targets, and whether they were reached."""
    rows = []
    for target in TARGETS:
        reached = target.reached(results)
        found = "not measured" if reached is None else ratio(reached)
        verdict = ""
        if reached is not None:
            verdict = "yes" if reached.median <= target.bar else "no"
        over = f"{target.title} (relative to {target.baseline})"
        rows.append([over, found, f"{target.bar:.2f}", verdict])
    header = ["figure", "ratio", "at most", "reached"]
    return Table("What it must reach: AdamW unless stated otherwise", header, rows)


def growth_table(results: Results) -> Table | None:
    """Exponents of growth; None if too little of it was measured."""
    found = [(panel, panel.curves(results)) for panel in panels()]
    rows = [
        [
            f"{panel.figure} against {panel.axis}",
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
