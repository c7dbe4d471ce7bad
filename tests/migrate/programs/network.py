"""A classifier: clip, AdamW with a mask, warmup and cosine, averaged parameters."""

import jax
import jax.numpy as jnp
import optax

keys = jax.random.split(jax.random.key(0), 3)
x = jax.random.normal(keys[0], (32, 4))
y = (x[:, 0] > x[:, 1]).astype(jnp.int32)
params = {
    "w1": 0.5 * jax.random.normal(keys[1], (4, 8)),
    "b1": jnp.zeros(8),
    "w2": 0.5 * jax.random.normal(keys[2], (8, 2)),
}


def decays(params):
    return jax.tree.map(lambda p: p.ndim > 1, params)


# The rate rises, and falls along a cosine.
schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-2, 3, 12, end_value=1e-3)
tx = optax.chain(
    # no step of a bad batch
    optax.clip_by_global_norm(1.0),
    optax.adamw(schedule, b2=0.95, mask=decays),
)


def loss_fn(params):
    hidden = jnp.tanh(x @ params["w1"] + params["b1"][None])
    logits = hidden @ params["w2"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


@jax.jit
def step(params: optax.Params, state: optax.OptState, average: optax.Params):
    loss, grads = jax.value_and_grad(loss_fn)(params)
    updates, state = tx.update(grads, state, params)
    params = optax.apply_updates(params, updates)
    average = optax.incremental_update(params, average, step_size=0.1)
    return params, state, average, loss


state, average, losses = tx.init(params), params, []
for _ in range(12):
    params, state, average, loss = step(params, state, average)
    losses.append(loss)
result = params, average, losses
