"""Tables, as text and as Markdown."""

from dataclasses import dataclass, field

from .timing import Spread


@dataclass(frozen=True)
class Table:
    """Cells under a header; the first column names the rows."""

    title: str
    header: list[str]
    rows: list[list[str]]
    remarks: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The table with aligned columns."""
        lines = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = (
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        )
        return "\n".join([self.title, *aligned, *self.remarks, ""])

    def markdown(self) -> str:
        alignment = ["---", *["---:"] * (len(self.header) - 1)]
        lines = [self.header, alignment, *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        remarks = "".join(f"\n{remark}\n" for remark in self.remarks)
        return f"### {self.title}\n\n{table}\n{remarks}"


def ratio(spread: Spread) -> str:
    """A ratio with its quartiles, where there are several rounds."""
    if spread.count == 1:
        return f"{spread.median:.2f}"
    return f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"
