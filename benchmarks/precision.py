"""Narrow parameters and small state: the time and the memory of a step.

Run it as ``python -m benchmarks.precision``; with ``--docs`` it writes the table of
`docs/precision.md`.

Each form of AdamW takes a step in XLA and a fused one, in turn with float32's step in
XLA. The memory is what the compiler plans besides arguments and results.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from tqdm import tqdm

import optifunc as of

from . import command
from .contenders import Contender, Program, Recipe, can_fuse
from .machine import describe, sentence
from .release import release
from .results import Group, Results
from .tables import Table, ratio
from .timing import Budget, interleaved, no_collection, step_time
from .workloads import WORKLOADS, Workload

TIME, MEMORY = "time a step", "temporary memory"
BASELINE, XLA, FUSED = "float32 in XLA", "XLA", "fused"
ADAMW = of.adamw(1e-3)
SMALL, SMALLEST = of.quantized(ADAMW), of.quantized(ADAMW, bits=4)

# The dtype of parameters and the optimizer, by how the page calls it.
FORMS: dict[str, tuple[Any, of.GradientTransformation]] = {
    "float32": (jnp.float32, ADAMW),
    "bfloat16": (jnp.bfloat16, ADAMW),
    "`of.stochastic_rounding(tx)`": (jnp.bfloat16, of.stochastic_rounding(ADAMW)),
    "`of.kahan(tx)`": (jnp.bfloat16, of.kahan(ADAMW)),
    "`of.split_weights(tx)`": (jnp.bfloat16, of.split_weights(ADAMW)),
    "`of.master_weights(tx)`": (jnp.bfloat16, of.master_weights(ADAMW)),
    "`of.quantized(tx)`": (jnp.float32, SMALL),
    "`of.quantized(tx, bits=4)`": (jnp.float32, SMALLEST),
    '`of.quantized(tx, bits="fp8")`': (
        jnp.float32,
        of.quantized(ADAMW, bits="fp8"),
    ),
    "`of.split_weights(of.quantized(tx))`": (jnp.bfloat16, of.split_weights(SMALL)),
    "`of.master_weights(of.quantized(tx))`": (jnp.bfloat16, of.master_weights(SMALL)),
}

PAGE = Path(__file__).parents[1] / "docs" / "precision.md"
BEGIN, END = "<!-- steps -->", "<!-- end of steps -->"


def recipes(tx: of.GradientTransformation) -> dict[str, Recipe]:
    """A step in XLA, and one in kernels where there are any."""
    in_xla = Recipe(lambda: tx, of.apply_updates)
    fused = {FUSED: replace(in_xla, fused=True)} if can_fuse() else {}
    return {XLA: in_xla, **fused}


def temporary_memory(recipe: Recipe, params: Any) -> float:
    """Bytes that a step holds besides arguments and results."""
    shapes = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), params)
    state = jax.eval_shape(recipe.make().init, shapes)
    compiled = recipe.jitted().lower(shapes, state, shapes).compile()
    return float(compiled.memory_analysis().temp_size_in_bytes)


def measure(workload: Workload, name: str, budget: Budget) -> Iterator[Group]:
    """The time of a form's steps, and the memory that they hold."""
    dtype, tx = FORMS[name]
    params, grads = workload.params(), workload.grads()
    baseline = Recipe(lambda: ADAMW, of.apply_updates)
    contenders: dict[str, Contender] = {BASELINE: Program(baseline, params, grads)}
    narrow = [{k: x.astype(dtype) for k, x in tree.items()} for tree in (params, grads)]
    del params, grads
    memory = {}
    for each, recipe in recipes(tx).items():
        memory[each] = [temporary_memory(recipe, narrow[0])]
        contenders[each] = Program(recipe, *narrow)
    turns = {each: partial(step_time, c) for each, c in contenders.items()}
    with no_collection():
        samples = interleaved(turns, budget)
    yield Group(TIME, workload.name, name, "s", samples)
    yield Group(MEMORY, workload.name, name, "bytes", memory)


def table(results: Results, workload: Workload) -> Table:
    """One row for each form, in the order of the page."""
    memory = {group.optimizer: group.samples for group in results.find(figure=MEMORY)}
    rows = []
    for group in results.find(figure=TIME):
        held = memory[group.optimizer]
        found = [name for name in (XLA, FUSED) if name in held]
        times = [ratio(group.ratio(name)) for name in found]
        sizes = [f"{held[name][0] / 1e6:,.0f} MB" for name in found]
        rows.append([group.optimizer, *times, *sizes])
    header = ["", "time in XLA", "time, fused", "memory in XLA", "memory, fused"]
    if not can_fuse():
        header = ["", "time in XLA", "memory in XLA"]
    title = f"Steps of AdamW on {workload.title}"
    return Table(title, header, rows)


def section(results: Results, workload: Workload) -> str:
    """What the page shows."""
    _, *lines = table(results, workload).markdown().splitlines()
    return "\n".join([BEGIN, "", sentence(results.machine), *lines, "", END])


def main() -> None:
    parser = command.parser("precision", __doc__, seconds=10.0)
    parser.add_argument("--workload", choices=WORKLOADS, default="gpt2")
    options = command.parse(parser)
    workload, results = WORKLOADS[options.workload], Results(describe())
    for name in (progress := tqdm(FORMS, unit="form", disable=None)):
        progress.set_description(name)
        budget = Budget(options.seconds, at_least=3, at_most=100)
        results.add(measure(workload, name, budget))
        results.save(options.output / "precision.json")
        release()
    if options.docs:
        before, rest = PAGE.read_text().split(BEGIN)
        _, after = rest.split(END)
        PAGE.write_text(before + section(results, workload) + after)
    print(table(results, workload).text())


if __name__ == "__main__":
    main()
