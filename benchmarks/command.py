"""The options that commands of one table share."""

import argparse
import math
from pathlib import Path

import jax


def parser(
    name: str, description: str | None, seconds: float
) -> argparse.ArgumentParser:
    """A parser of ``python -m benchmarks.NAME``.

    **Arguments:**

    - ``description``: a docstring, of which the first line is shown.
    - ``seconds``: how long to measure each row, if the user does not say.
    """
    found = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=(description or "").splitlines()[0],
    )
    found.add_argument(
        "--seconds", type=float, default=seconds, help="how long to measure each row"
    )
    found.add_argument(
        "--docs", action="store_true", help="write what the documentation shows"
    )
    found.add_argument(
        "--output", type=Path, default=Path("build/benchmarks"), help="a folder"
    )
    return found


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options; makes the folder, and has JAX compile everything again."""
    options = parser.parse_args()
    if not 0 < options.seconds < math.inf:
        parser.error(f"--seconds must be above 0, found {options.seconds}")
    jax.config.update("jax_enable_compilation_cache", False)
    options.output.mkdir(parents=True, exist_ok=True)
    return options
