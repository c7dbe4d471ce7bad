"""What each optimizer costs: the time of a step and the state that it keeps.

Run it as ``python -m benchmarks.costs``; with ``--docs`` it writes `docs/costs.md`.

The tree is ResNet-50's, of 25.6 million parameters. Each optimizer runs in turn with
AdamW, so that a change of the machine's speed meets both.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from tqdm import tqdm

import optifunc as of
from optifunc.optimizers._factory import all_factories

from . import command
from .contenders import Program, Recipe
from .machine import describe, sentence
from .release import release
from .results import Group, Results
from .tables import Table, ratio
from .timing import Budget, interleaved, no_collection, timed_step
from .workloads import WORKLOADS, Workload

FACTORIES = all_factories()
BASELINE = "adamw"
WORKLOAD = WORKLOADS["resnet50"]
TIME, STATE = "time a step", "state a parameter"

# What is not measured, and why.
LEFT_OUT = {
    "shampoo": "the roots of its factors take minutes per step here",
    "sparse_adam": "its gradients are sparse",
}
# The default history of 100 steps would keep 202 numbers a parameter, and a step makes
# up to 20 iterations.
# The factors of whole kernels, of up to 4,608 rows, take two cores minutes a step.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "lbfgs": {"history_size": 10, "max_iter": 1},
    "soap": {"max_precond_dim": 512},
    "splus": {"max_dim": 512},
}

DOCS = Path(__file__).parents[1] / "docs"
PICTURE = "benchmarks_costs.png"


def takes_matrices_only(name: str) -> bool:
    """Whether the optimizer rejects vectors."""
    vector = {"bias": jax.ShapeDtypeStruct((8,), jnp.float32)}
    try:
        jax.eval_shape(FACTORIES[name]().init, vector)
    except ValueError:
        return True
    return False


def build(name: str) -> of.GradientTransformation:
    """The optimizer with its defaults; matrix optimizers leave vectors to AdamW."""
    factory: Callable[..., Any] = partial(FACTORIES[name], **ARGUMENTS.get(name, {}))
    if not takes_matrices_only(name):
        return factory()
    members = {"matrix": factory(output_axis=0), "other": of.adamw()}
    return of.partition(members, of.label_matrices())


def measured() -> list[str]:
    """The names of all optimizers that are measured."""
    return [name for name in FACTORIES if name not in LEFT_OUT]


def extra_arguments(params: Any, grads: Any) -> dict[str, Any]:
    """All extra arguments that an optimizer may need, for a nearly free loss."""

    def value_fn(params: Any) -> Any:
        return sum(0.5 * jnp.vdot(p, p) for p in jax.tree.leaves(params))

    return {
        "value": jnp.ones(()),
        "value_fn": value_fn,
        "grad_fn": lambda params, *_: params,
        "sampled_grad": grads,
    }


def measure(workload: Workload, name: str, budget: Budget) -> tuple[Group, Group]:
    """Times, taking turns with AdamW, and sizes of the state."""
    params, grads = workload.params(), workload.grads()
    contenders = {
        each: Program(
            Recipe(partial(build, each), of.apply_updates, extra=extra_arguments),
            params,
            grads,
        )
        for each in dict.fromkeys((BASELINE, name))
    }
    for contender in contenders.values():
        timed_step(contender)  # compiles
    turns = {each: partial(timed_step, c) for each, c in contenders.items()}
    with no_collection():
        samples = interleaved(turns, budget)
    sizes = {
        each: [c.state_bytes() / workload.parameters] for each, c in contenders.items()
    }
    return (
        Group(TIME, workload.name, name, "s", samples),
        Group(STATE, workload.name, name, "bytes", sizes),
    )


def times(results: Results) -> dict[str, Group]:
    """The measured times by optimizer, fastest first."""
    groups = {group.optimizer: group for group in results.find(figure=TIME)}
    return dict(sorted(groups.items(), key=lambda item: item[1].ratio(item[0]).median))


def sizes(results: Results) -> Mapping[str, float]:
    """Bytes of state per parameter, by optimizer."""
    groups = results.find(figure=STATE)
    return {group.optimizer: group.samples[group.optimizer][0] for group in groups}


def table(results: Results) -> Table:
    """One row per optimizer, fastest first."""
    state = sizes(results)
    rows = [
        [f"`of.{name}`", ratio(group.ratio(name)), f"{state[name]:.2f}"]
        for name, group in times(results).items()
    ]
    header = ["", "time per step relative to AdamW's", "bytes of state per parameter"]
    return Table("Every optimizer, fastest first", header, rows)


def draw(results: Results, path: Path) -> None:
    """Times and sizes side by side, one line per optimizer."""
    groups, state = times(results), sizes(results)
    names = [*groups]
    height = 1.6 + 0.2 * len(names)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, height), sharey=True, layout="constrained"
    )
    spreads = [group.ratio(name) for name, group in groups.items()]
    lines = range(len(names))
    left.errorbar(
        [s.median for s in spreads],
        lines,
        xerr=[
            [s.median - s.low for s in spreads],
            [s.high - s.median for s in spreads],
        ],
        fmt="o",
        color="#5e35b1",
        markersize=4,
        linewidth=0.8,
    )
    left.axvline(1, color="#7f7f7f", linewidth=1)
    left.set_xscale("log")
    left.xaxis.set_major_formatter("{x:g}")
    left.set_xlabel("time per step relative to AdamW's, with quartiles")
    right.barh(lines, [state[name] for name in names], color="#b39ddb", height=0.6)
    right.axvline(state.get(BASELINE, 8.0), color="#7f7f7f", linewidth=1)
    right.set_xlabel("bytes of state per parameter")
    *_, second, most = (0.0, *sorted(state.values()))
    if most > 2 * second > 0:  # it would hide the others: cut, with its size beside it
        right.set_xlim(0, 1.2 * second)
        longest = max(state, key=lambda name: state[name])
        right.annotate(
            f"{most:.0f} →",
            (1.19 * second, names.index(longest)),
            ha="right",
            va="center",
        )
    for axes in (left, right):
        axes.grid(axis="x", linewidth=0.3)
        axes.set_axisbelow(True)
    left.set_yticks(lines, names, fontsize=8)
    left.set_ylim(len(names) - 0.4, -0.6)
    figure.suptitle(f"{WORKLOAD.title}, float32; the lines are AdamW's")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def signature(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())


def page(results: Results) -> str:
    """The page of the documentation."""
    baseline = sorted(s for g in times(results).values() for s in g.samples[BASELINE])
    matrices = [f"`of.{name}`" for name in measured() if takes_matrices_only(name)]
    arguments = [
        f"`of.{name}` is measured with `{signature(given)}`."
        for name, given in ARGUMENTS.items()
    ]
    omitted = [f"`of.{name}` is left out: {why}." for name, why in LEFT_OUT.items()]
    return f"""\
