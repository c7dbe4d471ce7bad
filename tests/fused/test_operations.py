"""Each operation on each dtype gives what XLA gives, also for what is not a number."""

from functools import partial

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import lax

from optifunc.fused._operations import OPERATIONS

from .programs import assert_same, fused_and_plain

FLOATS = ("float32", "float64", "bfloat16", "float16")
NARROW = ("float32", "bfloat16")
INTEGERS = tuple(f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64))
NUMBERS = FLOATS + INTEGERS
SIGNED = FLOATS + INTEGERS[:4]

UNARY = {
    "neg": (lax.neg, NUMBERS),
    "abs": (lax.abs, SIGNED),
    "sign": (lax.sign, NUMBERS),
    "square": (lax.square, NUMBERS),
    "integer_pow": (lambda x: lax.integer_pow(x, 3), FLOATS),
    "sqrt": (lax.sqrt, FLOATS),
    "floor": (lax.floor, FLOATS),
    "ceil": (lax.ceil, FLOATS),
    "round": (lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), FLOATS),
    "round_away": (lambda x: lax.round(x, lax.RoundingMethod(0)), FLOATS),
    **{
        f"reduce_precision {bits}": (partial(lax.reduce_precision, **bits), NARROW)
        for bits in (
            {"exponent_bits": 8, "mantissa_bits": 7},
            {"exponent_bits": 5, "mantissa_bits": 10},
            {"exponent_bits": 4, "mantissa_bits": 3},
            {"exponent_bits": 8, "mantissa_bits": 23},
            {"exponent_bits": 11, "mantissa_bits": 52},
        )
    },
    "is_finite": (lax.is_finite, FLOATS),
    "not": (lax.bitwise_not, (*INTEGERS, "bool")),
    "clamp": (lambda x: lax.clamp(jnp.ones((), x.dtype), x, 2 * x + x), NUMBERS),
}
BINARY = {
    "add": (lax.add, NUMBERS),
    "sub": (lax.sub, NUMBERS),
    "mul": (lax.mul, NUMBERS),
    "div": (lax.div, FLOATS),
    "max": (lax.max, NUMBERS),
    "min": (lax.min, NUMBERS),
    **{
        name: (getattr(lax, name), (*NUMBERS, "bool"))
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
    },
    "and": (lax.bitwise_and, (*INTEGERS, "bool")),
    "or": (lax.bitwise_or, (*INTEGERS, "bool")),
    "xor": (lax.bitwise_xor, (*INTEGERS, "bool")),
    "shift_left": (lax.shift_left, INTEGERS),
    "shift_right_logical": (lax.shift_right_logical, INTEGERS),
    "shift_right_arithmetic": (lax.shift_right_arithmetic, INTEGERS),
    "select_n": (lambda x, y: lax.select(x == y, x, y), (*NUMBERS, "bool")),
}


