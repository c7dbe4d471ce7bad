"""MARS: recorded runs of the authors' code, NumPy, and its second gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .authors import assert_follows


def kind(path, leaf):
    return "matrix" if leaf.ndim == 2 else "other"


@pytest.mark.parametrize("mars_type", ["mars-adamw", "mars-lion"])
def test_recorded_runs(mars_type, x64):
    tx = of.mars(0.1, weight_decay=0.01, mars_type=mars_type)
    assert_follows(mars_type.replace("-", "_"), tx)


def test_recorded_run_of_the_orthogonalization(x64):
    tx = of.mars(0.1, weight_decay=0.01, mars_type="mars-shampoo", ns_dtype=jnp.float64)
    # The authors add 1e-7 to the norm of a matrix where ours is at least 1e-7.
    assert_follows("mars_shampoo", tx, atol=2e-8)


def test_vectors_as_the_authors_have_them(x64):
    """AdamW, with a learning rate of its own: here by a partition."""
    tx = of.partition(
        {"matrix": of.mars(0.1), "other": of.adamw(0.003, (0.9, 0.95), 1e-8, 0.1)}, kind
    )
    assert_follows("mars_1d", tx)


def gradient(params, batch, numpy=np):
    return 0.3 * params + numpy.sin(params + batch)


BATCHES = np.random.default_rng(1).normal(size=(20, 2, 3))


def restated(betas, eps, gamma, lr, weight_decay, sign):
    """Exact MARS-AdamW in NumPy; the path of the parameters."""
    before = params = np.linspace(-2.0, 2.0, 6).reshape(2, 3)
    m = v = 0.0
    path = []
    for t, batch in enumerate(BATCHES, 1):
        grad, old = gradient(params, batch), gradient(before, batch)
        c = grad + gamma * betas[0] / (1 - betas[0]) * (grad - old)
        c = c / max(1, np.linalg.norm(c))
        m = betas[0] * m + (1 - betas[0]) * c
        v = betas[1] * v + (1 - betas[1]) * c**2
        d = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        before, params = params, params - lr * (sign * d + weight_decay * params)
        path.append(params)
    return np.stack(path)


@pytest.mark.parametrize("maximize", [False, True])
def test_the_exact_form_against_numpy(maximize, x64):
    numbers = {"betas": (0.8, 0.9), "eps": 1e-3, "gamma": 0.1, "weight_decay": 0.2}
    tx = of.mars(0.05, is_approx=False, maximize=maximize, **numbers)
    before = params = jnp.linspace(-2.0, 2.0, 6).reshape(2, 3)
    state = tx.init(params)
    assert of.find_in_state(state, "last_grad") is None
    update = jax.jit(tx.update)
    path = restated(lr=0.05, sign=-1 if maximize else 1, **numbers)
    for batch, expected in zip(jnp.asarray(BATCHES), path, strict=True):
        grads, old = (gradient(p, batch, jnp) for p in (params, before))
        updates, state = update(grads, state, params, previous_grad=old)
        before, params = params, of.apply_updates(params, updates)
        np.testing.assert_allclose(params, expected, 0, 1e-12)


def test_the_second_gradient_reaches_the_part_it_is_of():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    grads = jax.tree.map(lambda p: 0.3 * p, params)
    before = jax.tree.map(lambda p: 0.1 * p, params)
    tx = of.partition({"matrix": of.mars(is_approx=False), "other": of.sgd(0.1)}, kind)
    found, _ = tx.update(grads, tx.init(params), params, previous_grad=before)
    alone = of.mars(is_approx=False)
    kernels = [tree["kernel"] for tree in (grads, params, before)]
    expected, _ = alone.update(
        kernels[0], alone.init(kernels[1]), kernels[1], previous_grad=kernels[2]
    )
    np.testing.assert_array_equal(found["kernel"], expected)


# --- what it is made for --------------------------------------------------------------

STEPS, SIZE = 300, 12
CURVATURE = np.geomspace(0.01, 1, SIZE)


def batch_loss(params, batch):
    """Of finding a matrix from four noisy examples of what it does."""
    inputs, noise = batch
    return 0.5 * jnp.mean(jnp.sum((inputs @ params + noise) ** 2, 1))


@jax.jit
def best_loss(tx, start, batches):
    """The exact loss at the end, with the best of a few learning rates."""

    def final(lr):
        changed = of.replace_hyperparameters(tx, lr=lr)

        def step(carry, batch):
            params, before, state = carry
            grads, old = (jax.grad(batch_loss)(p, batch) for p in (params, before))
            updates, state = changed.update(grads, state, params, previous_grad=old)
            return (of.apply_updates(params, updates), params, state), None

        (params, _, _), _ = jax.lax.scan(
            step, (start, start, changed.init(start)), batches
        )
        return 0.5 * jnp.sum(CURVATURE[:, None] * params**2)

    return jnp.min(jax.vmap(final)(jnp.array([0.01, 0.03, 0.1, 0.3])))


@pytest.mark.parametrize("seed", range(3))
def test_less_noise_than_adamw_from_the_same_batches(seed):
    rng = np.random.default_rng(seed)
    inputs, noise = rng.normal(size=(2, STEPS, 4, SIZE))
    start, *batches = (
        jnp.asarray(x, jnp.float32)
        for x in (rng.normal(size=(SIZE, SIZE)), inputs * np.sqrt(CURVATURE), noise)
    )
    betas = (0.95, 0.99)
    ours = best_loss(of.mars(betas=betas, gamma=1.0, is_approx=False), start, batches)
    others = [
        of.mars(betas=betas, gamma=0.0, is_approx=False),
        *(of.adamw(betas=(b, 0.99), weight_decay=0.0) for b in (0.9, 0.95, 0.99)),
    ]
    for tx in others:
        assert ours < 0.8 * best_loss(tx, start, batches)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mars_type": "adamw"}, "mars_type must be one of .*, found 'adamw'"),
        ({"gamma": -1.0}, "gamma must be at least 0, found -1.0"),
        ({"betas": (1.0, 0.9)}, r"betas\[0\] must be at least 0 and below 1"),
        ({"eps": -1.0}, "eps must be at least 0"),
        ({"ns_dtype": "int32"}, "ns_dtype must be a real floating-point dtype"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        of.mars(**arguments)


def test_what_does_not_fit():
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(3)}
    with pytest.raises(ValueError, match=r"only matrices, found shape \(3,\) at 'b'"):
        of.mars(mars_type="mars-shampoo").init(params)
    with pytest.raises(TypeError, match="takes only real floating-point parameters"):
        of.mars(mars_type="mars-shampoo").init(jnp.ones((2, 2), "complex64"))
    exact, approximate = of.mars(is_approx=False), of.mars()
    with pytest.raises(TypeError, match="needs previous_grad, the gradient of this"):
        exact.update(params, exact.init(params), params)
    with pytest.raises(ValueError, match="made by scale_by_mars with is_approx=False"):
        approximate.update(params, exact.init(params), params)
    with pytest.raises(TypeError, match="did you mean 'previous_grad'"):
        exact.update(params, exact.init(params), params, previous_grads=params)
    with pytest.raises(ValueError, match="previous_grad has no leaf at 'b'"):
        exact.update(params, exact.init(params), params, previous_grad={"w": 1.0})
    other = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    with pytest.raises(ValueError, match="updates and previous_grad differ in shape"):
        exact.update(params, exact.init(params), params, previous_grad=other)


def test_the_stateful_class_loads_the_authors_state():
    params = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3)}
    grads = jax.tree.map(lambda p: 0.3 * p + 0.1, params)
    ours = of.optim.MARS(params, lr=0.1)
    ours.step(grads=grads)
    saved = ours.state_dict()
    assert [*saved["state"][0]] == ["step", "exp_avg", "exp_avg_sq", "last_grad"]
    # Groups of the authors' class, which has no dtype of the orthogonalization.
    group = {
        **{"lr": 0.1, "betas": (0.95, 0.99), "eps": 1e-8, "weight_decay": 0.0},
        **{"amsgrad": False, "gamma": 0.025, "mars_type": "mars-adamw"},
        **{"optimize_1d": False, "weight_decay_1d": 0.1, "is_approx": True},
        "params": [0],
    }
    other = of.optim.MARS(ours.params)
    other.load_state_dict({"state": saved["state"], "param_groups": [group]})
    for optimizer in (ours, other):
        optimizer.step(grads=grads)
    np.testing.assert_array_equal(other.params["w"], ours.params["w"])
