"""Steps on state in 8 and 4 bits, and on narrow parameters, in kernels."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .programs import STRICT, plain_step

# A whole number of blocks; a shorter last one; and one that is left plain.
SHAPES = {"kernel": (40, 256), "ragged": (70, 101), "bias": (30,)}
ADAMW, LION = of.adamw(0.01), of.lion(0.01)


def arrays(seed, dtype):
    generator = np.random.default_rng(seed)
    return {
        name: jnp.asarray(generator.standard_normal(shape), dtype)
        for name, shape in SHAPES.items()
    }


def is_quantized(x):
    return isinstance(x, of.QuantizedArray)


def assert_same_step(found, expected):
    """Up to a rounding; and where a number lies between two codes, either is right."""

    def check(x, y):
        if is_quantized(x):
            assert (x.shape, x.dtype, x.codec) == (y.shape, y.dtype, y.codec)
            both = [np.asarray(z.codes).view(np.uint8).astype(int) for z in (x, y)]
            if x.codec.bits == 4:  # two in a byte
                both = [np.stack([z >> 4, z & 15]) for z in both]
            apart = np.abs(both[0] - both[1])
            assert apart.max() <= 1
            assert apart.mean() < 1e-3
            x, y = x.scales, y.scales
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        wide = [np.asarray(z).astype(np.float64) for z in (x, y)]
        np.testing.assert_allclose(*wide, rtol=2e-6, atol=1e-7)

    jax.tree.map(check, found, expected, is_leaf=is_quantized)


def check_steps(tx, dtype="float32", temporary=0):
    """Three steps from the same states, with and without donated arguments.

    **Arguments:**

    - ``temporary``: the bytes that a step may hold, besides arguments and results.
    """

    def plain(params, state, grads):
        return plain_step(tx, grads, state, params)

    def step(params, state, grads):
        return of.apply_gradients(tx, grads, state, params)

    params, grads = arrays(0, dtype), arrays(1, dtype)
    carry = params, tx.init(params)
    plain = jax.jit(plain, compiler_options=STRICT)
    programs = []
    for donated in ((), (0, 1)):
        lowered = jax.jit(step, donate_argnums=donated).lower(*carry, grads)
        assert "custom_call @optifunc_" in lowered.as_text()
        programs.append(lowered.compile(compiler_options=STRICT))
        held = programs[-1].memory_analysis().temp_size_in_bytes
        assert held < temporary + 4096  # scalars of the step, and pointers
        copies = re.findall(r"\[([\d,]+)\]\S* copy\(", programs[-1].as_text())
        sizes = [math.prod(map(int, shape.split(","))) for shape in copies]
        assert temporary or all(size < 30 for size in sizes)
    for _ in range(3):
        expected = plain(*carry, grads)
        for program in programs:
            found = program(*jax.tree.map(jnp.copy, carry), grads)
            assert_same_step(found, expected)
        carry = expected


OPTIONS = {
    "8 bits": {},
    "4 bits": {"bits": 4},
    "companded": {"map": "companded"},
    "floats of 8 bits": {"bits": "fp8"},
    "short blocks": {"block_size": 16},
    "blocks that divide nothing": {"block_size": 48},
    "4 bits in long blocks": {"bits": 4, "block_size": 1000},
    "positive numbers may vanish": {"keep_positive": False},
    "a mask": {"mask": {"kernel": True, "ragged": False, "bias": True}},
}


@pytest.mark.slow
@pytest.mark.parametrize("inner", [ADAMW, LION], ids=["adamw", "lion"])
@pytest.mark.parametrize("name", OPTIONS)
def test_every_kind_of_codes(name, inner):
    tx = of.quantized(inner, **{"min_size": 100, **OPTIONS[name]})
    check_steps(tx)


def small(tx, **options):
    return of.quantized(tx, min_size=100, **options)


INNER = {
    "adam_amsgrad": of.adam(0.01, amsgrad=True),
    "adan": of.adan(0.01),
    "adagrad": of.adagrad(0.01),
    "rmsprop": of.rmsprop(0.01, momentum=0.9, centered=True),
    "sgd": of.sgd(0.01, momentum=0.9, nesterov=True),
    "clip": of.chain(of.clip_by_global_norm(0.5), ADAMW),
}


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", INNER)
def test_other_rules(name, bits):
    check_steps(small(INNER[name], bits=bits))


SOON = {"kahan", "master, 8 bits", "split, 4 bits", "stochastic"}
NARROW = {
    "kahan": of.kahan(ADAMW),
    "master": of.master_weights(ADAMW),
    "split": of.split_weights(ADAMW),
    "kahan, 8 bits": of.kahan(small(ADAMW)),
    "master, 8 bits": of.master_weights(small(ADAMW)),
    "split, 4 bits": of.split_weights(small(ADAMW, bits=4)),
    "master, clipped": of.master_weights(
        of.chain(of.clip_by_global_norm(0.5), small(ADAMW))
    ),
    "stochastic": of.stochastic_rounding(ADAMW),
    "stochastic, 8 bits": of.stochastic_rounding(small(ADAMW)),
}


@pytest.mark.parametrize(
    "name",
    [x if x in SOON else pytest.param(x, marks=pytest.mark.slow) for x in NARROW],
)
def test_narrow_parameters(name):
    check_steps(NARROW[name], "bfloat16")


@pytest.mark.slow
def test_float16_with_a_scaled_loss():
    """The gradients are cast to find out whether they are finite."""
    cast = 2 * sum(np.prod(shape) for shape in SHAPES.values())
    check_steps(of.dynamic_loss_scale(of.master_weights(ADAMW)), "float16", 3 * cast)


@pytest.mark.slow
def test_steps_that_may_be_skipped():
    """XLA finds out whether gradients are finite, one truth value for each."""
    values = sum(np.prod(shape) for shape in SHAPES.values())
    check_steps(of.skip_not_finite(small(ADAMW)), temporary=2 * values)
    check_steps(of.accumulate_gradients(small(ADAMW), 2))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"block_size": 8}, {"by_row": True}])
def test_what_xla_encodes_it_encodes_in_turn(options):
    """A step takes no more memory than the plain one, which never decodes all."""
    leaf = jax.ShapeDtypeStruct((512, 500), jnp.float32)
    params = {f"layer{i:02}": leaf for i in range(12)}
    tx = of.quantized(ADAMW, **options)

    def plain(params, state, grads):
        return plain_step(tx, grads, state, params)

    def fused(params, state, grads):
        return of.apply_gradients(tx, grads, state, params)

    state = jax.eval_shape(tx.init, params)
    found, expected = (
        jax.jit(step, donate_argnums=(0, 1))
        .lower(params, state, params)
        .compile()
        .memory_analysis()
        .temp_size_in_bytes
        for step in (fused, plain)
    )
    assert found <= 1.05 * expected


@pytest.mark.slow
def test_many_leaves_share_kernels():
    """A kernel for whole blocks, one for those with a shorter last one."""
    params = {f"layer{i}": jnp.ones((8 + i % 5, 100 + 28 * (i % 2))) for i in range(60)}
    tx = of.quantized(of.sgd(0.01, momentum=0.9), min_size=1, block_size=128)
    text = (
        jax.jit(lambda p, s: of.apply_gradients(tx, p, s, p))
        .lower(params, tx.init(params))
        .as_text()
    )
    names = {x.split("(")[0] for x in text.split("custom_call @")[1:]}
    assert len(names) == 2


@pytest.mark.slow
def test_mapped_and_scanned_steps():
    tx, params = small(ADAMW), arrays(0, "float32")

    def run(step):
        def train(scale):
            def body(carry, _):
                params, state = carry
                grads = jax.tree.map(lambda p: scale * p, params)
                return step(grads, state, params), None

            return jax.lax.scan(body, (params, tx.init(params)), None, 3)[0]

        return jax.jit(jax.vmap(train), compiler_options=STRICT)(jnp.array([1.0, 2.0]))

    found = run(lambda *args: of.apply_gradients(tx, *args))
    assert_same_step(found, run(lambda *args: plain_step(tx, *args)))
