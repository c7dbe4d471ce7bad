"""Vision and language: schedules, masks, clipping, states that are read."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .data import classes, layers, network, regression

STEPS = 12


def classifier(optax):
    """A class that holds everything, annotated with optax's types."""
    x, y = classes()

    class Train(NamedTuple):
        params: optax.Params
        opt_state: optax.OptState

    def loss_fn(params):
        losses = optax.softmax_cross_entropy_with_integer_labels(network(params, x), y)
        return losses.mean()

    tx = optax.adam(learning_rate=1e-2, b1=0.9, b2=0.99)

    @jax.jit
    def step(train: Train) -> Train:
        grads = jax.grad(loss_fn)(train.params)
        updates, opt_state = tx.update(grads, train.opt_state)
        return Train(optax.apply_updates(train.params, updates), opt_state)

    params = layers((4, 8, 3))
    train = Train(params, tx.init(params))
    for _ in range(STEPS):
        train = step(train)
    return train.params, train.opt_state[0].mu, train.opt_state[0].count


def warmup_and_cosine(optax):
    """A language model's optimizer: clip, AdamW with a mask, warmup and cosine."""
    x, y = classes()
    params = layers((4, 8, 3))
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=1e-2,
        warmup_steps=3,
        decay_steps=STEPS,
        end_value=1e-3,
    )
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(
            schedule,
            b2=0.95,
            weight_decay=0.1,
            mask=lambda p: jax.tree.map(lambda leaf: leaf.ndim > 1, p),
        ),
    )
    labels = optax.smooth_labels(jax.nn.one_hot(y, 3), 0.1)

    @jax.jit
    def step(params, state):
        def loss_fn(p):
            return optax.softmax_cross_entropy(network(p, x), labels).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, optax.tree.norm(grads), loss

    state, log = tx.init(params), []
    for i in range(STEPS):
        params, state, norm, loss = step(params, state)
        log.append((norm, loss, schedule(i)))
    return params, log, schedule(jnp.arange(STEPS + 2))


def accumulated_batches(optax):
    """Micro-batches, and the step counts read from the state."""
    x, y = regression()
    tx = optax.MultiSteps(optax.adamw(1e-2), every_k_schedule=4)
    params = layers((3, 8, 1))
    state, log = tx.init(params), []

    @jax.jit
    def step(params, state, x, y):
        def loss_fn(p):
            return optax.l2_loss(network(p, x)[:, 0], y).mean()

        updates, state = tx.update(jax.grad(loss_fn)(params), state, params)
        return optax.apply_updates(params, updates), state

    for i in range(STEPS):
        part = slice(4 * (i % 4), 4 * (i % 4) + 4)
        params, state = step(params, state, x[part], y[part])
        log.append((state.mini_step, state.gradient_step, tx.has_updated(state)))
    return params, log, state.acc_grads, state.inner_opt_state[0].nu


def fine_tuning(optax):
    """Frozen layers by labels, and another rate for the head."""
    x, y = classes()
    params = layers((4, 8, 8, 3))
    labels = {
        name: jax.tree.map(lambda _: kind, params[name])  # noqa: B023
        for name, kind in (("layer0", "frozen"), ("layer1", "slow"), ("layer2", "fast"))
    }
    tx = optax.multi_transform(
        {
            "frozen": optax.set_to_zero(),
            "slow": optax.sgd(1e-2, momentum=0.9),
            "fast": optax.adam(optax.exponential_decay(1e-2, 5, 0.5)),
        },
        labels,
    )
    state = tx.init(params)

    @jax.jit
    def step(params, state):
        def loss_fn(p):
            logits = network(p, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).sum()

        updates, state = tx.update(jax.grad(loss_fn)(params), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(STEPS):
        params, state = step(params, state)
    return params, state.inner_states["fast"].inner_state[0].nu["layer2"]


def injected_rate(optax):
    """The rate in the state: read for the log, and set by hand."""
    x, y = regression()
    params = layers((3, 8, 1))
    tx = optax.inject_hyperparams(optax.adamw)(
        learning_rate=optax.linear_schedule(0.0, 1e-2, 5), weight_decay=1e-2
    )
    state, log = tx.init(params), []

    @jax.jit
    def step(params, state):
        def loss_fn(p):
            return optax.huber_loss(network(p, x)[:, 0], y).mean()

        updates, state = tx.update(jax.grad(loss_fn)(params), state, params)
        return optax.apply_updates(params, updates), state

    for i in range(STEPS):
        params, state = step(params, state)
        log.append(state.hyperparams["learning_rate"])
        if i == STEPS // 2:
            state.hyperparams["weight_decay"] = jnp.asarray(0.5)
    return params, log, state.hyperparams["weight_decay"]


def lamb_with_averages(optax):
    """LAMB, a target average of the parameters, and updates of the norm logged."""
    x, y = regression()
    params = layers((3, 8, 1))
    average = params
    tx = optax.lamb(optax.join_schedules([lambda t: 1e-3 * t, lambda t: 1e-2], [4]))
    state = tx.init(params)

    @partial(jax.jit, donate_argnums=1)
    def step(params, state, average):
        def loss_fn(p):
            return jnp.mean(optax.squared_error(network(p, x)[:, 0], y))

        updates, state = tx.update(jax.grad(loss_fn)(params), state, params)
        params = optax.apply_updates(params, updates)
        average = optax.incremental_update(params, average, step_size=0.1)
        return params, state, average, optax.tree_utils.tree_norm(updates)

    norms = []
    for _ in range(STEPS):
        params, state, average, norm = step(params, state, average)
        norms.append(norm)
    return params, average, norms


PROGRAMS = (
    classifier,
    warmup_and_cosine,
    accumulated_batches,
    fine_tuning,
    injected_rate,
    lamb_with_averages,
)
