"""`of.describe`: what a transformation does to each parameter."""

import jax
import jax.numpy as jnp
import optax
import pytest

import optifunc as of

PARAMS = {
    "decoder": {"kernel": jnp.ones((3, 2), jnp.bfloat16), "bias": jnp.ones(2)},
    "encoder": {"kernel": jnp.ones((4, 3))},
}
SCHEDULE = of.schedules.cosine_annealing(1e-3, 100)


def is_kernel(path, leaf):
    return path.endswith("kernel")


def of_path(path, leaf):
    return "freeze" if path.startswith("encoder") else "train"


def by_name(tx, params=PARAMS):
    return {row.name: row for row in of.describe(tx, params).rows}


def test_the_parameters_themselves():
    rows = by_name(of.adam())
    assert [*rows] == ["decoder.bias", "decoder.kernel", "encoder.kernel"]
    assert rows["decoder.kernel"].shape == (3, 2)
    assert rows["decoder.kernel"].dtype == jnp.bfloat16


def test_decay_learning_rate_labels_and_frozen_parameters():
    tx = of.partition(
        {
            "train": of.chain(of.clip(1.0), of.adamw(SCHEDULE, mask=is_kernel)),
            "freeze": of.set_to_zero(),
        },
        of_path,
    )
    rows = by_name(tx)
    assert {name: row.decayed for name, row in rows.items()} == {
        "decoder.bias": False,
        "decoder.kernel": True,
        "encoder.kernel": False,
    }
    assert {name: row.frozen for name, row in rows.items()} == {
        "decoder.bias": False,
        "decoder.kernel": False,
        "encoder.kernel": True,
    }
    assert [row.label for row in rows.values()] == ["train", "train", "freeze"]
    assert [row.lr for row in rows.values()] == [SCHEDULE, SCHEDULE, None]


def test_labels_in_labels():
    inner = of.partition(
        {"a": of.sgd(0.1), "b": of.sgd(0.2)},
        lambda tree: {
            "decoder": {"kernel": "a", "bias": "b"},
            "encoder": {"kernel": "a"},
        },
    )
    tx = of.partition({"train": inner, "freeze": of.set_to_zero()}, of_path)
    rows = by_name(tx)
    assert [r.label for r in rows.values()] == ["train/b", "train/a", "freeze"]
    assert [r.lr for r in rows.values()] == [0.2, 0.1, None]


# Numbers of the kernels and the bias: 6 of 2 bytes, 12 and 2 of 4 bytes.
@pytest.mark.parametrize(
    ("tx", "bytes_of", "shared"),
    [
        (of.sgd(0.1), (0, 0, 0), 0),
        (of.sgd(0.1, 0.9), (8, 12, 48), 4),
        (of.adam(), (16, 24, 96), 4),
        (of.adam(amsgrad=True), (24, 36, 144), 4),
        (of.adam(SCHEDULE), (16, 24, 96), 8),
        (of.flatten(of.adam()), (16, 24, 96), 4),
        # A variance of the bias; of a kernel one for each row and for each column.
        (of.adafactor(), (8, 2 * 5, 4 * 7), 4),
        (optax.adam(0.1), (16, 24, 96), 4),
    ],
)
@pytest.mark.parametrize("abstract", [False, True])
def test_bytes_of_state(tx, bytes_of, shared, abstract):
    params = jax.eval_shape(lambda: PARAMS) if abstract else PARAMS
    description = of.describe(tx, params)
    assert tuple(row.state_bytes for row in description.rows) == bytes_of
    assert description.shared_bytes == shared
    state = of.wrappers.as_transformation(tx).init(PARAMS)
    assert description.state_bytes == sum(x.nbytes for x in jax.tree.leaves(state))


def test_one_array_and_a_label_of_nothing():
    tx = of.partition({"a": of.adam(0.1), "b": of.sgd(0.2)}, lambda path, leaf: "a")
    (row,) = of.describe(tx, jnp.ones(3)).rows
    assert (row.name, row.label, row.lr, row.state_bytes) == ("", "a", 0.1, 24)


def test_text_and_html():
    description = of.describe(of.adamw(0.1), {"a<b": jnp.ones((1000, 2)), "c": 1.0})
    head, _, *rows, total = str(description).splitlines()
    assert head.split() == [
        *("parameter", "shape", "dtype", "label", "lr", "decayed", "frozen", "bytes")
    ]
    assert rows[0].split()[:5] == ["a<b", "1000x2", "float32", "-", "0.1"]
    assert rows[0].endswith("16,000")
    assert "scalar" in rows[1]
    assert total.startswith("2 parameters with 2,001 numbers; 16,012 bytes of state")
    table = description._repr_html_()
    assert table.count("<tr>") == 3
    assert "<td>a&lt;b</td>" in table
    assert "a<b" not in table


def test_a_schedule_is_named_in_its_rows_and_written_out_once():
    other = of.schedules.cosine_annealing(2e-3, 100)
    tx = of.partition(
        {"a": of.adamw(SCHEDULE), "b": of.sgd(other)},
        {"decoder": {"kernel": "a", "bias": "a"}, "encoder": {"kernel": "b"}},
    )
    text = str(of.describe(tx, PARAMS))
    _, _, *rows, _total, first, second = text.splitlines()
    assert [row.count("cosine_annealing #1 ") for row in rows] == [1, 1, 0]
    assert [row.count("cosine_annealing #2 ") for row in rows] == [0, 0, 1]
    assert first == f"cosine_annealing #1 = {SCHEDULE!r}"
    assert second == f"cosine_annealing #2 = {other!r}"
    assert max(map(len, rows)) < 100
    html = of.describe(tx, PARAMS)._repr_html_()
    assert html.count("0.002") == 1


def test_numbers_that_are_arrays_print_as_numbers():
    tx = jax.tree.map(jnp.asarray, of.adamw(SCHEDULE))
    plain, arrays = (str(of.describe(x, PARAMS)) for x in (of.adamw(SCHEDULE), tx))
    assert arrays == plain
    assert " 0.001 " in str(of.describe(of.sgd(jnp.float32(1e-3)), PARAMS))
    rows = str(of.describe(of.sgd(lambda step: jnp.where(step < 5, 0.1, 0.01)), PARAMS))
    assert " <lambda> " in rows
