"""The page of the documentation, written from results."""

from collections.abc import Sequence
from pathlib import Path

from .machine import sentence
from .report import (
    growth_table,
    ratio_tables,
    rules_table,
    scaling_table,
    target_table,
)
from .results import Results
from .targets import TARGETS

METHOD = """\
## How it is measured

This page is generated with

```sh
pip install -e ".[bench]"
python -m benchmarks --docs
```

All contenders of a table take turns in one process on one machine: each round measures
each of them once, in a new random order. So changes in the machine's speed affect all
of them alike. Before a step is timed, the same contender runs untimed for at least 20
ms, so that the contender before it has no effect (PyTorch's threads keep the cores busy
for a few milliseconds after a step). If memory cannot hold them all (GPT-2 small), they
run in parts, and each part includes the first row. The first row is a median time or
size; every other number is the median of the ratios to it, round by round, with
quartiles in parentheses. **Less is better**, and 1 is as good as the first row. Before
timing, all contenders take some steps with the same gradients, which differ from step
to step. They must end at the same parameters to within 1e-5, and to within a thousandth
of the distance that they moved (Muon in bfloat16: 1e-4; Muon in bfloat16 and Adafactor:
a hundredth).

- *optifunc* and *optax*: `update` and `apply_updates` in one jitted call, parameters
  and state donated. *Argument*: the transformation is an argument of the jitted
  function, so that its numbers can be changed; *params kept*: in addition, the
  parameters are not donated.
- *fused*: the same step compiled by [`of.fuse`](fused.md), on a CPU.
- *optifunc.optim*: the [stateful API](api/optim.md). It keeps the old parameters;
  *donated*: with `donate_params=True`, it overwrites them.
- *optifunc.flatten*: `of.flatten` with `max_size=4096`, which joins the small leaves
  into one vector. *optax.flatten* joins all leaves.
- *torch*: `torch.optim` with `foreach=False`; the others with `foreach=True` and with
  `fused=True`.

Optimizers other than AdamW are timed with fewer contenders. *Clip + AdamW* clips by
global norm first (torch: `clip_grad_norm_`). For Muon, whose step is almost entirely
matrix products, only *optax*, *optifunc* and *torch* are timed.

The trees: an *MLP* 784-512-512-10 (6 leaves); *GPT-2 small* (148 leaves, 124 million
parameters) and the 48 *matrices* inside its blocks; *ResNet-50* (161 leaves); 1,000
leaves of 32x32; 1,000 *mixed leaves* of 40 small shapes. Whole training steps are
measured for the MLP and for *LeNet-5* on images of 32x32x3, with batches of 128. The
whole fit is a logistic regression with 1,000 weights on 2,000 rows.
"""

TARGETS_INTRODUCTION = """\
# Targets

For developers: optifunc's targets relative to optax, and whether it has reached them.
[Benchmarks](benchmarks.md) has all figures and explains how they are measured.
"""

PICTURES = {
    "benchmarks_steps.png": "Time per step of AdamW relative to optax",
    "benchmarks_compilation.png": (
        "Time to trace, lower and compile AdamW relative to optax"
    ),
    "benchmarks_growth.png": "Growth of AdamW's figures with leaves and parameters",
}


# The opening of the page: a target's title, and a sentence with its ratio.
FIGURES = {
    "trace, 1,000 leaves": "Tracing AdamW for 1,000 arrays takes {} of optax's time.",
    "step, GPT-2 small": "A step of AdamW on GPT-2 small takes {} of optax's time.",
    "fused step, GPT-2 small": (
        "Fused, with the extra `fused` on a CPU, it takes {} of the time of PyTorch's "
        "fused step."
    ),
    "step, 1,000 leaves, with `of.flatten`": (
        "On 1,000 small arrays, joined by `of.flatten`, a step takes {} of optax's."
    ),
}


def opening(results: Results) -> str:
    """The decisive figures, one sentence each."""
    found = {target.title: target.reached(results) for target in TARGETS}
    sentences = [
        text.format(f"{spread.median:.2f}")
        for title, text in FIGURES.items()
        if (spread := found[title]) is not None
    ]
    return "\n".join(["# Benchmarks\n", *sentences, ""])


def heading(results: Results) -> str:
    """A heading with the kind of machine, and its description."""
    kind = "GPU" if results.machine["platform"] == "gpu" else "CPU"
    return f"## {kind}\n\n{sentence(results.machine)}\n"


def targets_page(runs: Sequence[Results]) -> str:
    """The developers' page: the targets, and whether they were reached."""
    parts = [TARGETS_INTRODUCTION]
    for results in runs:
        parts += [heading(results), target_table(results).markdown()]
    return "\n".join(parts)


def page(runs: Sequence[Results], pictures: Sequence[Path]) -> str:
    """The whole page: pictures of the first run, and tables of every run."""
    drawn = [f"![{PICTURES[path.name]}](images/{path.name})\n" for path in pictures]
    parts = [opening(runs[0]), *drawn[:1], METHOD]
    for i, results in enumerate(runs):
        parts.append(heading(results))
        if i == 0:
            parts += drawn[1:]
        tables = [
            *ratio_tables(results),
            rules_table(results),
            scaling_table(results),
            growth_table(results),
        ]
        parts.extend(table.markdown() for table in tables if table is not None)
    if all(results.machine["platform"] != "gpu" for results in runs):
        parts.append("## GPU\n\nNo GPU was measured.\n")
    return "\n".join(parts)
