"""What was measured, and the ratios that follow from it."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .timing import Spread


@dataclass(frozen=True)
class Group:
    """One figure of several contenders, measured in turn.

    ``samples`` holds for each contender one number a round, so that numbers at one
    place belong together; a contender may have left early.
    """

    figure: str
    workload: str
    optimizer: str
    unit: str
    samples: dict[str, list[float]]
    remarks: list[str] = field(default_factory=list)
    # Bytes a second that the memory gave beside the measurement, if it was asked.
    bandwidth: float | None = None
    # How many cores the process was bound to, if it was.
    cores: int | None = None

    @property
    def baseline(self) -> str:
        return next(iter(self.samples))

    def spread(self, contender: str) -> Spread:
        return Spread.of(self.samples[contender])

    def ratio(self, contender: str, baseline: str | None = None) -> Spread:
        """How ``contender`` compares with the baseline, round by round."""
        others = self.samples[baseline or self.baseline]
        pairs = zip(self.samples[contender], others, strict=False)
        return Spread.of([a / b for a, b in pairs])


@dataclass
class Results:
    """Everything measured in one run on one machine."""

    machine: dict[str, Any]
    groups: list[Group] = field(default_factory=list)

    def find(self, **key: str) -> Iterator[Group]:
        """The groups whose figure, workload, optimizer are as given."""
        for group in self.groups:
            if all(getattr(group, name) == value for name, value in key.items()):
                yield group

    def ratio(self, contender: str, baseline: str, **key: str) -> Spread | None:
        """A ratio from the first group that has both contenders, None without one."""
        for group in self.find(**key):
            if {contender, baseline} <= group.samples.keys():
                return group.ratio(contender, baseline)
        return None

    def add(self, groups: Iterable[Group]) -> None:
        self.groups.extend(groups)

    def save(self, path: Path) -> None:
        """Write everything as JSON, a group a line, samples with five digits."""
        groups = []
        for group in self.groups:
            content = asdict(group)
            for name, samples in group.samples.items():
                content["samples"][name] = [float(f"{x:.5g}") for x in samples]
            groups.append(json.dumps(content))
        lines = ",\n".join(groups)
        machine = json.dumps(self.machine)
        path.write_text(f'{{"machine": {machine},\n"groups": [\n{lines}\n]}}\n')

    @classmethod
    def load(cls, path: Path) -> "Results":
        content = json.loads(path.read_text())
        return cls(content["machine"], [Group(**group) for group in content["groups"]])
