"""What each optimizer costs: all are measured, and shown as they were measured."""

import inspect

import jax
import jax.numpy as jnp
import pytest

from benchmarks import costs
from benchmarks.results import Group, Results
from benchmarks.timing import Budget
from benchmarks.workloads import Workload

from ..members import FACTORIES
from .test_report import MACHINE

SMALL = Workload("small", "Small", {"bias": (8,), "kernel": (8, 4, 3, 3)})


def test_every_optimizer_is_measured_or_left_out_with_a_reason():
    assert {*costs.measured(), *costs.LEFT_OUT} == FACTORIES.keys()
    assert all(costs.LEFT_OUT.values())


def test_the_arguments_exist():
    for name, arguments in costs.ARGUMENTS.items():
        assert arguments.keys() <= inspect.signature(FACTORIES[name]).parameters.keys()


def test_every_optimizer_can_take_a_step():
    params = {k: jax.ShapeDtypeStruct(s, jnp.float32) for k, s in SMALL.shapes.items()}

    def step(tx, params):
        extra = costs.extra_arguments(params, params)
        return tx.update(params, tx.init(params), params, **extra)[0]

    for name in costs.measured():
        updates = jax.eval_shape(step, costs.build(name), params)
        assert jax.tree.map(jnp.shape, updates) == SMALL.shapes, name


# By the rule: two moments; none; one; AdamW's two for the vector, one for the kernel.
@pytest.mark.parametrize(
    ("name", "numbers"),
    [("adamw", 2), ("sgd", 0), ("lion", 1), ("muon", (2 * 8 + 8 * 36) / (8 + 8 * 36))],
)
def test_sizes_are_those_of_the_rule(name, numbers):
    time, state = costs.measure(SMALL, name, Budget(60, 2, 2))
    assert all(len(samples) == 2 for samples in time.samples.values())
    counters = 8 / SMALL.parameters  # two steps of four bytes at most
    assert 4 * numbers <= state.samples[name][0] <= 4 * numbers + counters


def test_the_table_and_the_picture_begin_with_the_quickest(tmp_path):
    results = Results({})
    for name, ratio, size in (("soap", 30.0, 16.0), ("sgd", 0.25, 0.0)):
        samples = {"adamw": [2.0, 3.0], name: [2.0 * ratio, 3.0 * ratio]}
        results.add([Group(costs.TIME, "resnet50", name, "s", samples)])
        sizes = {"adamw": [8.0], name: [size]}
        results.add([Group(costs.STATE, "resnet50", name, "bytes", sizes)])
    rows = costs.table(results).rows
    assert [row[0] for row in rows] == ["`of.sgd`", "`of.soap`"]
    assert [row[2] for row in rows] == ["0.00", "16.00"]
    assert rows[0][1].startswith("0.25")
    assert rows[1][1].startswith("30.00")
    costs.draw(results, tmp_path / "costs.png")
    assert (tmp_path / "costs.png").stat().st_size > 0


def test_the_page_shows_every_optimizer_that_was_measured():
    results = Results(dict(MACHINE))
    for name in costs.measured():
        samples = {"adamw": [2.0, 3.0], name: [4.0, 6.0]}
        results.add([Group(costs.TIME, "resnet50", name, "s", samples)])
        sizes = {"adamw": [8.0], name: [16.0]}
        results.add([Group(costs.STATE, "resnet50", name, "bytes", sizes)])
    lines = costs.page(results).splitlines()
    shown = [line.split("`")[1] for line in lines if line.startswith("| `of.")]
    assert sorted(shown) == sorted(f"of.{name}" for name in costs.measured())


def test_the_page_has_a_line_for_each_optimizer():
    text = (costs.DOCS / "costs.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `of.")]
    assert {row[1].strip(" `").removeprefix("of.") for row in rows} == {
        *costs.measured()
    }
    assert (costs.DOCS / "images" / costs.PICTURE).exists()
