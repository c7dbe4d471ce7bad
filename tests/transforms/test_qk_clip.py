"""QK-Clip: which weights shrink, by how much, and what it says of wrong layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

LOGITS = jnp.asarray([50.0, 400.0, 100.0, 1e4])
GAMMA = np.array([1.0, 0.25, 1.0, 0.01])


def params():
    rng = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    return {
        "attention": {
            "query": {"kernel": normal(3, 4, 2), "bias": normal(4, 2)},
            "key": {"kernel": normal(3, 4, 2)},
            "value": {"kernel": normal(3, 4, 2)},
        }
    }


def stepped(tx, params, logits, **options):
    updates = jax.tree.map(lambda p: 0.1 * p + 0.3, params)
    new, _ = jax.jit(tx.update)(updates, tx.init(params), params, max_logits=logits)
    return of.apply_updates(params, new), of.apply_updates(params, updates)


@pytest.mark.parametrize("alpha", [0.5, 0.2])
def test_new_parameters_are_scaled_head_by_head(alpha):
    tx = of.qk_clip(alpha=alpha)
    found, plain = stepped(tx, params(), {"attention": LOGITS})
    found, plain = found["attention"], plain["attention"]
    query, key = GAMMA**alpha, GAMMA ** (1 - alpha)
    # Sums of numbers of order 1.
    for name, scale in (("query", query), ("key", key), ("value", np.ones(4))):
        expected = plain[name]["kernel"] * scale[None, :, None]
        np.testing.assert_allclose(found[name]["kernel"], expected, 1e-5, 1e-6)
    expected = plain["query"]["bias"] * query[:, None]
    np.testing.assert_allclose(found["query"]["bias"], expected, 1e-5, 1e-6)


def test_logits_come_down_to_the_threshold():
    kernels = params()["attention"]
    x = jnp.asarray(np.random.default_rng(1).normal(size=(6, 3)), jnp.float32) * 20

    def logits(p):
        q, k = (jnp.einsum("bi,ihd->bhd", x, p[n]["kernel"]) for n in ("query", "key"))
        return jnp.einsum("bhd,chd->hbc", q, k).max(axis=(1, 2))

    largest = logits(kernels)
    assert largest.min() > 200
    weights = {n: {"kernel": kernels[n]["kernel"]} for n in ("query", "key")}
    tx, zeros = of.qk_clip(200.0), jax.tree.map(jnp.zeros_like, weights)
    updates, _ = tx.update(zeros, (), weights, max_logits={"": largest})
    found = logits(of.apply_updates(weights, updates))
    np.testing.assert_allclose(found, 200, 1e-4)


def test_shared_keys_and_axes_that_count_sizes_too():
    weights = {"query": jnp.ones((3, 8)), "key": jnp.ones((3, 4)), "q_pe": jnp.ones(4)}
    roles = {"query": "query", "key": "key", "q_pe": "query_rotary"}
    tx = of.qk_clip(roles=roles, head_axis=-1, key_heads=2)
    assert tx == of.qk_clip(roles=tuple(roles.items()), head_axis=-1, key_heads=2)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    updates, _ = tx.update(zeros, (), weights, max_logits={"": LOGITS})
    found = of.apply_updates(weights, updates)
    query, shared = np.sqrt(GAMMA), np.sqrt([0.25, 0.01])
    np.testing.assert_allclose(found["query"][0], np.repeat(query, 2), 1e-5)
    np.testing.assert_allclose(found["key"][0], np.repeat(shared, 2), 1e-5)
    np.testing.assert_allclose(found["q_pe"], GAMMA, 1e-5)
    # A separate axis says by itself how many heads there are.
    kernel = {"key": jnp.ones((3, 2, 5))}
    tx = of.qk_clip()
    updates, _ = tx.update(kernel, (), kernel, max_logits={"": LOGITS})
    expected = 2 * shared[None, :, None] - 1
    np.testing.assert_allclose(updates["key"], expected + np.zeros((3, 2, 5)), 1e-5)


def test_at_the_end_of_a_chain():
    tx = of.chain(of.sgd(0.1), of.qk_clip())
    weights = params()
    updates, _ = tx.update(
        weights, tx.init(weights), weights, max_logits={"attention": LOGITS}
    )
    found = of.apply_updates(weights, updates)["attention"]["query"]["kernel"]
    expected = 0.9 * weights["attention"]["query"]["kernel"]
    expected *= np.sqrt(GAMMA)[None, :, None]
    np.testing.assert_allclose(found, expected, 1e-5, 1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold must be above 0"),
        ({"alpha": 1.5}, "alpha must be at least 0 and at most 1"),
        ({"roles": {"k": "keys"}}, r"roles\['k'\] must be one of"),
        ({"key_heads": 0}, "key_heads must be at least 1"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        of.qk_clip(**options)


def test_wrong_layers_are_named():
    tx, weights = of.qk_clip(), params()
    with pytest.raises(TypeError, match="max_logits"):
        tx.update(weights, (), weights)

    def update(**logits):
        tx.update(weights, (), weights, max_logits=logits)

    with pytest.raises(ValueError, match=r"nothing for 'attention', .* it has 'attn'"):
        update(attn=LOGITS)
    with pytest.raises(ValueError, match=r"layers without parameters .*: 'decoder'"):
        update(attention=LOGITS, decoder=LOGITS)
    with pytest.raises(ValueError, match=r"3 heads do not fit axis -2 .*attention"):
        update(attention=LOGITS[:3])
    with pytest.raises(ValueError, match=r"an array \[heads\] .*\(2, 2\)"):
        update(attention=LOGITS.reshape(2, 2))
