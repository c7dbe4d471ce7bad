"""State in 8 and 4 bits: the codes of other packages, and what surrounds them."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import optifunc as of
from optifunc import optim
from optifunc._codebooks import dynamic_codebook
from optifunc._quantization import Codec, dequantize, quantize
from optifunc.wrappers import _in_turn

RECORDED = json.loads(
    (Path(__file__).parents[1] / "golden" / "precision.json").read_text()
)
EXAMPLE = jnp.asarray(RECORDED["quant8_example"]["x"], jnp.float32)


def codec(bits=8, is_signed=True, **options):
    given = {
        "map": "dynamic",
        "keep_positive": True,
        "block_size": 8,
        "by_row": False,
        **options,
    }
    return Codec(bits=bits, is_signed=is_signed, **given)


# --- codes ----------------------------------------------------------------------------


def test_the_codebooks_are_those_of_torchao_and_bitsandbytes():
    for name, is_signed in (("signed", True), ("unsigned", False)):
        book = dynamic_codebook(8, is_signed)
        assert book.shape == (256,)
        for code, number in RECORDED[f"qmap8_{name}_samples"].items():
            assert book[int(code)] == np.float32(number)
        expected = np.float32(RECORDED[f"qmap4_{name}"])
        np.testing.assert_array_equal(dynamic_codebook(4, is_signed), expected)


@pytest.mark.parametrize(
    ("options", "name", "codes"),
    [
        ({}, "quant8_example", "codes"),
        ({"bits": 4}, "quant4_example", "packed"),
        ({"bits": "fp8"}, "fp8_example", "codes_as_float"),
        ({"map": "companded"}, "flash_momentum", "codes"),
        ({"map": "companded", "is_signed": False}, "flash_variance", "codes"),
    ],
)
def test_codes_of_an_example(options, name, codes):
    options = {"keep_positive": False, **options}
    x = EXAMPLE if options.get("is_signed", True) else jnp.abs(EXAMPLE)
    found = quantize(x, codec(**options))
    np.testing.assert_array_equal(
        np.asarray(found.codes, np.float32), RECORDED[name][codes]
    )
    # One product in float32.
    np.testing.assert_allclose(dequantize(found), RECORDED[name]["back"], rtol=1e-6)


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("bits", [8, 4, "fp8"])
@pytest.mark.parametrize(
    "shape", [(), (1,), (7,), (8,), (3, 5), (3, 16), (2, 3, 8), (4, 0), (17, 3)]
)
def test_every_shape_comes_back(shape, bits, by_row):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    stored = quantize(x, codec(bits, by_row=by_row))
    found = dequantize(stored)
    assert found.shape == x.shape
    # Half the widest gap between codes is 0.0079 (8 bits) and 0.12 of the largest.
    share = {8: 0.0079, 4: 0.13, "fp8": 1 / 16}[bits]
    largest = float(jnp.max(jnp.abs(x), initial=0))
    np.testing.assert_allclose(found, x, atol=share * largest)
    per_element = 0.5 if bits == 4 else 1
    rows = 1 if not (by_row and shape) else int(np.prod(shape[:-1]))
    assert stored.codes.nbytes <= per_element * x.size + rows * (8 if bits == 4 else 0)
    assert str(bits) in repr(stored)


def test_blocks_end_with_rows_where_they_are_told_to():
    """A row of tiny numbers beside one of large ones."""
    x = jnp.asarray([[1.0, 0.5, -0.3], [1e-9, -5e-10, 3e-10]])
    apart = dequantize(quantize(x, codec(by_row=True)))
    np.testing.assert_allclose(apart, x, rtol=0.02)
    together = dequantize(quantize(x, codec(by_row=False)))
    np.testing.assert_array_equal(together[1], 0)


def test_blocks_of_zeros_are_zeros():
    for bits in (8, 4, "fp8"):
        for is_signed in (True, False):
            stored = quantize(jnp.zeros(8), codec(bits, is_signed))
            np.testing.assert_array_equal(dequantize(stored), 0)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("is_signed", [True, False])
def test_codes_are_those_of_the_nearest_numbers(bits, is_signed):
    """At every edge between two codes, beside it, and at random."""
    book = dynamic_codebook(bits, is_signed)
    edges = (book[1:] + book[:-1]) / 2
    spots = np.concatenate([book, edges])
    beside = [np.nextafter(spots, np.float32(end)) for end in (-2, 2)]
    rng = np.random.default_rng(5)
    sizes = rng.uniform(-1, 1, 100_000) * 10.0 ** rng.uniform(-9, 0, 100_000)
    x = np.float32(np.concatenate([spots, *beside, sizes, [0, -0.0, 1e-40]]))
    x = np.clip(x if is_signed else np.abs(x), -1, 1)
    own = codec(bits, is_signed, keep_positive=False)
    # Ties go upward, as in torchao.
    expected = np.searchsorted(edges, x, side="right")
    np.testing.assert_array_equal(own.encode(jnp.asarray(x)), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("bits", [8, 4, "fp8"])
def test_what_is_not_finite_is_not_hidden(bits, bad):
    x = jnp.ones(16).at[3].set(bad)
    found = dequantize(quantize(x, codec(bits)))
    assert not np.isfinite(found[3])
    np.testing.assert_array_equal(found[8:], 1)  # the other block


# --- steps ----------------------------------------------------------------------------


def run(tx, params, gradient, count):
    @jax.jit
    def step(params, state):
        updates, state = tx.update(gradient(params), state, params)
        return of.apply_updates(params, updates), state

    state = tx.init(params)
    for _ in range(count):
        params, state = step(params, state)
    return params, state


@pytest.mark.parametrize(
    ("name", "bits", "tolerance"),
    [
        ("adamw8bit", 8, 1e-6),
        ("adamw4bit", 4, 1e-6),
        ("adamwfp8", "fp8", 1e-6),
        # bitsandbytes decays after the step.
        ("bnb_adamw8bit", 8, 2e-6),
    ],
)
def test_adamw_follows_other_packages(name, bits, tolerance):
    decay = jnp.exp(-(jnp.arange(4096) % 97).astype(jnp.float32) / 40)
    tx = of.quantized(of.adamw(0.01, weight_decay=0.1), bits, keep_positive=False)
    start = jnp.linspace(-1, 1, 4096, dtype=jnp.float32)
    params, state = run(tx, start, lambda p: p * decay, 5)
    for i, expected in RECORDED[name]["p_at"].items():
        assert float(params[int(i)]) == pytest.approx(expected, abs=tolerance)
    for field in ("exp_avg", "exp_avg_sq"):
        scale = of.find_in_state(state, field).scales[0]
        expected = RECORDED[name].get(f"{field}_scale_0", float(scale))
        assert float(scale) == pytest.approx(expected, rel=1e-6)


def test_small_numbers_beside_large_ones_do_not_explode():
    """Gradients that span e^8 within a block, as in the specification of the codes."""
    sizes = jnp.exp(-(jnp.arange(256) % 64).astype(jnp.float32) / 8)[None]

    def gradient(params):
        return sizes * jnp.ones_like(params)

    start = jnp.zeros(4096).reshape(16, 256)
    exact, _ = run(of.adam(0.1), start, gradient, 5)
    kept, _ = run(of.quantized(of.adam(0.1)), start, gradient, 5)
    lost, _ = run(of.quantized(of.adam(0.1), keep_positive=False), start, gradient, 5)
    # The lowest codes lie apart by a factor of 2.4: a root by 1.5.
    assert float(jnp.max(jnp.abs(kept))) <= 1.5 * float(jnp.max(jnp.abs(exact)))
    assert float(jnp.max(jnp.abs(lost))) > 1.5 * float(jnp.max(jnp.abs(exact)))


def tree():
    rng = np.random.default_rng(1)
    draw = {"table": (64, 128), "kernel": (128, 64), "bias": (64,)}
    return {k: jnp.asarray(rng.normal(size=s), jnp.float32) for k, s in draw.items()}


def kinds(field):
    return {k: isinstance(x, of.QuantizedArray) for k, x in field.items()}


def test_small_and_unchosen_parameters_are_left_out():
    params = tree()
    state = of.quantized(of.adamw()).init(params)
    for field in ("exp_avg", "exp_avg_sq"):
        found = of.find_in_state(state, field)
        assert kinds(found) == {"table": True, "kernel": True, "bias": False}
    mean = of.find_in_state(state, "exp_avg")
    assert mean["table"].codec.is_signed
    assert not of.find_in_state(state, "exp_avg_sq")["table"].codec.is_signed
    assert of.find_in_state(state, "step").dtype == jnp.int32
    chosen = of.quantized(of.adamw(), mask=lambda path, leaf: path != "table")
    found = of.find_in_state(chosen.init(params), "exp_avg")
    assert kinds(found) == {"table": False, "kernel": True, "bias": False}


@pytest.mark.parametrize(
    ("inner", "bits", "per_parameter"),
    [
        (of.adamw(), 8, 2 * (1 + 4 / 256)),
        (of.adamw(), 4, 2 * (0.5 + 4 / 128)),
        (of.sgd(0.1, 0.9), 8, 1 + 4 / 256),
        (optax.adam(0.1), 8, 2 * (1 + 4 / 256)),
    ],
)
def test_bytes_of_state(inner, bits, per_parameter):
    params = {"kernel": jnp.zeros((256, 512))}
    state = of.quantized(inner, bits).init(params)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert 0 <= size - per_parameter * 256 * 512 <= 8  # a count of steps


def test_eight_bits_under_master_weights():
    """bfloat16 parameters, float32 masters and 8-bit moments: 2 + 4 + 2 bytes."""
    params = {"kernel": jnp.ones((256, 512), jnp.bfloat16)}
    tx = of.master_weights(of.quantized(of.adamw(1e-4)))
    params, state = run(tx, params, lambda p: p, 100)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert size <= 256 * 512 * (4 + 2 * (1 + 4 / 256)) + 64
    # 100 steps of 1e-4, which bfloat16 alone would lose.
    assert float(params["kernel"][0, 0]) == pytest.approx(0.99, abs=1 / 256)


def test_no_step_holds_all_of_the_state_as_numbers():
    """The memory of a compiled step; nothing runs."""
    leaf = jax.ShapeDtypeStruct((1024, 512), jnp.float32)
    params = {f"layer{i:02}": leaf for i in range(24)}
    tx = of.quantized(of.adamw(1e-3))

    def step(grads, state, params):
        updates, state = tx.update(grads, state, params)
        return of.apply_updates(params, updates), state

    compiled = jax.jit(step, donate_argnums=(1, 2)).lower(
        params, tx.init(params), params
    )
    held = compiled.compile().memory_analysis().temp_size_in_bytes
    whole = 24 * leaf.size * 2 * 4  # two moments in float32
    assert held < whole / 4


def test_a_step_in_turns_is_the_step_all_at_once(monkeypatch):
    """With a norm of all gradients before it, and all of it in a scan."""
    params = {f"layer{i}": jnp.linspace(-1 - i, 1, 512) for i in range(6)}
    clipped = of.chain(of.clip_by_global_norm(0.5), of.adamw(0.01))
    tx = of.chain(of.quantized(clipped, min_size=1), of.identity())

    def train(params):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(params, state, params)
            return (of.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), None, 3)[0]

    found = jax.jit(train)(params)
    monkeypatch.setattr(_in_turn, "_runs_at_once", lambda stored: True)
    expected = jax.jit(lambda params: train(params))(params)
    # A fused multiplication and addition rounds once instead of twice.
    jax.tree.map(
        lambda f, e: np.testing.assert_allclose(f, e, rtol=1e-5, atol=1e-7),
        found[0],
        expected[0],
    )


def test_averages_are_evaluated_as_numbers():
    params = tree()
    tx = of.quantized(of.chain(of.sgd(0.1), of.ema_parameters(0.9)))
    found, state = run(tx, params, lambda p: jax.tree.map(jnp.ones_like, p), 3)
    plain = of.chain(of.sgd(0.1), of.ema_parameters(0.9))
    _, expected = run(plain, params, lambda p: jax.tree.map(jnp.ones_like, p), 3)
    jax.tree.map(
        # Half the widest gap of a block's codes, in each of three steps
        lambda f, e: np.testing.assert_allclose(f, e, atol=3 * 0.008 * 5),
        of.eval_params(tx, state, found),
        of.find_in_state(expected, "average"),
    )


def test_a_checkpoint_continues_bit_for_bit():
    params = tree()
    tx = of.quantized(of.adamw(0.01))
    optimizer = optim.Stateful(tx, params)
    for _ in range(3):
        optimizer.step(grads=optimizer.params)
    other = optim.Stateful(tx, optimizer.params)
    other.load_state_dict(optimizer.state_dict())
    for each in (optimizer, other):
        for _ in range(3):
            each.step(grads=each.params)
    jax.tree.map(np.testing.assert_array_equal, optimizer.params, other.params)


@pytest.mark.slow
def test_codes_and_scales_are_sharded_as_the_parameter_is():
    mesh = Mesh(np.array(jax.devices("cpu")[:8]), ("x",))
    start = jnp.asarray(np.random.default_rng(2).normal(size=(16, 512)), jnp.float32)
    tx = of.quantized(of.adamw(0.1))
    expected, _ = run(tx, {"w": start}, lambda p: p, 3)
    for spec in (PartitionSpec("x", None), PartitionSpec(None, None)):
        sharding = NamedSharding(mesh, spec)
        params = {"w": jax.device_put(start, sharding)}
        found, state = run(tx, params, lambda p: p, 3)
        mean = of.find_in_state(state, "exp_avg")["w"]
        assert mean.codes.sharding.is_equivalent_to(sharding, 2)
        assert mean.scales.shape == (16, 2)
        assert mean.scales.sharding.is_equivalent_to(sharding, 2)
        np.testing.assert_allclose(found["w"], expected["w"], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 2}, r"bits must be one of \(8, 4, 'fp8'\), found 2"),
        ({"map": "linear"}, r"map must be one of \('dynamic', 'companded'\)"),
        ({"map": "companded", "bits": 4}, "'companded' has 8 bits, found bits=4"),
        ({"block_size": 1}, "block_size must be at least 2, found 1"),
        ({"bits": 4, "block_size": 7}, "block_size must be even .* found 7"),
        ({"min_size": 0}, "min_size must be at least 1, found 0"),
        ({"mask": {"w": 3}}, "mask must consist of bools, found 3 at 'w'"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        of.quantized(of.adamw(), **options)
