"""Relatives of Adam, beside their authors' implementations, optax and formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .authors import PROBLEMS, assert_follows

pytestmark = pytest.mark.slow

RECORDED = {
    "ademamix": lambda: of.ademamix(0.1, alpha=5.0, weight_decay=0.01),
    "ademamix_torch": lambda: of.ademamix(0.1, weight_decay=0.01),
    "ademamix_torch_warmup": lambda: of.ademamix(
        0.1, alpha=5.0, beta3_warmup=10, alpha_warmup=10
    ),
    "adopt": lambda: of.adopt(0.1),
    "adopt_nesterov": lambda: of.adopt(0.1, nesterov=True),
    "adopt_torch": lambda: of.adopt(0.1, weight_decay=0.01, decouple=True),
    "simplified_ademamix": lambda: of.simplified_ademamix(
        0.01, alpha=2.0, weight_decay=0.01
    ),
    "optimistic_gradient_descent": lambda: of.optimistic_gradient_descent(
        0.1, beta=0.5
    ),
    "optimistic_adam": lambda: of.optimistic_adam(0.1, beta=0.05 / 0.1, nesterov=True),
    "optimistic_adam_v2": lambda: of.optimistic_adam(0.1, beta=0.5, nesterov=True),
    "polyak_sgd": lambda: of.polyak_sgd(0.2),
    "polyak_sgd_spsplus": lambda: of.polyak_sgd(f_min=9.0, eps=0.1, variant="sps+"),
    "momo": of.momo,
    "momo_adam": lambda: of.momo_adam(0.1),
    "laprop": lambda: of.laprop(0.1, weight_decay=0.01),
    "laprop_centered": lambda: of.laprop(
        0.1, centered=True, steps_before_using_centered=1
    ),
    "stableadamw": lambda: of.stableadamw(0.1),
    "stableadamw_decouple_lr": lambda: of.stableadamw(
        0.1, weight_decay=1e-3, decouple_lr=True
    ),
    "adam_atan2": lambda: of.adam_atan2(0.1, weight_decay=0.01),
    "rmsprop": lambda: of.rmsprop(0.1, 0.9, momentum=0.9, eps_in_sqrt=True),
    "rmsprop_bias_correction": lambda: of.rmsprop(0.1, 0.9, bias_correction=True),
    "rmsprop_centered": lambda: of.rmsprop(
        0.1, 0.9, momentum=0.5, centered=True, eps_in_sqrt=True, nesterov=True
    ),
    "adagrad_optax": lambda: of.adagrad(
        0.1, initial_accumulator_value=0.1, eps=1e-7, eps_in_sqrt=True
    ),
    "adamaxw": lambda: of.adamax(0.1, weight_decay=0.01, decoupled_weight_decay=True),
    "nadam_optax": lambda: of.adam(0.1, nesterov=True),
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_runs_of_the_authors(name, x64):
    assert_follows(name, RECORDED[name]())


def test_cautious_atan2(x64):
    tx = of.adam_atan2(0.1, weight_decay=0.01, cautious_wd=True, cautious_factor=0.0)
    # The package rounds the share that decays to float32.
    assert_follows("adam_atan2_cautious", tx, atol=2e-7)


def test_momo_with_an_adapted_bound(x64):
    tx = of.momo(
        weight_decay=0.01,
        lower_bound=-1.0,
        adapt_lower_bound=True,
        divide_step=False,
    )
    assert_follows(
        "momo_adaptlb_wd", tx, read=lambda state, _: of.find_in_state(state, "lb")
    )


def with_loss(tx, value_fn):
    """``tx``, shown another loss than the gradients are of."""

    def update(updates, state, params, **extra):
        return tx.update(updates, state, params, **(extra | {"value_fn": value_fn}))

    return of.as_transformation(optax.GradientTransformationExtraArgs(tx.init, update))


def test_sophia_with_the_exact_diagonal(x64):
    # The Hessian of this loss is the diagonal of that of the run: signs do not matter.
    diagonal = jnp.diag(jnp.asarray(PROBLEMS["V"]["H"]))
    tx = of.sophia(0.1, update_interval=2)
    tx = with_loss(tx, lambda params: 0.5 * jnp.sum(diagonal * params**2))
    assert_follows("sophia_h_diag", tx)


def test_sophia_g(x64):
    h = jnp.asarray(PROBLEMS["V"]["H"])

    def extra(params, i):
        return {"sampled_grad": 0.5 * h @ params} if i in (0, 2) else {}

    assert_follows("sophia_g", of.sophia_g(0.1, bs=10.0), extra=extra)


# --- options that are not in the recorded runs ----------------------------------------

STEPS = 20


def start():
    rng = np.random.default_rng(0)
    return {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=4)}


def trajectory(update, arrays):
    """The parameters after each step along gradients of a quadratic with noise.

    ``update`` is a function of ``(grads, params, value)`` that returns what to add.
    """
    rng = np.random.default_rng(1)
    params, found = start(), []
    for _ in range(STEPS):
        grads = {k: p + rng.normal(size=p.shape) for k, p in params.items()}
        value = 1 + sum(0.5 * np.sum(p**2) for p in params.values())
        given = (grads, params, value)
        updates = update(*(jax.tree.map(jnp.asarray, given) if arrays else given))
        params = {k: p + np.asarray(updates[k]) for k, p in params.items()}
        found.append(params)
    return found


def of_transformation(tx):
    state = tx.init(jax.tree.map(jnp.asarray, start()))

    @jax.jit
    def step(state, grads, params, value):
        return tx.update(grads, state, params, value=value)

    def update(*given):
        nonlocal state
        updates, state = step(state, *given)
        return updates

    return update


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        for key, value in theirs.items():
            np.testing.assert_allclose(ours[key], value, rtol=0, atol=1e-9)


def falling(t):
    return 0.1 / (1 + jnp.asarray(t, float))


def growing(t):
    return 0.2 * jnp.asarray(t, float)


def slower(t):
    return 0.9 + 0.004 * jnp.asarray(t, float)


contrib = optax.contrib
OPTAX = {
    "ademamix with schedules": (
        lambda: of.ademamix(0.01, (0.9, 0.99, slower), growing),
        lambda: contrib.ademamix(0.01, 0.9, 0.99, slower, growing),
    ),
    "ademamix without a fast average": (
        lambda: of.ademamix(0.01, (0.0, 0.99, 0.999), 3.0),
        lambda: contrib.ademamix(0.01, 0.0, 0.99, 0.999, 3.0),
    ),
    "simplified_ademamix": (
        lambda: of.simplified_ademamix(0.001, alpha=3.0, eps=1e-3, weight_decay=0.1),
        lambda: contrib.simplified_ademamix(
            0.001, alpha=3.0, eps=1e-3, weight_decay=0.1
        ),
    ),
    "adopt without clipping": (
        lambda: of.adopt(0.01, (0.8, 0.9), 0.1, None),
        lambda: contrib.adopt(0.01, 0.8, 0.9, 0.1, use_clipping=False),
    ),
    "adopt with another bound": (
        lambda: of.adopt(0.01, clip_lambda=lambda step: 0.1 * step, nesterov=True),
        lambda: contrib.adopt(
            0.01, clip_value_fn=lambda step: 0.1 * step, nesterov=True
        ),
    ),
    "optimistic_gradient_descent": (
        lambda: of.optimistic_gradient_descent(0.1, 0.7, 0.4),
        lambda: optax.optimistic_gradient_descent(0.1, 0.7, 0.4),
    ),
    "optimistic_adam": (
        lambda: of.optimistic_adam(0.01, alpha=0.7, beta=0.4),
        lambda: optax.optimistic_adam_v2(0.01, alpha=0.7, beta=0.4, nesterov=False),
    ),
    "polyak_sgd": (
        lambda: of.polyak_sgd(0.2, 1.0, 0.5, 0.01, "sps+"),
        lambda: optax.polyak_sgd(0.2, 1.0, 0.5, 0.01, "sps+"),
    ),
    "momo": (
        lambda: of.momo(0.3, 0.8, 0.1, lower_bound=0.5, divide_step=False),
        lambda: contrib.momo(0.3, 0.8, 0.5, 0.1),
    ),
    "momo with an adapted bound": (
        lambda: of.momo(lower_bound=-9.0, adapt_lower_bound=True),
        lambda: contrib.momo(lower_bound=-9.0, adapt_lower_bound=True),
    ),
    "momo_adam": (
        lambda: of.momo_adam(
            0.5, (0.8, 0.9), 0.1, 0.1, lower_bound=0.5, divide_step=False
        ),
        lambda: contrib.momo_adam(0.5, 0.8, 0.9, 0.1, 0.5, 0.1),
    ),
    "momo_adam with an adapted bound": (
        lambda: of.momo_adam(0.5, lower_bound=-9.0, adapt_lower_bound=True),
        lambda: contrib.momo_adam(0.5, lower_bound=-9.0, adapt_lower_bound=True),
    ),
    "adam with nesterov and a schedule": (
        lambda: of.adam(falling, (0.8, 0.9), 0.1, nesterov=True),
        lambda: optax.nadam(falling, 0.8, 0.9, 0.1),
    ),
    "rmsprop as in TensorFlow": (
        lambda: of.rmsprop(0.01, 0.9, 0.1, initial_scale=1.0, eps_in_sqrt=True),
        lambda: optax.rmsprop(0.01, 0.9, 0.1, 1.0),
    ),
    "rmsprop with all options": (
        lambda: of.rmsprop(
            0.01,
            0.9,
            0.1,
            momentum=0.5,
            centered=True,
            initial_scale=2.0,
            eps_in_sqrt=True,
            bias_correction=True,
            nesterov=True,
        ),
        lambda: optax.rmsprop(
            0.01,
            0.9,
            0.1,
            2.0,
            centered=True,
            momentum=0.5,
            nesterov=True,
            bias_correction=True,
        ),
    ),
    "adagrad": (
        lambda: of.adagrad(0.1, eps=0.1, eps_in_sqrt=True),
        lambda: optax.adagrad(0.1, 0.0, 0.1),
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_options_beside_optax(name, x64):
    ours, theirs = (build() for build in OPTAX[name])
    found = trajectory(of_transformation(ours), arrays=True)
    # optax counts on promotion in float64.
    with jax.numpy_dtype_promotion("standard"):
        theirs = optax.with_extra_args_support(theirs)
        expected = trajectory(of_transformation(theirs), arrays=True)
    assert_same(found, expected)


def ademamix_formula(betas, alpha, warmup):
    """The warm-ups of the paper's appendix, in half-lives."""

    def half_life(beta):
        return np.log(0.5) / np.log(beta + 1e-8) - 1

    def rule(state, t, g, p):
        share = t / warmup
        b3, a = betas[2], alpha
        if share < 1:
            mixed = (1 - share) * half_life(betas[0]) + share * half_life(betas[2])
            b3, a = 0.5 ** (1 / (mixed + 1)), share * alpha
        m1 = state["m1"] = betas[0] * state["m1"] + (1 - betas[0]) * g
        v = state["v"] = betas[1] * state["v"] + (1 - betas[1]) * g**2
        m2 = state["m2"] = b3 * state["m2"] + (1 - b3) * g
        mean = m1 / (1 - betas[0] ** t) + a * m2
        return -0.01 * mean / (np.sqrt(v / (1 - betas[1] ** t)) + 1e-8)

    return rule


