"""SparseAdam against NumPy in float64 and against torch; what it must not touch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.sparse import BCOO

import optifunc as of

pytestmark = pytest.mark.slow

SIZE, WIDTH, ENTRIES, STEPS = 7, 3, 4, 50
OPTIONS = [
    {},
    {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3, "maximize": True},
]
SCALES = [1.0, 1e-6]
TOLERANCES = {"float32": 1e-5, "float64": 1e-9}  # the project's, on numbers near 1


def problem(dtype, scale):
    """A table; for each step rows (some twice, some padding) and their gradients."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(SIZE, WIDTH)).astype(dtype)
    # Row 6 is never visited, row 5 is only from step 20 on.
    rows = rng.integers(0, 5, size=(STEPS, ENTRIES)).astype("int32")
    rows[20:, 0] = 5
    rows[3] = SIZE  # a step with nothing but padding
    rows[10:20, 1] = SIZE
    rows[11:15, 2] = -1
    grads = (scale * rng.normal(size=(STEPS, ENTRIES, WIDTH))).astype(dtype)
    grads[5:8, 0] = 0  # explicit zeros
    return table, rows, grads


@functools.cache
def run(index, dtype, scale):
    """The table after each step and the final state, for ``OPTIONS[index]``."""

    @jax.jit
    def compiled(tx, table, rows, grads):
        def step(carry, entries):
            table, state = carry
            rows, grads = entries
            grads = BCOO((grads, rows[:, None]), shape=table.shape)
            updates, state = tx.update(grads, state, table)
            assert isinstance(updates, BCOO)
            table = of.apply_updates(table, updates)
            return (table, state), table

        (_, state), path = jax.lax.scan(step, (table, tx.init(table)), (rows, grads))
        return path, state

    with jax.enable_x64(dtype == "float64"):
        path, states = compiled(
            of.sparse_adam(**OPTIONS[index]), *problem(dtype, scale)
        )
    return path, states[-2]


def in_range(rows):
    return (rows >= 0) & (rows < SIZE)


def reference(
    table, rows, grads, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False
):
    """Row by row, in float64."""
    table, grads = table.astype("float64"), grads.astype("float64")
    m, v = np.zeros_like(table), np.zeros_like(table)
    path = []
    for t in range(1, STEPS + 1):
        present = in_range(rows[t - 1])
        for row in np.unique(rows[t - 1][present]):
            g = grads[t - 1][rows[t - 1] == row].sum(axis=0) * (-1 if maximize else 1)
            m[row] = betas[0] * m[row] + (1 - betas[0]) * g
            v[row] = betas[1] * v[row] + (1 - betas[1]) * g**2
            size = lr * np.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t)
            table[row] -= size * m[row] / (np.sqrt(v[row]) + eps)
        path.append(table.copy())
    return np.stack(path), m, v


configurations = pytest.mark.parametrize(
    ("index", "dtype", "scale"),
    [(i, d, s) for i in range(len(OPTIONS)) for d in TOLERANCES for s in SCALES],
)


@configurations
def test_agrees_with_numpy(index, dtype, scale):
    path, state = run(index, dtype, scale)
    table, rows, grads = problem(dtype, scale)
    expected, m, v = reference(table, rows, grads, **OPTIONS[index])
    tolerance = TOLERANCES[dtype]
    assert path.dtype == state.exp_avg.dtype == state.exp_avg_sq.dtype == dtype
    np.testing.assert_allclose(path, expected, 0, tolerance)
    np.testing.assert_allclose(state.exp_avg, m, 0, tolerance * scale)
    np.testing.assert_allclose(state.exp_avg_sq, v, 0, tolerance * scale**2)
    assert state.step == STEPS


@configurations
def test_untouched_rows_keep_their_bits(index, dtype, scale):
    path, state = run(index, dtype, scale)
    table, rows, _ = problem(dtype, scale)
    before = np.concatenate([table[None], path[:-1]])
    for step in range(STEPS):
        others = np.setdiff1d(np.arange(SIZE), rows[step][in_range(rows[step])])
        assert others.size
        np.testing.assert_array_equal(path[step][others], before[step][others])
    np.testing.assert_array_equal(state.exp_avg[6], 0)
    np.testing.assert_array_equal(state.exp_avg_sq[6], 0)


