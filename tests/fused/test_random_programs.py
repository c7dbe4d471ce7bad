"""Random programs: what kernels and XLA compute together is what XLA computes alone.

The numbers are such that every result is exact. So it does not matter which products
and sums are contracted, and all must be equal.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from jax import lax

import optifunc as of

from .programs import assert_same, fused_and_plain

pytestmark = pytest.mark.slow

BITS = {"float32": 24, "int32": 30, "bfloat16": 8, "float16": 11}
FLOATS = ("float32", "bfloat16", "float16")
SHAPES = [(6, 5), (30,), (2, 3, 5)]
INPUTS = [
    (dtype, shape)
    for dtype in ("float32", "float32", "bfloat16", "int32", "bool", "float16")
    for shape in ((6, 5), ())
]


@dataclasses.dataclass
class Known:
    """An array and what is known of its numbers."""

    array: jax.Array
    most: float  # the largest magnitude
    digits: int  # after the binary point

    @property
    def dtype(self):
        return str(self.array.dtype)

    def fits(self, dtype):
        return math.log2(self.most + 1) + self.digits <= BITS.get(dtype, 0) - 1


def arguments(seed):
    generator = np.random.default_rng(seed)
    return [
        jnp.asarray(generator.integers(-3, 4, shape).astype(dtype))
        for dtype, shape in INPUTS
    ]


def unary(name, x):
    """The operation on one array, or None where it does not apply."""
    is_float, is_bool = x.dtype in FLOATS, x.dtype == "bool"
    if name == "half" and is_float:
        return Known(x.array * 0.5, x.most, x.digits + 1)
    if name in ("neg", "abs", "sign") and not is_bool:
        return Known(getattr(lax, name)(x.array), max(x.most, 1), x.digits)
    if name in ("floor", "ceil") and is_float:
        return Known(getattr(lax, name)(x.array), x.most + 1, 0)
    if name == "not" and is_bool:
        return Known(~x.array, 1, 0)
    if name in BITS and x.fits(name) and (name != "int32" or x.digits == 0):
        return Known(x.array.astype(name), x.most, x.digits)
    if x.array.ndim == 0:
        return None
    if name == "flip":
        return Known(jnp.flip(x.array), x.most, x.digits)
    if name == "transpose":
        return Known(x.array.reshape(6, 5).T.reshape(x.array.shape), x.most, x.digits)
    if name in ("0", "1", "2"):
        return Known(x.array.reshape(SHAPES[int(name)]), x.most, x.digits)
    if name == "sum" and not is_bool:
        wide = x.array.astype(jnp.float32 if is_float else jnp.int32)
        return Known(jnp.sum(wide), 30 * x.most, x.digits)
    if name == "largest" and not is_bool:
        return Known(jnp.max(x.array), x.most, x.digits)
    return None


def binary(name, x, y):
    """The operation on two arrays of one dtype, or None where it does not apply."""
    most, digits = max(x.most, y.most), max(x.digits, y.digits)
    is_bool = x.dtype == "bool"
    shape = x.array.shape or y.array.shape
    if y.array.ndim:
        y = dataclasses.replace(y, array=y.array.reshape(shape))
    first, second = (jnp.broadcast_to(v.array, shape) for v in (x, y))
    if name in ("add", "sub") and not is_bool:
        return Known(getattr(lax, name)(first, second), 2 * most, digits)
    if name == "mul" and not is_bool:
        product = lax.mul(first, second)
        return Known(product, x.most * y.most, x.digits + y.digits)
    if name in ("max", "min") and not is_bool:
        return Known(getattr(lax, name)(first, second), most, digits)
    if name in ("lt", "ge", "eq", "ne"):
        return Known(getattr(lax, name)(first, second), 1, 0)
    if name in ("bitwise_and", "bitwise_or", "bitwise_xor") and is_bool:
        return Known(getattr(lax, name)(first, second), 1, 0)
    if name == "where":
        return Known(jnp.where(first > second, first, second), most, digits)
    return None


UNARY = ["half", "neg", "abs", "sign", "floor", "ceil", "not", *BITS, "flip"]
UNARY += ["transpose", "0", "1", "2", "sum", "largest"]
BINARY = ["add", "sub", "mul", "max", "min", "lt", "ge", "eq", "ne", "where"]
BINARY += ["bitwise_and", "bitwise_or", "bitwise_xor"]
STEPS = st.lists(
    st.tuples(st.sampled_from(UNARY + 3 * BINARY), st.integers(0), st.integers(0)),
    min_size=10,
    max_size=40,
)


def run(steps, *arrays):
    """The arrays that the program of ``steps`` makes of ``arrays``."""
    values = [Known(x, 3, 0) for x in arrays]
    for name, i, j in steps:
        x = values[-1 - i % len(values)]
        same = [v for v in values if v.dtype == x.dtype]
        y = same[j % len(same)]
        result = unary(name, x) if name in UNARY else binary(name, x, y)
        if result is not None and (result.dtype == "bool" or result.fits(result.dtype)):
            values.append(result)
    return [v.array for v in values[len(arrays) :]]


CHOSEN = st.lists(st.integers(0), min_size=1, max_size=6)
SEEDS = st.integers(0, 9)


def examples(count):
    """So many programs; each takes a second to compile."""
    checks = [HealthCheck.too_slow]
    return settings(max_examples=count, suppress_health_check=checks)


def check_program(steps, chosen, seed):
    def function(*arrays):
        results = run(steps, *arrays)
        # Some of them, one of them perhaps twice, and an argument as it is.
        return [results[-1 - i % len(results)] for i in chosen if results] + [arrays[0]]

    found, expected, _ = fused_and_plain(function, *arguments(seed))
    jax.tree.map(assert_same, found, expected)


def check_donation(steps, seed):
    """Whatever of the arguments is donated, and in which order results come."""

    def function(*arrays):
        results = run(steps, *arrays)
        return [*reversed(results[-8:]), arrays[0] + 1, arrays[0]]

    expected = jax.jit(function)(*arguments(seed))
    for donated in (tuple(range(len(INPUTS))), (0, 2, 6)):
        fused = jax.jit(of.fuse(function), donate_argnums=donated)
        jax.tree.map(assert_same, fused(*arguments(seed)), expected)


test_programs = examples(8)(given(STEPS, CHOSEN, SEEDS)(check_program))
test_many_programs = pytest.mark.slow(
    examples(40)(given(STEPS, CHOSEN, SEEDS)(check_program))
)
unused = pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
test_donation = unused(examples(3)(given(STEPS, SEEDS)(check_donation)))
test_much_donation = unused(
    pytest.mark.slow(examples(12)(given(STEPS, SEEDS)(check_donation)))
)
