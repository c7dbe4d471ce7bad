"""The stateful Sophia, which needs the loss as a function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc import optim

pytestmark = pytest.mark.slow

PARAMS = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array([0.5])}


def loss_fn(params, batch):
    return jnp.sum(jnp.cosh(params["w"] * batch)) + jnp.sum(params["b"] ** 4)


def batches():
    return [jnp.array([0.1, 0.2, 0.3]) * (1 + i) for i in range(5)]


def options():
    return {"lr": 0.1, "gamma": 0.5, "update_interval": 2, "weight_decay": 0.1}


def expected():
    """By the pure transformation."""
    tx, params = of.sophia(**options()), PARAMS
    state = tx.init(params)
    for batch in batches():
        grads = jax.grad(loss_fn)(params, batch)

        def value_fn(params, batch=batch):
            return loss_fn(params, batch)

        updates, state = tx.update(grads, state, params, value_fn=value_fn)
        params = of.apply_updates(params, updates)
    return params, of.find_in_state(state, "hessian")


def by_steps(optimizer):
    for batch in batches():
        optimizer.zero_grad()
        optimizer.backward(loss_fn, batch)
        optimizer.step(value_fn=loss_fn, args=(batch,))


def by_compiled_steps(optimizer):
    train_step = optimizer.compile_step(loss_fn)
    for batch in batches():
        train_step(batch)


BUILDS = {
    "steps": (lambda: optim.Sophia(PARAMS, **options()), by_steps),
    "compiled": (lambda: optim.Sophia(PARAMS, **options()), by_compiled_steps),
    "any transformation": (
        lambda: optim.Stateful(of.sophia(**options()), PARAMS),
        by_compiled_steps,
    ),
}


@pytest.mark.parametrize("name", BUILDS)
def test_equals_the_pure_one(name):
    build, run = BUILDS[name]
    optimizer = build()
    run(optimizer)
    params, hessian = expected()
    # The curvature is not 0, or the estimate would not matter.
    assert np.all(np.asarray(hessian["w"]) > 0)
    for key in PARAMS:
        # Numbers near 1 in float32.
        np.testing.assert_allclose(optimizer.params[key], params[key], atol=1e-6)


def test_groups_see_the_whole_loss():
    """Each group's function has the other's parameters held where they are."""
    groups = [{"params": {"w": PARAMS["w"]}}, {"params": {"b": PARAMS["b"]}}]

    def of_groups(groups, batch):
        return loss_fn({**groups[0], **groups[1]}, batch)

    optimizer = optim.Sophia(groups, **options())
    train_step = optimizer.compile_step(of_groups)
    for batch in batches():
        train_step(batch)
    # The diagonal of this loss is that of its parts, with any signs.
    params, _ = expected()
    for group, key in zip(optimizer.params, ("w", "b"), strict=True):
        np.testing.assert_allclose(group[key], params[key], atol=1e-6)


def test_a_checkpoint_continues():
    first = optim.Sophia(PARAMS, **options())
    by_steps(first)
    second = optim.Sophia(first.params, **options())
    second.load_state_dict(first.state_dict())
    by_steps(first)
    by_steps(second)
    for key in PARAMS:
        np.testing.assert_array_equal(first.params[key], second.params[key])


def test_without_the_function():
    optimizer = optim.Sophia(PARAMS)
    with pytest.raises(TypeError, match="needs the loss as a function, found value_fn"):
        optimizer.step(grads=PARAMS)