@pytest.mark.torch
@configurations
def test_agrees_with_torch(index, dtype, scale):
    torch = pytest.importorskip("torch", reason="live parity needs torch")
    path, state = run(index, dtype, scale)
    table, rows, grads = problem(dtype, scale)
    tensor = torch.tensor(table, requires_grad=True)
    optimizer = torch.optim.SparseAdam([tensor], **OPTIONS[index])
    for step in range(STEPS):
        present = in_range(rows[step])
        tensor.grad = torch.sparse_coo_tensor(
            torch.tensor(rows[step][present])[None],
            torch.tensor(grads[step][present]),
            tensor.shape,
            check_invariants=True,
        )
        optimizer.step()
        np.testing.assert_allclose(
            path[step], tensor.detach().numpy(), 0, TOLERANCES[dtype]
        )
    for field, value in optimizer.state[tensor].items():
        np.testing.assert_allclose(
            getattr(state, field), value, 0, TOLERANCES[dtype], err_msg=field
        )


def rows_of(grads, rows, size=SIZE):
    indices = jnp.asarray(rows, jnp.int32)[:, None]
    return BCOO((grads, indices), shape=(size, grads.shape[1]))


def test_padding_is_not_an_entry():
    """Neither its data nor the row at the other end that it could wrap around to."""
    table = jnp.ones((SIZE, WIDTH))
    tx = of.sparse_adam()
    state = tx.init(table)
    data = jnp.asarray([[1.0] * 3, [jnp.nan] * 3, [jnp.inf] * 3])
    updates, padded = tx.update(rows_of(data, [2, SIZE, -1]), state, table)
    expected, plain = tx.update(rows_of(data[:1], [2]), state, table)
    np.testing.assert_array_equal(
        of.apply_updates(table, updates), of.apply_updates(table, expected)
    )
    for found, wanted in zip(padded[0][1:], plain[0][1:], strict=True):
        np.testing.assert_array_equal(found, wanted)
    # So that what comes after, such as a norm, does not count it either.
    np.testing.assert_allclose(of.global_norm(updates), of.global_norm(expected), 1e-6)


def test_no_entries_count_as_a_step():
    table = jnp.ones((SIZE, WIDTH))
    tx = of.sparse_adam()
    nothing = rows_of(jnp.zeros((0, WIDTH)), [])
    updates, state = jax.jit(tx.update)(nothing, tx.init(table), table)
    assert updates.data.shape == (0, WIDTH)
    np.testing.assert_array_equal(of.apply_updates(table, updates), table)
    assert state[0].step == 1
    np.testing.assert_array_equal(state[0].exp_avg, 0)


def test_entries_of_any_shape_in_a_tree():
    """Single elements (n_sparse=2) and matrices (n_dense=2): the same arithmetic."""
    values = jnp.asarray([1.0, -2.0, 3.0])
    at = jnp.asarray([[0, 1], [2, 2], [0, 0]], jnp.int32)
    tall = rows_of(values[:, None], at[:, 0] * 3 + at[:, 1], 9)
    grads = {
        "elements": BCOO((values, at), shape=(3, 3)),
        "blocks": BCOO((jnp.ones((2, 3, 2)), at[:2, :1]), shape=(4, 3, 2)),
        "rows": [tall, None],
    }
    params = {
        "elements": jnp.ones((3, 3)),
        "blocks": jnp.ones((4, 3, 2)),
        "rows": [jnp.ones((9, 1)), None],
    }
    tx = of.sparse_adam(0.1)
    state = tx.init(params)
    for _ in range(2):
        updates, state = jax.jit(tx.update)(grads, state, params)
        params = of.apply_updates(params, updates)
    np.testing.assert_array_equal(params["elements"].ravel(), params["rows"][0].ravel())
    assert jnp.sum(params["elements"] != 1) == 3
    # Adam's first steps have the size of the learning rate.
    np.testing.assert_allclose(params["blocks"][jnp.asarray([0, 2])], 0.8, 1e-5)
    np.testing.assert_array_equal(params["blocks"][jnp.asarray([1, 3])], 1)


def test_many_entries_of_one_row_are_summed_in_float32():
    """In bfloat16 a sum of ones would stop at 256."""
    table = jnp.zeros((2, 1), jnp.bfloat16)
    grads = rows_of(jnp.ones((1000, 1), jnp.bfloat16), np.zeros(1000), 2)
    tx = of.scale_by_sparse_adam()
    updates, state = tx.update(grads, tx.init(table))
    assert updates.dtype == state.exp_avg.dtype == jnp.bfloat16
    np.testing.assert_allclose(state.exp_avg[0].astype("float32"), 100, 2.0**-8)


