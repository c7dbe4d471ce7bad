"""Reinforcement learning and GANs: several optimizers, targets, scans."""

import jax
import jax.numpy as jnp

from .data import layers, network, regression

STEPS = 10


def q_learning(optax):
    """A target network, updated softly and now and then."""
    x, reward = regression(n=12)
    params = layers((3, 8, 2))
    soft = hard = params
    tx = optax.chain(optax.clip(1.0), optax.rmsprop(1e-3, decay=0.95, eps=1e-2))
    state = tx.init(params)

    @jax.jit
    def step(params, state, soft, hard, count):
        def loss_fn(p):
            best = network(soft, x).max(axis=1)
            chosen = network(p, x)[:, 0]
            return optax.huber_loss(chosen, reward + 0.9 * best, delta=1.0).mean()

        updates, state = tx.update(jax.grad(loss_fn)(params), state)
        params = optax.apply_updates(params, updates)
        soft = optax.incremental_update(params, soft, 0.05)
        hard = optax.periodic_update(params, hard, count, 4)
        return params, state, soft, hard

    for i in range(STEPS):
        params, state, soft, hard = step(params, state, soft, hard, jnp.asarray(i))
    return params, soft, hard


def actor_and_critic(optax):
    """Two optimizers in one scan, with a linear rate as in PPO."""
    x, returns = regression(n=12)
    actor, critic = layers((3, 8, 2)), layers((3, 8, 1), seed=1)
    rate = optax.linear_schedule(3e-3, 0.0, STEPS)
    actor_tx = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5))
    critic_tx = optax.adam(learning_rate=3e-3)

    def step(carry, _):
        actor, critic, a_state, c_state = carry

        def critic_loss(p):
            return optax.l2_loss(network(p, x)[:, 0], returns).mean()

        def actor_loss(p):
            advantage = returns - network(critic, x)[:, 0]
            return -jnp.mean(jax.nn.log_softmax(network(p, x))[:, 0] * advantage)

        updates, a_state = actor_tx.update(jax.grad(actor_loss)(actor), a_state, actor)
        actor = optax.apply_updates(actor, updates)
        updates, c_state = critic_tx.update(jax.grad(critic_loss)(critic), c_state)
        return (actor, optax.apply_updates(critic, updates), a_state, c_state), None

    carry = (actor, critic, actor_tx.init(actor), critic_tx.init(critic))
    (actor, critic, a_state, _), _ = jax.lax.scan(step, carry, None, STEPS)
    return actor, critic, optax.tree_utils.tree_get(a_state, "nu")


def adversaries(optax):
    """A generator and a discriminator with their own Adam."""
    real, _ = regression(n=8, d=2)
    noise = jax.random.normal(jax.random.key(5), (8, 2))
    g, d = layers((2, 8, 2)), layers((2, 8, 1), seed=1)
    g_tx, d_tx = optax.adam(1e-3, b1=0.5), optax.adam(2e-3, b1=0.5, b2=0.9)
    g_state, d_state = g_tx.init(g), d_tx.init(d)

    def d_loss(d, g):
        logits = jnp.concatenate([network(d, real), network(d, network(g, noise))])
        labels = jnp.concatenate([jnp.ones((8, 1)), jnp.zeros((8, 1))])
        return optax.sigmoid_binary_cross_entropy(logits, labels).mean()

    def g_loss(g, d):
        logits = network(d, network(g, noise))
        return optax.sigmoid_binary_cross_entropy(logits, jnp.ones_like(logits)).mean()

    @jax.jit
    def step(g, d, g_state, d_state):
        updates, d_state = d_tx.update(jax.grad(d_loss)(d, g), d_state, d)
        d = optax.apply_updates(d, updates)
        updates, g_state = g_tx.update(jax.grad(g_loss)(g, d), g_state, g)
        return optax.apply_updates(g, updates), d, g_state, d_state

    for _ in range(STEPS):
        g, d, g_state, d_state = step(g, d, g_state, d_state)
    return g, d


def several_seeds(optax):
    """A sweep of rates and seeds under vmap, with the optimizer made inside."""
    x, y = regression()

    def train(rate, key):
        params = {"w": jax.random.normal(key, (3,))}
        tx = optax.sgd(rate, momentum=0.9, nesterov=True)

        def step(carry, _):
            params, state = carry
            grads = jax.grad(lambda p: optax.log_cosh(x @ p["w"], y).mean())(params)
            updates, state = tx.update(grads, state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), None, STEPS)[0][0]

    keys = jax.random.split(jax.random.key(0), 3)
    return jax.jit(jax.vmap(train))(jnp.array([0.1, 0.01, 0.001]), keys)


PROGRAMS = (q_learning, actor_and_critic, adversaries, several_seeds)
