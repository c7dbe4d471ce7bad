"""Measure optifunc beside optax and torch, and print ratios."""

import argparse
import math
import os
import re
import statistics
import sys
from pathlib import Path

# Torch needs memory on the same card.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
from tqdm import tqdm

from . import guard
from .contenders import makers
from .growth import growing_leaves, growing_parameters
from .machine import describe, sentence
from .networks import NETWORKS
from .optimizers import OPTIMIZERS
from .page import page, targets_page
from .pictures import draw
from .pytorch import torch
from .release import release
from .report import (
    growth_table,
    ratio_tables,
    rules_table,
    scaling_table,
    target_table,
)
from .results import Results
from .suite import FIGURES, Options, tasks
from .workloads import WORKLOADS

DOCS = Path(__file__).parents[1] / "docs"


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer above 0, found {text!r}")
    return int(text)


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, found {text!r}")
    return value


def existing(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"no such file: {text}")
    return path


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    growing = [w.name for w in [*growing_leaves(), *growing_parameters()]]
    workloads = dict.fromkeys([*WORKLOADS, *NETWORKS, "regression", *growing])
    contenders = dict.fromkeys(name for o in OPTIMIZERS.values() for name in makers(o))
    parser.add_argument(
        "--quick",
        action="store_true",
        help="under a minute; fails if a ratio is far above the recorded one",
    )
    parser.add_argument("--figures", nargs="+", choices=FIGURES)
    parser.add_argument(
        "--workloads", nargs="+", choices=[*workloads], metavar="WORKLOAD"
    )
    parser.add_argument("--optimizers", nargs="+", choices=[*OPTIMIZERS, "lbfgs"])
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=[*contenders],
        metavar="CONTENDER",
        help="as they are called in the tables",
    )
    parser.add_argument(
        "--seconds", type=positive, help="how long to measure each figure"
    )
    parser.add_argument(
        "--repeats", type=at_least_one, default=100, help="most rounds of each figure"
    )
    parser.add_argument(
        "--peak-bandwidth", type=positive, help="GB/s that a card is built for"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("build/benchmarks"), help="a folder"
    )
    parser.add_argument(
        "--record", action="store_true", help="record the ratios of the quick run"
    )
    parser.add_argument(
        "--docs", action="store_true", help="write the documentation's page; record"
    )
    parser.add_argument(
        "--results",
        type=existing,
        help="show these results of before; measure nothing",
    )
    parser.add_argument(
        "--also",
        type=existing,
        nargs="+",
        default=[],
        help="with --docs: results of other machines, which stay on the page",
    )
    options = parser.parse_args(arguments)
    modes = ("quick", "record", "docs", "results")
    chosen = [f"--{name}" for name in modes if getattr(options, name)]
    if len(chosen) > 1 and chosen != ["--docs", "--results"]:
        parser.error(f"{' and '.join(chosen)} do not go together")
    if options.also and not options.docs:
        parser.error("--also is about the page that --docs writes")
    selected = [
        f"--{name}"
        for name in ("figures", "workloads", "optimizers", "contenders")
        if getattr(options, name)
    ]
    if selected and chosen:
        parser.error(f"{chosen[0]} is about everything: leave out {selected[0]}")
    if not chosen and not tasks(choice(options)):
        parser.error(f"nothing is measured with this {' and '.join(selected)}")
    return options


def choice(options: argparse.Namespace) -> Options:
    return Options(
        options.figures,
        options.workloads,
        options.optimizers,
        options.contenders,
        options.seconds or 8.0,
        options.repeats,
    )


def prepare() -> None:
    """Make all contenders compute in the same precision, from nothing."""
    jax.config.update("jax_enable_compilation_cache", False)
    jax.config.update("jax_default_matmul_precision", "highest")
    if torch is not None:
        torch.backends.cudnn.allow_tf32 = False


def measure(options: Options, peak: float | None, output: Path) -> Results:
    """Run everything requested; the results so far are saved after each task."""
    results = Results(describe(peak))
    todo = tqdm(tasks(options), unit="task", disable=None)
    for task in todo:
        todo.set_description(str(task))
        results.add(task.run())
        results.save(output / "results.json")
        release()
    # That of the machine is the most that was measured beside a step.
    beside = (group.bandwidth or 0.0 for group in results.groups)
    results.machine["bandwidth"] = max([results.machine["bandwidth"], *beside])
    results.save(output / "results.json")
    return results


def others(paths: list[Path]) -> list[Results]:
    """Results of other machines: those on the page already, and those of ``paths``."""
    known = [*sorted(DOCS.glob("benchmarks_*.json")), *paths]
    by_device = {r.machine["device"]: r for r in map(Results.load, known)}
    for device, results in by_device.items():
        name = re.sub(r"\W+", "_", device.lower())
        results.save(DOCS / f"benchmarks_{name}.json")
    return [*by_device.values()]


def print_tables(results: Results) -> None:
    print(sentence(results.machine), "\n")
    for table in ratio_tables(results):
        print(table.text())
    for table_of in (rules_table, scaling_table, growth_table):
        found = table_of(results)
        if found is not None:
            print(found.text())
    print(target_table(results).text())


def quick(seconds: float, output: Path) -> int:
    """The guarded ratios beside the recorded ones; 1 if one is lost, otherwise 0."""
    results = Results(describe())
    recorded = guard.load()
    ratios: dict[str, float] = {}
    lost = []
    for check in tqdm(guard.checks(seconds), unit="check", disable=None):

        def measure_once(check: guard.Check = check) -> dict[str, float]:
            groups, found = check.measure()
            results.add(groups)
            ratios.update(found)
            return found

        lost += guard.guard(measure_once, recorded)
    results.save(output / "quick.json")
    print(guard.table(ratios, recorded).text())
    for message in lost:
        print(f"lost more than {guard.MOST_LOSS:.0%}: {message}")
    return 1 if lost else 0


def record(seconds: float) -> None:
    """Make the guarded ratios of this machine the recorded ones."""
    ratios: dict[str, float] = {}
    for check in tqdm(guard.checks(seconds), unit="check", disable=None):
        runs = [check.measure()[1] for _ in range(guard.ATTEMPTS)]
        ratios |= {name: statistics.median(r[name] for r in runs) for name in runs[0]}
    print(guard.table(ratios, guard.load()).text())
    guard.save(ratios)


def main() -> int:
    options = parse()
    prepare()
    options.output.mkdir(parents=True, exist_ok=True)
    quick_seconds = options.seconds or 2.0
    if options.quick:
        return quick(quick_seconds, options.output)
    if options.record:
        record(quick_seconds)
        return 0
    if options.results:
        results = Results.load(options.results)
    else:
        peak = options.peak_bandwidth and 1e9 * options.peak_bandwidth
        results = measure(choice(options), peak, options.output)
    pictures = draw(results, DOCS / "images" if options.docs else options.output)
    if options.docs:
        runs = [results, *others(options.also)]
        (DOCS / "benchmarks.md").write_text(page(runs, pictures))
        (DOCS / "benchmark_targets.md").write_text(targets_page(runs))
        results.save(DOCS / "benchmarks.json")
        if not options.results:
            record(quick_seconds)
    print_tables(results)
    print("wrote", *pictures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
