"""Probabilistic models: diffusion, variational inference, Gaussian processes."""

import jax
import jax.numpy as jnp

from .data import layers, network, regression

STEPS = 10


def denoising(optax):
    """A diffusion model's step with an average of its parameters."""
    x, _ = regression(d=2)
    params = layers((3, 16, 2))
    average = params
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(b1=0.9, b2=0.99),
        optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, STEPS, alpha=0.1)),
        optax.scale(-2e-3),
    )
    state = tx.init(params)

    @jax.jit
    def step(params, state, average, key):
        noise, time = jax.random.normal(key, x.shape), jax.random.uniform(key, (16, 1))

        def loss_fn(p):
            noisy = (1 - time) * x + time * noise
            found = network(p, jnp.concatenate([noisy, time], axis=1))
            return jnp.mean(optax.squared_error(found, noise))

        updates, state = tx.update(jax.grad(loss_fn)(params), state, params)
        params = optax.apply_updates(params, updates)
        return params, state, optax.incremental_update(params, average, 0.01)

    for i in range(STEPS):
        params, state, average = step(params, state, average, jax.random.key(i))
    return params, average, state[2].count


def variational(optax):
    """A posterior of means and deviations, KL and reconstruction."""
    x, y = regression()
    params = {"mean": jnp.zeros(3), "log_std": jnp.zeros(3)}
    tx = optax.adabelief(1e-2)
    state = tx.init(params)

    @jax.jit
    def step(params, state, key):
        def negative_elbo(p):
            w = p["mean"] + jnp.exp(p["log_std"]) * jax.random.normal(key, (3,))
            kl = -p["log_std"] + 0.5 * (jnp.exp(2 * p["log_std"]) + p["mean"] ** 2)
            return optax.l2_loss(x @ w, y).sum() + kl.sum()

        updates, state = tx.update(jax.grad(negative_elbo)(params), state)
        return optax.apply_updates(params, updates), state

    for i in range(STEPS):
        params, state = step(params, state, jax.random.key(i))
    return params, state[0].mu, state[0].nu


def gaussian_process(optax):
    """Hyperparameters of a kernel, as scalars, by a loop that takes any optimizer."""
    x, y = regression(n=8, d=1)

    def likelihood(p):
        distance = (x - x.T) ** 2 / jnp.exp(2 * p["length"])
        kernel = jnp.exp(p["scale"] - 0.5 * distance) + 0.1 * jnp.eye(8)
        factor = jnp.linalg.cholesky(kernel)
        z = jax.scipy.linalg.solve_triangular(factor, y, lower=True)
        return 0.5 * z @ z + jnp.log(jnp.diag(factor)).sum()

    def fit(tx):
        assert isinstance(tx, optax.GradientTransformation)
        init, update = tx
        params = {"length": jnp.zeros(()), "scale": jnp.zeros(())}

        def step(carry, _):
            params, state = carry
            value, grads = jax.value_and_grad(likelihood)(params)
            updates, state = update(grads, state, params)
            return (optax.apply_updates(params, updates), state), value

        (params, _), values = jax.lax.scan(step, (params, init(params)), None, STEPS)
        return params, values

    return [
        fit(tx)
        for tx in (
            optax.adagrad(0.1),
            optax.adam(0.01),
            optax.lion(0.01),
            optax.adamax(0.01),
        )
    ]


def unrolled(optax):
    """Derivatives through the steps of an inner optimizer."""
    x, y = regression()

    def after(log_rate):
        tx = optax.adam(jnp.exp(log_rate), eps_root=1e-8)
        params = {"w": jnp.ones(3)}
        state = tx.init(params)
        for _ in range(3):
            grads = jax.grad(lambda p: optax.l2_loss(x @ p["w"], y).mean())(params)
            updates, state = tx.update(grads, state, params)
            params = optax.apply_updates(params, updates)
        return optax.l2_loss(x @ params["w"], y).mean()

    return jax.jit(jax.value_and_grad(after))(jnp.asarray(-3.0))


PROGRAMS = (denoising, variational, gaussian_process, unrolled)
