"""The command ``python -m optifunc.migrate``."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._program import Finding

DESCRIPTION = """\
Read programs that use optax or torch.optim, and print for each use what to write with
optifunc and what differs. Nothing is changed without --write.
"""
EPILOG = """\
Lines marked = give the same numbers up to rounding. Names marked ~ have the same
purpose by another rule or with another interface, and stay optax's until you decide.
"""
WIDTH = 88


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m optifunc.migrate",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    writing = parser.add_mutually_exclusive_group()
    writing.add_argument(
        "--write",
        dest="rewrite",
        action="store_const",
        const="names",
        help="change the files: write optifunc's names where the numbers are the same, "
        "and import all other names of optax from optifunc.compat.optax",
    )
    writing.add_argument(
        "--write-import",
        dest="rewrite",
        action="store_const",
        const="import",
        help="change only the imports of optax in the files",
    )
    options = parser.parse_args(arguments)
    for path in options.files:
        if not path.is_file():
            parser.error(f"FILE must be a Python program, found {str(path)!r}")
    try:
        import libcst
    except ImportError:
        parser.error("libcst is missing: pip install 'optifunc[migrate]'")
    status = 0
    for path in options.files:
        try:
            _run(path, options.rewrite)
        except (libcst.ParserSyntaxError, UnicodeDecodeError) as error:
            print(f"{path}: not a Python program: {error}", file=sys.stderr)
            status = 1
    return status


def _run(path: Path, rewrite: str | None) -> None:
    from ._program import findings
    from ._rewriting import imports_changed, rewritten

    source = path.read_text(encoding="utf-8")
    found = list(findings(source))
    print("\n".join(_report(path, found)))
    if rewrite is None:
        return
    changed = rewritten(source) if rewrite == "names" else imports_changed(source)
    if changed == source:
        print(f"{path}: nothing to write.")
    else:
        path.write_text(changed, encoding="utf-8")
        print(f"{path}: written.")


def _report(path: Path, findings: Sequence[Finding]) -> Iterator[str]:
    yield f"{path}"
    for finding in findings:
        yield f"{finding.line:>5}  {_indented(finding.before)}"
        if finding.after != finding.before:
            sign = "~" if finding.remarks else "="
            yield f"    {sign}  {_indented(finding.after)}"
        for remark in finding.remarks:
            yield textwrap.fill(
                remark, WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 11
            )
    same = sum(f.after != f.before and not f.remarks for f in findings)
    count = len(findings)
    yield f"{count} uses, {same} with the same numbers under optifunc's own names."
    if any("optax." in f.before for f in findings):
        yield "To keep optax's names: import optifunc.compat.optax as optax"


def _indented(code: str) -> str:
    return code.replace("\n", "\n       ")


if __name__ == "__main__":
    sys.exit(main())