# What each optimizer costs

The time of a step (`update` and `apply_updates`, compiled by XLA, with parameters and
state donated) and the size of the state, on the tree of ResNet-50: 161 float32 arrays
with {WORKLOAD.parameters / 1e6:.1f} million parameters. This page is generated with

```sh
pip install -e ".[bench]"
python -m benchmarks.costs --docs
```

{sentence(results.machine)} A step of AdamW took
{1e3 * baseline[len(baseline) // 2]:.0f} ms. Each optimizer has its default arguments
and takes turns with AdamW. The table shows the median of the ratios to AdamW's time,
round by round, and the quartiles. The machine was shared with other programs, so only
the ratios are meaningful.

- The time does not include computing the gradients. If an optimizer needs the loss, its
  function or a second gradient (`of.polyak_sgd`, `of.sophia`...), a sum of squares is
  used, which costs next to nothing: add the cost of your own loss.
- {", ".join(matrices[:-1])} and {matrices[-1]} take matrices and the kernels of
  convolutions; they leave vectors to `of.adamw`. Most of their time goes to matrix
  products, which are far faster on a GPU than on this machine.
- `of.soap`, `of.splus` and `of.kron` factorize only in some steps. The median of a few
  steps may show only the steps in between.
- {" ".join([*arguments, *omitted])}

![Time per step relative to AdamW's, and bytes of state per parameter](images/{PICTURE})

{table(results).markdown()}"""


def main() -> None:
    parser = command.parser("costs", __doc__, seconds=3.0)
    parser.add_argument(
        "--optimizers",
        nargs="+",
        choices=measured(),
        metavar="NAME",
        default=measured(),
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the measurements in the folder, on the same machine",
    )
    options = command.parse(parser)
    if options.docs and options.optimizers != measured():
        parser.error("--docs is about every optimizer: leave out --optimizers")
    path = options.output / "costs.json"
    is_begun = options.resume and path.exists()
    results = Results.load(path) if is_begun else Results(describe())
    left = [name for name in options.optimizers if name not in sizes(results)]
    for name in (progress := tqdm(left, unit="optimizer", disable=None)):
        progress.set_description(name)
        budget = Budget(options.seconds, at_least=3, at_most=100)
        results.add(measure(WORKLOAD, name, budget))
        results.save(path)
        release()
    picture = (DOCS / "images" if options.docs else options.output) / PICTURE
    draw(results, picture)
    if options.docs:
        (DOCS / "costs.md").write_text(page(results))
    print(table(results).text())


if __name__ == "__main__":
    main()
