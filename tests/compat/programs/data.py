"""What the programs train on: small, and the same at every run."""

import jax
import jax.numpy as jnp


def regression(seed=0, n=16, d=3):
    x = jax.random.normal(jax.random.key(seed), (n, d))
    return x, jnp.sin(x @ jnp.arange(1.0, d + 1))


def classes(seed=0, n=16, d=4, k=3):
    x = jax.random.normal(jax.random.key(seed), (n, d))
    return x, jnp.argmax(x[:, :k], axis=1)


def layers(sizes, seed=0):
    """Parameters of a network of dense layers."""
    keys = jax.random.split(jax.random.key(seed), len(sizes) - 1)
    return {
        f"layer{i}": {
            "kernel": jax.random.normal(key, (m, n)) / m**0.5,
            "bias": jnp.zeros(n),
        }
        for i, (key, m, n) in enumerate(zip(keys, sizes, sizes[1:], strict=False))
    }


def network(params, x):
    *hidden, last = params.values()
    for layer in hidden:
        x = jnp.tanh(x @ layer["kernel"] + layer["bias"])
    return x @ last["kernel"] + last["bias"]