def adopt_formula(state, t, g, p):
    """Coupled decay: a part of the gradient."""
    g = g + 0.1 * p
    v, m = state["v"], state["m1"]
    state["v"] = g**2 if t == 1 else 0.9999 * v + 1e-4 * g**2
    if t == 1:
        return 0 * g
    bound = (t - 1) ** 0.25
    x = np.clip(g / np.maximum(np.sqrt(v), 1e-6), -bound, bound)
    state["m1"] = 0.9 * m + 0.1 * x
    return -0.01 * state["m1"]


def laprop_formula(state, t, g, p):
    lr = falling(t - 1)
    v = state["v"] = 0.99 * state["v"] + 0.01 * g**2
    a = state["m2"] = 0.99 * state["m2"] + 0.01 * g
    w = v - a**2 if t > 10 else v
    x = g / (np.sqrt(w) / np.sqrt(1 - 0.99**t) + 1e-15)
    m = state["m1"] = 0.8 * state["m1"] + 0.2 * lr * x
    # The average of the learning rates, by its definition.
    rates = [0.2 * 0.8 ** (t - i) * falling(i - 1) for i in range(1, t + 1)]
    step = -m * lr / sum(rates)
    return step - lr * 0.1 * (p + step)


def stableadamw_formula(state, t, g, p):
    # Means of all gradients so far, by their definition.
    state.setdefault("all", []).append(g)
    w1, w2 = (np.array([b ** (t - i) for i in range(1, t + 1)]) for b in (0.8, 0.9))
    m = sum(w * x for w, x in zip(w1, state["all"], strict=True)) / sum(w1)
    v = sum(w * x**2 for w, x in zip(w2, state["all"], strict=True)) / sum(w2)
    size = np.sqrt(np.mean(g**2 / np.maximum(v, 1e-12)))
    lr = falling(t - 1) / max(1, size)
    return -lr * m / (np.sqrt(v) + 1e-6) - lr / 0.2 * 0.1 * p


