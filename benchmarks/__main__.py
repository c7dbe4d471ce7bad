"""Measure, and print ratios: ``python -m benchmarks --help``."""

import argparse
from pathlib import Path

from .compilation import compilation
from .optimizers import OPTIMIZERS
from .report import table
from .results import Results
from .steps import Steps
from .timing import Budget
from .workloads import WORKLOADS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=["mlp", "leaves_1000"])
    parser.add_argument("--optimizers", nargs="+", default=["adamw"])
    parser.add_argument("--figures", nargs="+", default=["step", "compile"])
    parser.add_argument("--contenders", nargs="+")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    results = Results({})
    for workload in (WORKLOADS[name] for name in options.workloads):
        for optimizer in (OPTIMIZERS[name] for name in options.optimizers):
            budget = Budget(options.seconds, at_least=3)
            for figure in options.figures:
                if figure == "compile":
                    groups = compilation(
                        workload, optimizer, budget, options.contenders
                    )
                else:
                    steps = Steps(budget)
                    groups = steps(workload, optimizer, options.contenders, figure)
                for group in groups:
                    results.add([group])
                    print(table([group]), flush=True)
    if options.output:
        results.save(options.output)


main()
