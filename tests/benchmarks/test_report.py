"""Results are kept, and shown as they are."""

import pytest

from benchmarks.growth import growing_leaves
from benchmarks.page import FIGURES, page, targets_page
from benchmarks.pictures import draw
from benchmarks.report import (
    growth_table,
    quantity,
    ratio_tables,
    rules_table,
    scaling_table,
    target_table,
)
from benchmarks.results import Group, Results
from benchmarks.targets import TARGETS

MACHINE = {
    "platform": "cpu",
    "device": "Some Processor",
    "cores": 2,
    "memory": 2**34,
    "load before": 0.1,
    "bandwidth": 28e9,
    "peak bandwidth": None,
    "python": "3.11.7",
    "libraries": {"jax": "0.10.2", "torch": None},
}
GPU = {
    **MACHINE,
    "platform": "gpu",
    "device": "NVIDIA H200",
    "bandwidth": 4.2e12,
    "peak bandwidth": 4.8e12,
}


def groups():
    """Steps of AdamW: on the large leaves at the limit, and at twice that."""
    limit = 7 * 4 * 2 * 4096**2 / 28e9
    yield Group(
        "step",
        "two_large",
        "adamw",
        "s",
        {"optax": [2 * limit] * 4, "optifunc": [limit] * 4},
    )
    yield Group("step", "mlp", "adamw", "s", {"optax": [1.0], "optifunc": [0.95]})
    for workload in growing_leaves():
        samples = {name: [1e-3 * workload.leaves] for name in ("optax", "optifunc")}
        yield Group("trace", workload.name, "adamw", "s", samples)


@pytest.fixture
def results():
    return Results(dict(MACHINE), list(groups()))


def test_results_are_read_as_they_were_written(results, tmp_path):
    results.save(tmp_path / "results.json")
    read = Results.load(tmp_path / "results.json")
    assert read.machine == results.machine
    assert [(g.figure, g.workload, g.optimizer, g.unit) for g in read.groups] == [
        (g.figure, g.workload, g.optimizer, g.unit) for g in results.groups
    ]
    for group, expected in zip(read.groups, results.groups, strict=True):
        assert group.baseline == expected.baseline
        for name, samples in expected.samples.items():
            assert group.samples[name] == pytest.approx(samples, rel=1e-4)


def test_targets_are_judged(results):
    rows = {row[0]: row[1:] for row in target_table(results).rows}
    assert rows["step, two large leaves (relative to optax)"] == [
        "0.50 (0.50-0.50)",
        "0.90",
        "yes",
    ]
    assert rows["step, MLP (relative to optax)"] == ["0.95", "0.90", "no"]
    assert rows["step, GPT-2 small (relative to optax)"] == ["not measured", "0.90", ""]


def test_tables_show_ratios_and_multiples_of_the_limit(results):
    tables = {table.title: table for table in ratio_tables(results)}
    steps = tables["Time per step: AdamW"]
    assert steps.header == [
        "",
        "2 leaves of 4096x4096",
        "MLP",
    ]
    assert steps.rows[1] == ["optifunc", "0.50 (0.50-0.50)", "0.95"]
    limits = tables["A step as a multiple of the limit: AdamW"]
    assert [row[1] for row in limits.rows] == ["2.00 (14.0 GB/s)", "1.00 (28.0 GB/s)"]
    # Points of a curve are in no table but the one of exponents.
    assert tables["Time to trace: AdamW"].header[1:] == ["1,000 leaves of 32x32"]
    growth = growth_table(results)
    assert growth.rows == [["trace against leaves", "1.00", "1.00", ""]]


def test_scaling_is_the_time_on_one_core_over_that_on_several(results):
    assert scaling_table(results) is None
    for cores, times in ((2, (1.0, 0.5)), (1, (1.5, 1.0))):
        samples = {"optax": [times[0]], "optifunc, fused": [times[1]]}
        results.add([Group("cores", "gpt2", "adamw", "s", samples, cores=cores)])
    table = scaling_table(results)
    assert table.header == [
        "",
        "AdamW, GPT-2 small: 1 core",
        "2 cores",
        "speedup with 2",
    ]
    assert table.rows == [
        ["optax", "1.50 s", "1.00 s", "1.50"],
        ["optifunc, fused", "0.67", "0.50", "2.00"],
    ]
    assert table.markdown() in page([results], [])


def test_torchs_other_rules_are_compared_with_torch(results):
    assert rules_table(results) is None
    samples = {"optifunc": [3.0], "optifunc, fused": [1.0], "torch foreach": [4.0]}
    results.add([Group("step", "mlp", "radam", "s", samples)])
    assert rules_table(results).rows == [["RAdam", "0.25", "", "", ""]]
    assert not any("RAdam" in str(table.header) for table in ratio_tables(results))


def test_an_optimizer_on_several_trees_has_its_own_table(results):
    for tree in ("mlp", "gpt2", "two_large"):
        results.add([Group("step", tree, "momentum", "s", {"optax": [1.0]})])
    results.add([Group("step", "mlp", "sgd", "s", {"optax": [1.0]})])
    headers = {table.title: table.header[1:] for table in ratio_tables(results)}
    assert headers["Time per step: SGD with momentum"] == [
        "MLP",
        "GPT-2 small",
        "2 leaves of 4096x4096",
    ]
    assert headers["Time per step: SGD"] == ["MLP"]


def test_targets_have_titles_of_their_own():
    assert len({target.title for target in TARGETS}) == len(TARGETS)


def test_text_is_aligned_and_markdown_is_a_table(results):
    table = target_table(results)
    lines = table.text().splitlines()[1:]
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == len(table.rows) + 1
    markdown = table.markdown().splitlines()
    assert {line.count("|") for line in markdown if line.startswith("|")} == {5}


def test_the_page_says_what_was_measured(results, tmp_path):
    pictures = draw(results, tmp_path)
    assert {path.name for path in pictures} == {
        "benchmarks_steps.png",
        "benchmarks_growth.png",
    }
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    alone = page([results], pictures)
    assert "Some Processor on 2 cores" in alone
    assert "28.0 GB/s" in alone
    assert "No GPU was measured" in alone
    assert all(f"(images/{path.name})" in alone for path in pictures)
    # It opens with a picture; the explanation comes later.
    assert alone.index("images/") < alone.index("## How it is measured")
    assert "at most" not in alone
    both = page([results, Results(dict(GPU), list(groups()))], pictures)
    assert "No GPU" not in both
    assert "NVIDIA H200" in both
    assert "4200.0 GB/s (built for 4800 GB/s)" in both
    assert "28.0 GB/s, 1% of peak" in both


def test_the_page_opens_with_figures_that_are_targets(results):
    assert {*FIGURES} <= {target.title for target in TARGETS}
    targets = targets_page([results])
    assert all(target.title in targets for target in TARGETS)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.34, "s", "12.3 s"),
        (0.01234, "s", "12.3 ms"),
        (123.4e-6, "s", "123 us"),
        (1.5e9, "bytes", "1,500 MB"),
    ],
)
def test_quantities_have_three_digits(value, unit, text):
    assert quantity(value, unit) == text
