"""Programs that write transformations of their own, and handle states by name."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .data import layers, network, regression

STEPS = 10


def trained(optax, tx, steps=STEPS, **extra):
    x, y = regression()
    params = layers((3, 8, 1))
    state = tx.init(params)

    @jax.jit
    def step(params, state):
        def loss_fn(p):
            return optax.l2_loss(network(p, x)[:, 0], y).mean()

        updates, state = tx.update(jax.grad(loss_fn)(params), state, params, **extra)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return params, state


def own_transformation(optax):
    """A pair of functions with a state of its own, in a chain."""

    class SmoothState(NamedTuple):
        average: optax.Updates
        count: jax.Array

    def smooth(decay: float) -> optax.GradientTransformation:
        def init(params: optax.Params) -> SmoothState:
            zeros = jax.tree.map(jnp.zeros_like, params)
            return SmoothState(zeros, jnp.zeros([], jnp.int32))

        def update(updates, state, params=None):
            count = optax.safe_increment(state.count)
            average = optax.update_moment(updates, state.average, decay, 1)
            corrected = optax.bias_correction(average, decay, count)
            return corrected, SmoothState(average, count)

        return optax.GradientTransformation(init, update)

    params, state = trained(optax, optax.chain(smooth(0.8), optax.sgd(0.1)))
    return params, state[0].average


def stateless_parts(optax):
    """Empty states, functions as transformations, and pairs taken apart."""

    def halve():
        def init(params: Any) -> optax.EmptyState:
            return optax.EmptyState()

        def update(updates, state, params=None):
            return jax.tree.map(lambda u: 0.5 * u, updates), state

        return optax.GradientTransformationExtraArgs(init=init, update=update)

    base = optax.adam(1e-2)
    slower = base._replace(update=lambda g, s, p=None: base[1](g, s, p))
    noted = optax.chain(
        halve(), slower, optax.identity(), optax.add_decayed_weights(0.0)
    )
    noted.schedule = lambda step: 1e-2
    params, state = trained(optax, noted)
    return params, state[1][0].nu, noted.schedule(0)


def state_by_name(optax):
    """Moments reset and rates read by the names of fields."""
    tx = optax.chain(optax.clip(1.0), optax.adamw(1e-2, weight_decay=0.1))
    params, state = trained(optax, tx)
    count = optax.tree_utils.tree_get(state, "count")
    state = optax.tree_utils.tree_set(state, mu=jax.tree.map(jnp.zeros_like, params))
    doubled = optax.tree_map_params(tx, lambda leaf: 2 * leaf, state)
    adam = doubled[1][0]._replace(count=count)
    assert isinstance(adam, optax.ScaleByAdamState)
    return adam.mu, adam.nu, adam.count, optax.tree.norm(adam.nu)


def careful(optax):
    """Skipped updates, a mask by a condition, and no NaN."""
    inner = optax.chain(
        optax.zero_nans(), optax.masked(optax.add_decayed_weights(0.1), True)
    )
    tx = optax.chain(inner, optax.apply_if_finite(optax.sgd(0.1, 0.9), 5))
    params, state = trained(optax, tx)
    return params, state[1].total_notfinite, state[1].last_finite


def piecewise(optax):
    """Steps and cycles of the rate, in the manner of vision benchmarks."""
    steps = optax.piecewise_constant_schedule(0.1, {3: 0.1, 6: 0.5})
    cycle = optax.cosine_onecycle_schedule(10, 0.1)
    restarts = optax.sgdr_schedule(
        [
            {"init_value": 0.0, "peak_value": p, "warmup_steps": 1, "decay_steps": 4}
            for p in (0.1, 0.05)
        ]
    )
    power = optax.polynomial_schedule(0.1, 0.01, 2.0, 8, transition_begin=2)
    found = [
        trained(optax, optax.sgd(rate, momentum=0.9))[0]
        for rate in (steps, cycle, restarts, power)
    ]
    counts = jnp.arange(12)
    return found, [jax.vmap(s)(counts) for s in (steps, cycle, restarts, power)]


PROGRAMS = (own_transformation, stateless_parts, state_by_name, careful, piecewise)
