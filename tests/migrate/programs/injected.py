"""A rate that the program changes in the state, and batches in parts."""

import jax.numpy as jnp
import optax

params = jnp.array([1.0, -2.0, 3.0])
tx = optax.MultiSteps(
    optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.9),
    every_k_schedule=2,
)
state = tx.init(params)
for i in range(6):
    updates, state = tx.update(2 * params, state, params)
    params = optax.apply_updates(params, updates)
    if i == 3:
        state.inner_opt_state.hyperparams["learning_rate"] = jnp.asarray(0.01)
result = params
