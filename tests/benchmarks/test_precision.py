"""Steps of narrow parameters and small state, as they are measured and shown."""

import jax.numpy as jnp
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
        samples = {precision.BASELINE: [1.0, 2.0], **{n: [k, 2 * k] for n in KINDS}}
        results.add([Group(precision.TIME, "gpt2", name, "s", samples)])
        memory = {n: [3e6] for n in KINDS}
        results.add([Group(precision.MEMORY, "gpt2", name, "bytes", memory)])
    table = precision.table(results, WORKLOADS["gpt2"])
    assert [row[0] for row in table.rows] == [*precision.FORMS]
    assert all(len(row) == len(table.header) for row in table.rows)
    assert table.rows[4][1].startswith("4.00")
    assert table.rows[4][-1] == "3 MB"
    section = precision.section(results, WORKLOADS["gpt2"])
    assert section.startswith(precision.BEGIN)
    assert section.endswith(precision.END)


def test_the_page_shows_every_form():
    text = precision.PAGE.read_text()
    _, _, rest = text.partition(precision.BEGIN)
    shown, _, _ = rest.partition(precision.END)
    names = [line.split("|")[1].strip() for line in shown.splitlines() if "|" in line]
    assert names[2:] == [*precision.FORMS]


def test_forms_with_narrow_parameters_keep_them_narrow():
    for name, (dtype, tx) in precision.FORMS.items():
        is_narrow = "bfloat16" in name or type(tx).__name__ in (
            *("stochastic_rounding", "kahan", "split_weights", "master_weights"),
        )
        assert (dtype == jnp.bfloat16) is is_narrow, name
