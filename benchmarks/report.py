"""Tables of ratios."""

from collections.abc import Iterable

from .results import Group


def table(groups: Iterable[Group]) -> str:
    lines = []
    for group in groups:
        lines.append(f"{group.figure}, {group.workload}, {group.optimizer}")
        for name in group.samples:
            time, ratio = group.spread(name), group.ratio(name)
            lines.append(
                f"  {name:<20} {1e3 * time.median:>10.3f} ms"
                f" {ratio.median:>6.2f} ({ratio.low:.2f} .. {ratio.high:.2f})"
                f" {ratio.count:>4} rounds"
            )
    return "\n".join(lines)
