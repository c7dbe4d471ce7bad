"""Steps of narrow parameters and small state, as they are measured and shown."""

import pytest

from benchmarks import precision
from benchmarks.contenders import can_fuse
from benchmarks.results import Group, Results
from benchmarks.timing import Budget
from benchmarks.workloads import WORKLOADS, Workload

from .test_report import MACHINE

SMALL = Workload("small", "Small", {"bias": (8,), "kernel": (64, 128)})
KINDS = [precision.XLA, precision.FUSED] if can_fuse() else [precision.XLA]


@pytest.mark.parametrize(
    "name", ["float32", "`of.kahan(tx)`", "`of.quantized(tx, bits=4)`"]
)
def test_a_form_is_measured_in_xla_and_fused(name):
    time, memory = precision.measure(SMALL, name, Budget(60, 2, 2))
    assert [*time.samples] == [precision.BASELINE, *KINDS]
    assert all(len(samples) == 2 for samples in time.samples.values())
    assert [*memory.samples] == KINDS
    if can_fuse():
        # Scalars of the step, and pointers.
        assert memory.samples[precision.FUSED][0] < 4096


def test_the_table_has_a_row_for_each_form():
    results = Results(dict(MACHINE))
    for k, name in enumerate(precision.FORMS):
        samples = {precision.BASELINE: [1.0, 2.0], precision.XLA: [k, 2 * k]}
        if can_fuse():
            samples[precision.FUSED] = [k / 2, k]
        results.add([Group(precision.TIME, "gpt2", name, "s", samples)])
        memory = {name: [1e6 * (3 - i)] for i, name in enumerate(KINDS)}
        results.add([Group(precision.MEMORY, "gpt2", name, "bytes", memory)])
    table = precision.table(results, WORKLOADS["gpt2"])
    assert [row[0] for row in table.rows] == [*precision.FORMS]
    assert all(len(row) == len(table.header) for row in table.rows)
    row = table.rows[4]
    assert row[1].startswith("4.00")
    assert "3 MB" in row
    if can_fuse():
        assert row[2].startswith("2.00")
        assert row[3:] == ["3 MB", "2 MB"]
    section = precision.section(results, WORKLOADS["gpt2"])
    assert section.startswith(precision.BEGIN)
    assert section.endswith(precision.END)


def test_the_page_shows_every_form():
    text = precision.PAGE.read_text()
    _, _, rest = text.partition(precision.BEGIN)
    shown, _, _ = rest.partition(precision.END)
    names = [line.split("|")[1].strip() for line in shown.splitlines() if "|" in line]
    assert names[2:] == [*precision.FORMS]
