"""Names as they are, by other names, and of submodules."""

import jax.numpy as jnp
import optax as ox
from optax import adam as make_adam, chain
from optax.schedules import exponential_decay

params = {"head": jnp.array([1.0, -2.0]), "body": jnp.array([[0.5], [0.25]])}
labels = {"head": "fast", "body": "slow"}
tx = chain(
    ox.clip(0.5),
    ox.multi_transform(
        {
            "fast": make_adam(exponential_decay(1e-1, 4, 0.5), nesterov=True),
            "slow": ox.rmsprop(1e-2),
        },
        labels,
    ),
)
state = tx.init(params)
for i in range(6):
    grads = {name: p * (i + 1) for name, p in params.items()}
    updates, state = tx.update(grads, state, params)
    params = ox.apply_updates(params, updates)
result = params