def test_an_embedding_by_hand():
    """The example of the docstring, against the gradient of the whole table."""
    rng = np.random.default_rng(5)
    params = {"embedding": jnp.asarray(rng.normal(size=(6, 2)), jnp.float32)}
    tokens = jnp.asarray([4, 1, 4, 0], jnp.int32)

    def loss(rows):
        return jnp.sum(jnp.sin(rows) * jnp.arange(1.0, 5.0)[:, None])

    rows = params["embedding"][tokens]
    row_grads = jax.grad(loss)(rows)
    grads = {"embedding": BCOO((row_grads, tokens[:, None]), shape=(6, 2))}
    tx = of.sparse_adam()
    updates, _ = tx.update(grads, tx.init(params), params)
    found = of.apply_updates(params, updates)["embedding"]

    # In its first step Adam does not move what has no gradient either.
    whole = jax.grad(lambda p: loss(p["embedding"][tokens]))(params)
    adam = of.adam()
    updates, _ = adam.update(whole, adam.init(params), params)
    # Apart from where eps stands: 1e-8 against 1e-8 / sqrt(1 - 0.999).
    np.testing.assert_allclose(
        found, of.apply_updates(params, updates)["embedding"], 1e-5
    )


def test_schedules():
    table = jnp.zeros((SIZE, WIDTH))
    tx = of.sparse_adam(
        lr=lambda step: 0.1 * jnp.exp2(-step.astype("float32")), eps=1e-12
    )
    state = tx.init(table)
    for lr in (0.1, 0.05):
        updates, state = jax.jit(tx.update)(
            rows_of(jnp.ones((2, WIDTH)), [1, 3]), state, table
        )
        np.testing.assert_allclose(updates.data, -lr, 1e-5)


def test_sparse_and_dense_leaves_by_partition():
    params = {"embedding": jnp.ones((SIZE, WIDTH)), "bias": jnp.ones(WIDTH)}
    grads = {"embedding": rows_of(jnp.ones((1, WIDTH)), [2]), "bias": jnp.ones(WIDTH)}
    tx = of.partition(
        {"sparse": of.sparse_adam(0.1), "dense": of.adam(0.2)},
        {"embedding": "sparse", "bias": "dense"},
    )
    updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
    new = of.apply_updates(params, updates)
    expected = np.ones((SIZE, WIDTH))
    expected[2] = 0.9
    np.testing.assert_allclose(new["embedding"], expected, 1e-5)
    np.testing.assert_allclose(new["bias"], 0.8, 1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "lr must be above 0, found 0.0"),
        ({"eps": 0.0}, "eps must be above 0, found 0.0"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\] must be at least 0 and below 1"),
        ({"betas": 0.9}, "betas must be a pair"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        of.sparse_adam(**options)


def test_bad_trees():
    table = {"table": jnp.ones((SIZE, WIDTH))}
    tx = of.sparse_adam()
    state = tx.init(table)
    data, rows = jnp.ones((1, WIDTH)), jnp.zeros((1, 1), jnp.int32)
    with pytest.raises(TypeError, match="parameters, found complex64 at 'z'"):
        tx.init({"z": jnp.ones(3, jnp.complex64)})
    with pytest.raises(
        TypeError, match=r"dense one of shape \(7, 3\) at 'table'.*adam"
    ):
        tx.update(table, state, table)
    sparse = BCOO((data.astype("complex64"), rows), shape=(SIZE, WIDTH))
    with pytest.raises(TypeError, match="gradients, found complex64 at 'table'"):
        tx.update({"table": sparse}, state, table)
    with pytest.raises(ValueError, match=r"at 'table': \(8, 3\) and \(7, 3\)"):
        tx.update({"table": rows_of(data, [0], SIZE + 1)}, state, table)
    with pytest.raises(ValueError, match="no leaf at 'table'"):
        tx.update({"other": rows_of(data, [0])}, state, table)
    for n_batch, n_dense in [(1, 0), (0, 2)]:
        sparse = BCOO.fromdense(table["table"], n_batch=n_batch, n_dense=n_dense)
        with pytest.raises(ValueError, match=f"n_batch=0.*n_batch={n_batch}"):
            tx.update({"table": sparse}, state, table)