def special_values(dtype):
    """Numbers at which operations differ most, and some others."""
    if dtype == "bool":
        return np.array([False, True])
    if not jnp.issubdtype(dtype, jnp.floating):
        bounds = jnp.iinfo(dtype)
        values = [0, 1, 2, 3, 5, 7, 8, 31, 63, 64, bounds.min, bounds.max]
        return np.array([*values, bounds.max - 1, bounds.max // 3], dtype)
    limits = jnp.finfo(dtype)
    sizes = [0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 1 / 3, 1e-3, 77.7, np.inf, np.nan]
    sizes += [float(limits.max), float(limits.tiny), float(limits.eps)]
    return np.array([s * size for size in sizes for s in (1, -1)]).astype(dtype)


def pairs(dtype):
    values = special_values(dtype)
    return tuple(jnp.asarray(x.ravel()) for x in np.meshgrid(values, values))


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool"])
def test_operations(dtype, x64):
    def everything(x, y):
        unary = {n: f(x) for n, (f, dtypes) in UNARY.items() if dtype in dtypes}
        binary = {n: f(x, y) for n, (f, dtypes) in BINARY.items() if dtype in dtypes}
        return unary | binary

    found, expected, calls = fused_and_plain(everything, *pairs(dtype))
    assert calls == 1
    for name, result in found.items():
        assert_same(result, expected[name], name)


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool"])
def test_conversions(dtype, x64):
    def everything(x):
        return [lax.convert_element_type(x, other) for other in (*NUMBERS, "bool")]

    found, expected, calls = fused_and_plain(everything, pairs(dtype)[0])
    assert calls == 1
    jax.tree.map(assert_same, found, expected)


def test_floats_of_eight_bits():
    """Every one of them, what lies between two, and many others."""
    dtype = ml_dtypes.float8_e4m3fn
    codes = np.arange(256, dtype=np.uint8).view(dtype)
    known = np.sort(codes.astype(np.float32))[:-2]  # without NaN
    between = (known[1:] + known[:-1]) / 2
    beside = [np.nextafter(between, np.float32(end)) for end in (-np.inf, np.inf)]
    patterns = np.arange(0, 2**32, 65_537, dtype=np.uint32).view(np.float32)
    ends = np.float32([448, 463.9, 464, 464.1, 480, np.inf, np.nan, -np.nan])
    x = np.concatenate([known, between, *beside, patterns, ends, -ends])

    def narrowed(x):
        return lax.convert_element_type(x, dtype), x > 0

    found, expected, calls = fused_and_plain(narrowed, jnp.asarray(x))
    assert calls == 1
    assert_same(found[0], expected[0])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(
            np.asarray(found[0]).view(np.uint8), x.astype(dtype).view(np.uint8)
        )

    def same_bits(codes):
        return lax.bitcast_convert_type(codes, jnp.uint8), codes < 0

    found, expected, calls = fused_and_plain(same_bits, jnp.asarray(codes))
    assert calls == 1
    np.testing.assert_array_equal(found[0], codes.view(np.uint8))

    def compared(codes):
        wide = lax.convert_element_type(codes, jnp.float32)
        zero = jnp.zeros((), dtype)
        return wide, codes == zero, jnp.where(codes < zero, zero, codes)

    found, expected, calls = fused_and_plain(compared, jnp.asarray(codes))
    assert calls == 1
    jax.tree.map(assert_same, found, expected)


def test_bits_of_another_dtype(x64):
    def everything(*arrays):
        return [
            lax.bitcast_convert_type(x, dtype)
            for x in arrays
            for dtype in (*NUMBERS, "bool")
            if jnp.dtype(dtype).itemsize == x.dtype.itemsize and dtype != "bool"
        ]

    arrays = [pairs(dtype)[0] for dtype in NUMBERS]
    found, expected, calls = fused_and_plain(everything, *arrays)
    assert calls > 1
    jax.tree.map(assert_same, found, expected)


def test_powers():
    """A longer product may be associated in another way than XLA's."""
    x = jnp.linspace(-3, 3, 60).reshape(3, 20)
    exponents = [-3, -2, -1, 1, 2, 3, 4, 5, 7, 10]

    def powers(x):
        return [lax.integer_pow(x, n) for n in exponents]

    found, _, calls = fused_and_plain(powers, x)
    assert calls == 1
    for n, power in zip(exponents, found, strict=True):
        exact = np.asarray(x, np.float64) ** n
        # At most a rounding for each of the products, of which there are at most 4.
        np.testing.assert_allclose(power, exact, rtol=5 * 2**-24)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reciprocal_square_roots(dtype, x64):
    """XLA's is another approximation."""
    x = jnp.asarray(np.geomspace(1e-30, 1e30, 100), dtype)
    found, _, calls = fused_and_plain(lax.rsqrt, x)
    assert calls == 1
    # Two roundings: of the root, and of the quotient.
    exact = 1 / np.sqrt(np.asarray(x, np.longdouble))
    np.testing.assert_allclose(found, exact, rtol=float(jnp.finfo(dtype).eps))
    ends = jnp.asarray([0.0, -0.0, np.inf, -1.0, np.nan], dtype)
    found, expected, _ = fused_and_plain(lax.rsqrt, ends)
    assert_same(found, expected)


def test_every_operation_is_tested():
    converting = {"convert_element_type", "bitcast_convert_type"}
    tested = {name.split()[0] for name in (*UNARY, *BINARY)}
    # `add_any` is what differentiation adds by: `add` under another name.
    assert OPERATIONS.keys() <= {*tested, *converting, "rsqrt", "add_any"}


def test_numbers_and_scalars_of_the_step():
    """Known ones, computed ones, and those that are spread over an array."""
    x = jnp.linspace(-1, 1, 5000)

    def function(x, scale, flag):
        computed = lax.sqrt(scale) + jnp.sum(x)
        spread = lax.full_like(x, 0.25) + lax.broadcast(scale, x.shape)
        return jnp.where(flag, x * scale + 0.5, spread * computed), scale + 1

    for flag in (True, False):
        args = x, jnp.float32(0.3), jnp.asarray(flag)
        found, expected, calls = fused_and_plain(function, *args)
        assert calls == 1
        # The product and the sum may be contracted.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7),
            found,
            expected,
        )
