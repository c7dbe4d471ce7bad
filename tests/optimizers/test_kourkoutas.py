"""Kourkoutas-beta's options, beside its rule in NumPy, and what it is for."""

import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytestmark = pytest.mark.slow


def in_numpy(params, grads, *, pooled, decay, max_ratio, tiny, warmup):
    """Parameters after steps with the given gradients, for ``betas=(0.8, 0.95)``."""
    m, v, w, e, total = (dict.fromkeys(params, 0.0) for _ in range(5))
    for t, step in enumerate(grads, 1):
        whole = np.sqrt(sum(np.sum(g**2) for g in step.values()))
        for k, g in step.items():
            norm = whole if pooled else np.sqrt(np.sum(g**2))
            e[k] = 0.7 * e[k] + 0.3 * norm
            ratio = norm / (e[k] + 1e-8)
            share = 0.5 if t <= warmup else ratio / (1 + ratio)
            beta2 = 0.95 - (0.95 - 0.6) * share
            m[k] = 0.8 * m[k] + 0.2 * g
            v[k] = beta2 * v[k] + (1 - beta2) * g**2
            w[k] = np.maximum(decay * w[k], v[k])
            total[k] = beta2 * total[k] + 1 - beta2
            root = np.sqrt(w[k] / total[k]) + 1e-8
            root = root + tiny * max(np.abs(params[k]).mean(), 1)
            ratio = np.clip(m[k] / (1 - 0.8**t) / root, -max_ratio, max_ratio)
            params = params | {k: params[k] - 0.1 * ratio}
    return params


@pytest.mark.parametrize("pooled", [False, True])
def test_options(pooled, x64):
    rng = np.random.default_rng(0)
    shapes = {"a": (3,), "b": (2, 2)}
    params = {k: 3 * rng.normal(size=shape) for k, shape in shapes.items()}
    grads = [
        {k: rng.normal(size=s) * rng.choice([1, 20]) for k, s in shapes.items()}
        for _ in range(12)
    ]
    tx = of.kourkoutas(
        0.1,
        (0.8, 0.95),
        beta2_min=0.6,
        alpha=0.7,
        tiny_denom=1e-2,
        decay=0.9,
        max_ratio=0.8,
        adaptive_tiny=True,
        bias_correction="exact",
        warmup_steps=3,
        layers=(lambda path, leaf: "all") if pooled else None,
    )
    found = {k: jnp.asarray(p) for k, p in params.items()}
    state = tx.init(found)
    for step in grads:
        step = {k: jnp.asarray(g) for k, g in step.items()}
        updates, state = tx.update(step, state, found)
        found = of.apply_updates(found, updates)
    expected = in_numpy(
        params, grads, pooled=pooled, decay=0.9, max_ratio=0.8, tiny=1e-2, warmup=3
    )
    for k in shapes:
        np.testing.assert_allclose(found[k], expected[k], rtol=1e-12)


def test_adam_where_the_rate_has_no_room(x64):
    """With both rates alike it is Adam, with the other correction too."""
    params = jnp.array([1.0, -2.0])
    kwargs = {"betas": (0.9, 0.99), "eps": 1e-8}
    adam = of.adam(0.1, **kwargs)
    for correction in ("exact", "beta2max"):
        tx = of.kourkoutas(0.1, **kwargs, beta2_min=0.99, bias_correction=correction)
        ours, theirs = tx.init(params), adam.init(params)
        for t in range(5):
            grads = jnp.cos(t + params)
            found, ours = tx.update(grads, ours, params)
            expected, theirs = adam.update(grads, theirs, params)
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_burst_shortens_steps_at_once_and_not_for_long():
    """Quiet gradients, one a hundred times as large, quiet ones again."""
    grads = [1.0] * 300 + [100.0] + [1.0] * 100
    last = {}
    for name, tx in {
        "adam": of.adam(1.0, (0.0, 0.999)),
        "kourkoutas": of.kourkoutas(
            1.0, (0.0, 0.999), bias_correction="exact", beta2_min=0.8
        ),
    }.items():
        state = tx.init(jnp.ones(2))
        for grad in grads:
            updates, state = tx.update(jnp.full(2, grad), state)
            if grad > 1:
                last[name, "burst"] = float(-updates[0])
        last[name, "after"] = float(-updates[0])
    # The square of the burst counts a sixth at once, and is forgotten in 100 steps.
    assert last["kourkoutas", "burst"] < 0.3 * last["adam", "burst"]
    assert last["kourkoutas", "after"] > 2 * last["adam", "after"]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"beta2_min": 1.0}, "beta2_min must be at least 0 and below 1, found 1.0"),
        ({"alpha": 1.0}, "alpha must be at least 0 and below 1"),
        ({"tiny_spike": 0.0}, "tiny_spike must be above 0"),
        ({"decay": 1.5}, "decay must be at least 0 and at most 1"),
        ({"max_ratio": 0.0}, "max_ratio must be above 0"),
        ({"bias_correction": "adam"}, "bias_correction must be one of"),
    ],
)
def test_numbers_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        of.kourkoutas(**kwargs)


def test_layers_are_names():
    with pytest.raises(TypeError, match="layers must consist of names, found 1 at 'a'"):
        of.kourkoutas(layers={"a": 1})
