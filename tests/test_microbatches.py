"""Gradients in parts against the gradient of the whole, and the memory they take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

X = jax.random.normal(jax.random.key(0), (10, 3))
Y = {"target": jnp.arange(10, dtype=jnp.int32) % 2}
PARAMS = {"w": jnp.array([0.3, -0.2, 0.5]), "b": jnp.zeros(())}


def loss_fn(params, x, y):
    return with_aux(params, x, y)[0]


def with_aux(params, x, y):
    logits = jnp.tanh(x @ params["w"]) + params["b"]
    target = y["target"].astype(jnp.float32)
    losses = (logits - target) ** 2
    hits = (logits > 0.5) == (target > 0.5)
    return jnp.mean(losses), {
        "losses": losses,
        "mean": jnp.mean(logits),
        "hits": jnp.sum(hits, dtype=jnp.int32),
    }


def assert_close(found, expected):
    # Means of ten float32 numbers, added in another order.
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-7),
        found,
        expected,
    )
    jax.tree.map(lambda x, y: x.dtype == y.dtype, found, expected)


@pytest.mark.parametrize("size", [1, 4, 5, 10, 64])
def test_the_exact_mean(size):
    found = jax.jit(of.microbatched_value_and_grad(loss_fn, size))(PARAMS, X, Y)
    assert_close(found, jax.value_and_grad(loss_fn)(PARAMS, X, Y))


@pytest.mark.parametrize("size", [4, 64])
def test_aux(size):
    (_, aux), grads = jax.value_and_grad(with_aux, has_aux=True)(PARAMS, X, Y)

    def run(key, how):
        def function(params, x, y):
            loss, aux = with_aux(params, x, y)
            return loss, {key: aux[key]}

        fn = of.microbatched_value_and_grad(function, size, has_aux=True, aux=how)
        (_, found), found_grads = jax.jit(fn)(PARAMS, X, Y)
        assert_close(found_grads, grads)
        return found[key]

    assert_close(run("losses", "concatenate"), aux["losses"])
    assert_close(run("mean", "mean"), aux["mean"])
    hits = run("hits", "sum")
    assert hits.dtype == jnp.int32
    assert int(hits) == int(aux["hits"])


def test_narrow_gradients_are_summed_wide():
    params = jnp.ones((), jnp.bfloat16)
    x = jnp.ones(512, jnp.bfloat16)
    fn = of.microbatched_value_and_grad(lambda p, x: jnp.mean(p * x), 1)
    loss, grad = jax.jit(fn)(params, x)
    # In bfloat16 a sum of 1/512 stops growing at 0.5.
    assert (loss.dtype, grad.dtype) == (jnp.bfloat16, jnp.bfloat16)
    assert (float(loss), float(grad)) == (1, 1)


def test_less_memory():
    """Activations of one part and not of the whole batch, by the compiler's count."""

    def deep(params, x):
        for w in params:
            x = jnp.tanh(x @ w)
        return jnp.mean(x**2)

    params = [jnp.eye(16)] * 8
    x = jnp.ones((1024, 16))

    def temporaries(function):
        compiled = jax.jit(function).lower(params, x).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    whole = temporaries(jax.value_and_grad(deep))
    parts = temporaries(of.microbatched_value_and_grad(deep, 32))
    # 8 activations of 64 KB each; in parts a thirty-second of that, and gradients.
    assert whole >= 6 * x.nbytes
    assert parts < whole / 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: of.microbatched_value_and_grad(loss_fn, 0), "size must be at least 1"),
        (lambda: of.microbatched_value_and_grad(loss_fn, 2.0), "size must be an integ"),
        (
            lambda: of.microbatched_value_and_grad(loss_fn, 2, aux="max"),
            "aux must be one of",
        ),
        (
            lambda: of.microbatched_value_and_grad(loss_fn, 2)(PARAMS, X, X[:3]),
            "the same number along the first axis",
        ),
        (
            lambda: of.microbatched_value_and_grad(loss_fn, 2)(PARAMS, X[:0], X[:0]),
            "at least one example",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
