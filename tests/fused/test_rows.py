"""Rows in kernels: maxima, numbers for each row, tables, and pairs of neighbors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import optifunc as of

from .programs import assert_same, fused_and_plain
from .test_operations import FLOATS, INTEGERS, special_values

ROW = 32


def spread(x, array):
    return jnp.broadcast_to(x[..., None], array.shape)


def rows_of(x):
    """A vector in rows, with zeros at the end of the last one."""
    return jnp.pad(x, (0, -len(x) % ROW)).reshape(-1, ROW)


def check(function, *args, calls=1):
    found, expected, count = fused_and_plain(function, *args)
    assert count == calls
    jax.tree.map(assert_same, found, expected)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_of_rows(name, dtype, x64):
    """Of every special value beside every other."""
    values = special_values(dtype)
    rows = np.stack(
        [
            np.resize(pair, ROW)
            for pair in np.stack(
                [x.ravel() for x in np.meshgrid(values, values)], axis=1
            )
        ]
    )

    @jax.jit
    @of.fuse
    def function(x):
        extreme = getattr(jnp, name)(x, axis=-1)
        return extreme, x == spread(extreme, x)

    assert function.lower(rows).as_text().count("custom_call @optifunc_") == 1
    found, is_extreme = function(rows)
    assert found.dtype == dtype
    # NumPy's, since XLA overlooks NaN in some programs; all these numbers are float64.
    wide = rows.astype(np.float64) if dtype in FLOATS else rows
    expected = getattr(np, name)(wide, axis=-1)
    np.testing.assert_array_equal(np.asarray(found).astype(wide.dtype), expected)
    np.testing.assert_array_equal(is_extreme, wide == expected[:, None])


@pytest.mark.parametrize("length", [16, 17, 48, 100, 256, 4096])
@pytest.mark.parametrize("count", [2, 3, 700])
def test_rows_of_every_length(length, count):
    """Each in one block, whatever their length and number."""
    x = jnp.asarray(np.random.default_rng(0).integers(-9, 9, (count, length)), "f4")

    def function(x, scale):
        top = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
        return top, x * 2 - top, (x - top) * scale[:, None]

    check(function, x, jnp.arange(count, dtype=jnp.float32))


def test_phases_that_follow_each_other():
    """Maxima of what was computed with maxima, and values that skip a phase."""
    generator = np.random.default_rng(1)
    x, y = (jnp.asarray(generator.integers(-9, 9, (5, 2, ROW)), "f4") for _ in "xy")

    def function(x, y, flag):
        is_large = x > 3
        first = jnp.max(x, axis=-1, keepdims=True)
        second = jnp.min(x * first + y, axis=-1, keepdims=True)
        third = jnp.max(jnp.where(is_large, x - second, y), axis=-1, keepdims=True)
        return first + third, jnp.where(flag, third * y, x), is_large & (y < third)

    for flag in (True, False):
        check(function, x, y, jnp.asarray(flag))


def test_longer_rows_and_sums_stay_with_xla():
    """And what XLA computes for each row is not fetched from memory."""
    x = jnp.asarray(np.random.default_rng(1).integers(-9, 9, (4, 5000)), "f4")

    def long(x):
        return x - jnp.max(x, axis=-1, keepdims=True)

    def mean(x):
        return x - jnp.mean(x, axis=-1, keepdims=True)

    def extremes_alone(x):
        return jnp.max(jnp.abs(x), axis=-1)

    check(long, x, calls=0)
    check(mean, x[:, :64], calls=0)
    check(extremes_alone, x[:, :64], calls=0)


@pytest.mark.parametrize("size", [ROW + 1, 2 * ROW - 1, 1000, 50_021])
def test_a_shorter_last_row(size):
    x = jnp.asarray(np.random.default_rng(2).integers(-99, 99, size), "f4")

    def encoded(x):
        rows = rows_of(x)
        top = jnp.max(jnp.abs(rows), axis=-1)
        codes = (rows - spread(top, rows)).reshape(-1)[: len(x)]
        return codes.astype(jnp.int16), top

    def decoded(codes, top):
        rows = rows_of(codes).astype(jnp.float32)
        return (rows + spread(top, rows)).reshape(-1)[: len(codes)]

    def shown(top):
        """Nothing is padded, but the last row is cut."""
        rows = -spread(top, rows_of(x))
        return (rows * 2).reshape(-1)[:size]

    check(encoded, x)
    codes, top = encoded(x)
    check(decoded, codes, top)
    check(shown, top)
    check(lambda x, top: (shown(top) + x, x * 2), x, top)


def test_padding_with_other_numbers_counts():
    x = -jnp.arange(1.0, ROW + 8)

    def function(x, filling):
        rows = jnp.pad(x, (0, -len(x) % ROW), constant_values=filling).reshape(-1, ROW)
        top = jnp.max(rows * 2, axis=-1)
        return (rows - spread(top, rows)).reshape(-1)[: len(x)], top

    for filling in (-99.0, 5.0, np.nan):
        check(function, x, jnp.float32(filling))


@pytest.mark.parametrize("dtype", [*INTEGERS])
@pytest.mark.parametrize("mode", ["clip", "promise_in_bounds"])
def test_lookups(mode, dtype, x64):
    limits = jnp.iinfo(dtype)
    table = np.linspace(-1, 1, 100, dtype=np.float32)
    wanted = [0, 1, 50, 98, 99]
    if mode == "clip":
        wanted += [limits.min, limits.max, min(limits.max, 100), max(limits.min, -1)]
    places = jnp.asarray(np.array(2 * wanted, dtype))

    def function(places):
        found = jnp.asarray(table).at[places].get(mode=mode)
        integers = jnp.arange(100).astype(dtype).at[places].get(mode=mode)
        return found * 2, places + 1, integers

    def constant(places):
        numbers = np.arange(100).astype(dtype)
        return jnp.asarray(numbers).at[places].get(mode=mode) + 1

    found, expected, _ = fused_and_plain(function, places)
    jax.tree.map(assert_same, found, expected)
    check(constant, places)


@pytest.mark.parametrize("length", [100, 128, 129, 200, 255, 256, 257])
def test_places_in_tables_of_any_length(length):
    """Of which an index of 8 bits may not reach the end, or reach beyond it."""
    table = np.arange(length, dtype=np.float32)
    for dtype in (np.int8, np.uint8, np.int16):
        limits = np.iinfo(dtype)
        edges = [limits.min, limits.max, 0, 1, 99, 127, length - 1]
        places = np.array([x for x in edges if x <= limits.max], dtype)
        check(lambda p: jnp.take(jnp.asarray(table), p, mode="clip") * 2, places)


def test_lookups_elsewhere_stay_with_xla():
    """In a table that is computed, that is long, or whose edges are other numbers."""
    places, x = jnp.arange(40), jnp.ones(40)
    check(lambda p, t: t[p] + 1, places, jnp.arange(50.0), calls=1)
    check(lambda p: jnp.asarray(np.arange(5000.0, dtype="f4"))[p], places, calls=0)
    table = np.arange(20, dtype=np.float32)
    check(lambda p: jnp.asarray(table).at[p].get(mode="fill"), places, calls=0)
    check(lambda p, x: jnp.asarray(table)[p] + x, places % 20, x)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint8", "float32"])
def test_elements_are_counted(dtype, x64):
    """In every block, in rows, and at the end of a shorter last row."""
    x = jnp.asarray(np.random.default_rng(4).integers(-9, 9, 40_005), "f4")

    def plain(x):
        return jnp.arange(len(x), dtype=dtype), x * 2

    def in_rows(x):
        places = jnp.arange(len(x), dtype=dtype)
        counted = x + jnp.minimum(places, jnp.asarray(100, dtype)).astype(jnp.float32)
        rows = rows_of(counted)
        return (rows - jnp.max(rows, axis=-1, keepdims=True)).reshape(-1)[: len(x)]

    def used(x):
        places = jnp.arange(len(x), dtype=dtype).reshape(5, -1)
        return x.reshape(5, -1).astype(dtype) + places

    check(plain, x, calls=2)
    check(in_rows, x)
    check(lambda x: used(x).astype(jnp.float32), x)


def test_pairs_of_neighbors():
    x = jnp.asarray(np.random.default_rng(3).integers(-99, 99, (6, 2 * ROW)), "f4")

    def joined(x):
        """Codes of 4 bits, two in a byte, and the scale of each row."""
        top = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
        codes = (jnp.abs(x) - top + 200).astype(jnp.int32).astype(jnp.uint8)
        pairs = (codes & 15).reshape(-1, 2)
        return (pairs[:, 0] * 16 + pairs[:, 1]).reshape(6, ROW), top

    def separated(codes, top):
        both = jnp.stack([codes >> 4, codes & 15], axis=-1).reshape(6, 2 * ROW)
        return both.astype(jnp.float32) * top

    check(joined, x)
    check(separated, *joined(x))

    def again(codes, top, x):
        """Bytes that are read, then replaced, in one kernel."""
        return joined(separated(codes, top) + x), codes + 1

    check(again, *joined(x), x)


def test_one_number_beside_another():
    """Pairs of numbers that are the same everywhere, and arrays joined otherwise."""
    x = jnp.asarray(np.random.default_rng(5).integers(-9, 9, (6, ROW)), "f4")

    def joined(first, second):
        pairs = jnp.stack(jnp.broadcast_arrays(first, second), axis=-1)
        pairs = pairs.reshape(6, 2 * ROW)
        return pairs - jnp.max(pairs, axis=-1, keepdims=True) / 2

    def numbers(x, first, second):
        like = jnp.zeros((6, ROW), x.dtype)
        return joined(like + first, like + second), joined(x, like + 1), x + 1

    def constants(x):
        return joined(jnp.full((6, ROW), 2.0), jnp.full((6, ROW), -3.0)), x + 1

    def with_nothing(x):
        pairs = x.reshape(6, -1, 2)
        whole = jnp.concatenate([pairs[..., :0], pairs * 2], axis=-1).reshape(6, ROW)
        return whole - jnp.max(whole, axis=-1, keepdims=True)

    for function, args in (
        (numbers, (x, jnp.float32(1), jnp.float32(-2))),
        (constants, (x,)),
        (with_nothing, (x,)),
    ):
        found, expected, _ = fused_and_plain(function, *args)
        jax.tree.map(assert_same, found, expected)


def test_rows_and_padding_are_counted():
    x = jnp.asarray(np.random.default_rng(6).integers(-9, 9, 5 * ROW - 7), "f4")

    def padding(x):
        places = jnp.arange(5 * ROW, dtype=jnp.float32).reshape(5, ROW)
        top = jnp.max(rows_of(x) + places, axis=-1, keepdims=True)
        return (rows_of(x) - top).reshape(-1)[: len(x)]

    def rows(x):
        number = jnp.max(rows_of(x), axis=-1) + jnp.arange(5, dtype=jnp.float32)
        return (rows_of(x) - number[:, None]).reshape(-1)[: len(x)], number

    check(padding, x)
    check(rows, x)


def test_phases_that_do_not_fit_into_the_cache_stay_with_xla():
    """Many arrays wait for the maximum of all; in a kernel, the stack would end."""
    arrays = [jnp.full((2, 4096), i, jnp.float32) for i in range(40)]

    def function(arrays, scale):
        total = sum(x * scale for x in arrays)
        top = jnp.max(total, axis=-1, keepdims=True)
        return [x - top for x in arrays]

    check(function, arrays, jnp.float32(2), calls=0)
    check(function, arrays[:4], jnp.float32(2))


def test_nothing_is_printed(capfd):
    """LLVM complains of loops that it cannot turn into vectors."""
    x = jnp.asarray(np.random.default_rng(7).integers(0, 9, (6, 2 * ROW)), jnp.uint8)

    def function(x):
        wide = jnp.stack([x >> 4, x & 15], axis=-1).reshape(6, -1).astype(jnp.float32)
        low = jnp.min(wide, axis=-1, keepdims=True)
        return wide - low, jnp.max(wide - low, axis=-1)

    check(function, x)
    tx = of.quantized(of.adamw(0.1), bits=4, min_size=1, block_size=10)
    params = {"w": jnp.ones((5, 60))}
    jax.jit(lambda p, s: of.apply_gradients(tx, p, s, p)).lower(params, tx.init(params))
    assert capfd.readouterr().err == ""


OPERATIONS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "max": jnp.maximum,
    "less": lambda x, y: jnp.where(x < y, x, -y),
    "abs": lambda x, _: jnp.abs(x),
    "narrow": lambda x, _: x.astype(jnp.bfloat16).astype(jnp.float32),
    "largest": lambda x, _: jnp.max(x, axis=-1, keepdims=True),
    "smallest": lambda x, _: jnp.min(x, axis=-1, keepdims=True),
    "flipped": lambda x, _: jnp.flip(x),
    "sum": lambda x, _: jnp.sum(x, axis=-1, keepdims=True),
}
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*OPERATIONS, *list(OPERATIONS)[:5] * 2, "largest"]),
        st.integers(0),
        st.integers(0),
    ),
    min_size=4,
    max_size=25,
)


def check_rows(steps, chosen, size):
    """Whole numbers below 2^24, of which all results are exact."""
    generator = np.random.default_rng(size)

    def function(x, y, numbers):
        values = [rows_of(x), rows_of(y), numbers]
        for name, i, j in steps:
            x, y = (values[-1 - k % len(values)] for k in (i, j))
            values.append(jnp.floor(OPERATIONS[name](x, y) / 2))  # keeps them small
        results = [values[-1 - i % len(values)] for i in chosen]
        return [v.reshape(-1)[:size] if v.shape[-1] > 1 else v for v in results]

    x, y = (jnp.asarray(generator.integers(-64, 64, size), "f4") for _ in "xy")
    numbers = jnp.asarray(generator.integers(-64, 64, (-(-size // ROW), 1)), "f4")
    expected = jax.jit(function)(x, y, numbers)
    for donated in ((), (0, 1, 2)):
        args = jax.tree.map(jnp.copy, (x, y, numbers))
        fused = jax.jit(of.fuse(function), donate_argnums=donated)
        jax.tree.map(assert_same, fused(*args), expected)


CHOSEN = st.lists(st.integers(0), min_size=1, max_size=5)
SIZES = st.sampled_from([3 * ROW, 3 * ROW - 5])
unused = pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")


def programs(count):
    """So many programs; each takes seconds to compile."""
    checks = [HealthCheck.too_slow]
    chosen = settings(max_examples=count, suppress_health_check=checks)
    return unused(chosen(given(STEPS, CHOSEN, SIZES)(check_rows)))


test_programs = programs(4)
test_many_programs = pytest.mark.slow(programs(40))