def polyak_formula(state, t, g, p):
    """With the largest step, 0.01, which all are near these parameters."""
    return -falling(t - 1) * 0.01 * g


def adam_atan2_formula(state, t, g, p):
    m = state["m1"] = 0.9 * state["m1"] + 0.1 * g
    v = state["v"] = 0.99 * state["v"] + 0.01 * g**2
    root = 3.0 * np.sqrt(v / (1 - 0.99**t))
    return -0.01 * (2.0 * np.arctan(m / (1 - 0.9**t) / root) + 0.1 * p)


def cautious_atan2_formula(state, t, g, p):
    m = state["m1"] = 0.9 * state["m1"] + 0.1 * g
    v = state["v"] = 0.99 * state["v"] + 0.01 * g**2
    d = 1.27 * np.arctan(m / (1 - 0.9**t) / np.sqrt(v / (1 - 0.99**t)))
    kept = np.where(d * g > 0, 1, 0.3)
    d = d * kept / kept.mean()
    return -0.01 * (d + 0.1 * p * (d * p > 0))


FORMULAS = {
    "ademamix": (
        lambda: of.ademamix(0.01, (0.8, 0.99, 0.999), 5.0, 7, 7),
        ademamix_formula((0.8, 0.99, 0.999), 5.0, 7),
    ),
    "adopt": (lambda: of.adopt(0.01, weight_decay=0.1), adopt_formula),
    "laprop": (
        lambda: of.laprop(falling, (0.8, 0.99), weight_decay=0.1, centered=True),
        laprop_formula,
    ),
    "stableadamw": (
        lambda: of.stableadamw(falling, (0.8, 0.9), 0.1, decouple_lr=True, max_lr=0.2),
        stableadamw_formula,
    ),
    "polyak_sgd": (lambda: of.polyak_sgd(0.01, falling), polyak_formula),
    "adam_atan2": (
        lambda: of.adam_atan2(0.01, weight_decay=0.1, a=2.0, b=3.0),
        adam_atan2_formula,
    ),
    "adam_atan2_cautious": (
        lambda: of.adam_atan2(
            0.01, weight_decay=0.1, cautious_wd=True, cautious_factor=0.3
        ),
        cautious_atan2_formula,
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_options_beside_formulas(name, x64):
    build, rule = FORMULAS[name]
    states = {
        key: {part: np.zeros_like(p) for part in ("m1", "m2", "v")}
        for key, p in start().items()
    }
    steps = 0

    def update(grads, params, value):
        nonlocal steps
        steps += 1
        return {k: rule(states[k], steps, g, params[k]) for k, g in grads.items()}

    expected = trajectory(update, arrays=False)
    assert_same(trajectory(of_transformation(build()), arrays=True), expected)


def test_what_decays_in_momo(x64):
    """With a mask the model is that of the decayed parameters, found by bisection."""
    lr, decay, tx_mask = 0.5, 0.4, {"a": True, "b": False}
    tx = of.momo(lr, 0.0, decay, mask=tx_mask)
    params = jax.tree.map(jnp.asarray, start())
    grads = jax.tree.map(lambda p: 2 * p + 1, params)
    value = 0.3
    updates, _ = tx.update(grads, tx.init(params), params, value=jnp.asarray(value))
    scale = {"a": 1 + lr * decay, "b": 1.0}

    def model(size):
        """The linear model of the loss after a proximal step of this size."""
        moved = {k: (p - size * grads[k]) / scale[k] for k, p in params.items()}
        return value + sum(jnp.sum(grads[k] * (moved[k] - params[k])) for k in moved)

    low, high = 0.0, lr
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if model(middle) > 0 else (low, middle)
    for key, p in params.items():
        expected = (p - low * grads[key]) / scale[key]
        np.testing.assert_allclose(p + updates[key], expected, rtol=0, atol=1e-12)


def test_the_step_of_momo_adam_is_divided_as_its_parameters_are(x64):
    params = jax.tree.map(jnp.asarray, start())
    moved = {}
    for divide_step in (False, True):
        tx = of.momo_adam(0.5, weight_decay=0.4, divide_step=divide_step)
        updates, _ = tx.update(params, tx.init(params), params, value=jnp.float64(3))
        moved[divide_step] = updates
    for key, p in params.items():
        step, divided = (p / 1.2 - (p + moved[x][key]) for x in (False, True))
        np.testing.assert_allclose(divided, step / 1.2, rtol=1e-12)


def test_random_signs_give_the_diagonal_on_average(x64):
    h = jnp.asarray([[2.0, 0.5, -0.3], [0.5, -1.0, 0.2], [-0.3, 0.2, 1.5]])
    params = {"w": jnp.ones(3), "c": jnp.ones(2, jnp.complex128)}

    def value_fn(params):
        z = params["c"]
        return 0.5 * params["w"] @ h @ params["w"] + jnp.sum(z.real**2 - z.imag**2)

    tx = of.sophia(betas=(0.9, 0.0), update_interval=1)

    def estimate(seed):
        state = of.sophia(betas=(0.9, 0.0), update_interval=1, seed=seed).init(params)
        grads = jax.tree.map(jnp.zeros_like, params)
        _, state = tx.update(grads, state, params, value_fn=value_fn)
        return of.find_in_state(state, "hessian")

    estimates = jax.vmap(estimate)(jnp.arange(2000))
    # Deviation sqrt(2 * sum of squares off the diagonal) = 0.83 over sqrt(2000).
    mean = np.mean(estimates["w"], axis=0)
    np.testing.assert_allclose(mean, np.diag(h), atol=4 * 0.83 / np.sqrt(2000))
    assert np.std(estimates["w"][:, 0]) > 0.3
    # Both parts of a complex number have a curvature of their own.
    np.testing.assert_allclose(estimates["c"], 2 - 2j, atol=1e-12)


def test_sophia_estimates_at_every_tenth_step_alone():
    calls = []

    def value_fn(params):
        jax.debug.callback(lambda: calls.append(None))
        return jnp.sum(params**4)

    tx, params = of.sophia(), jnp.ones(3)
    state, curvatures = tx.init(params), []
    step = jax.jit(lambda s: tx.update(params, s, params, value_fn=value_fn)[1])
    for _ in range(21):
        state = step(state)
        curvatures.append(float(of.find_in_state(state, "hessian")[0]))
    assert len(set(curvatures)) == 3
    assert np.flatnonzero(np.diff(curvatures)).tolist() == [9, 19]
    jax.effects_barrier()
    assert len(calls) == 3


def test_polyaks_step_is_scaled():
    tx, grads = of.polyak_sgd(scaling=0.25), {"w": jnp.array([3.0, 4.0])}
    updates, _ = tx.update(grads, tx.init(grads), value=jnp.float32(5.0))
    # 5 / 25 of the gradient would lead to a loss of 0.
    np.testing.assert_allclose(updates["w"], [-0.15, -0.2], rtol=1e-6)
