"""Signs and trust ratios: the authors' numbers, and other options beside others."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .authors import assert_follows

pytestmark = pytest.mark.slow

NONE = False  # a mask that selects nothing
# The recorded runs: name -> (transformation, tolerance).
RECORDED = {
    "lion": lambda: of.lion(0.1, weight_decay=0.01),
    "lion_torch": lambda: of.lion(0.1, weight_decay=0.01),
    "lion_torch_decoupled": lambda: of.lion(
        0.1, weight_decay=0.01, decoupled_weight_decay=True
    ),
    "lion_smooth": lambda: of.lion(0.1, mode="smooth"),
    "lion_refined": lambda: of.lion(0.1, mode="refined"),
    "lion_cautious_wd": lambda: of.assemble(
        of.scale_by_lion(), lr=0.1, weight_decay=0.1, decay="cautious"
    ),
    "lamb": lambda: of.lamb(0.1, weight_decay=0.01),
    "lars": lambda: of.lars(1.0, weight_decay=0.01, trust_coefficient=0.05),
    # It leaves vectors alone.
    "lars_po": lambda: of.lars(
        0.1, weight_decay=0.01, mask=NONE, trust_ratio_mask=NONE
    ),
    "scale_by_trust_ratio": lambda: of.chain(
        of.scale_by_trust_ratio(trust_coefficient=0.1, eps=0.01), of.scale(-1.0)
    ),
    "adabelief": lambda: of.adabelief(0.1),
    "adabelief_nesterov": lambda: of.adabelief(0.1, nesterov=True),
    "adabelief_po": lambda: of.adabelief(0.1),
    "yogi": lambda: of.yogi(0.1),
    "yogi_po": lambda: of.yogi(0.1),
    "novograd": lambda: of.novograd(
        0.1, betas=(0.9, 0.25), eps=1e-6, weight_decay=0.01
    ),
    "novograd_po": lambda: of.novograd(0.1),
    "fromage": lambda: of.fromage(0.1, min_norm=1e-6),
    "fromage_po": lambda: of.fromage(0.1),
    "sm3_matrix": lambda: of.sm3(0.1),
    "sm3_vector": lambda: of.sm3(0.1),
    "sm3_po": lambda: of.sm3(0.1, momentum=0.0, eps=1e-30),
    "signum": lambda: of.signum(0.1),
    "tiger": lambda: of.tiger(0.1),
    "adan": lambda: of.adan(
        0.1,
        weight_decay=0.01,
        no_prox=True,
        eps_root=1e-8,
        difference_weight=1 - 0.92,
    ),
    "adan_optimi": lambda: of.adan(0.1, weight_decay=0.02, eps=1e-6),
    "adan_po": lambda: of.adan(0.1, weight_decay=0.02, no_prox=True),
    "adabound": lambda: of.adabound(0.1, final_lr=0.5),
    "madgrad": lambda: of.madgrad(0.1),
    "madgrad_po": lambda: of.madgrad(0.1),
    "aggmo": lambda: of.aggmo(0.1),
    "qhadam": lambda: of.qhadam(0.1),
    "qhm": lambda: of.qhm(0.1),
}
# The references have float32 constants inside: optax a root of the step, and
# pytorch_optimizer weights.
COARSE = {"madgrad": 5e-9, "qhadam": 3e-9}


@pytest.mark.parametrize("name", RECORDED)
def test_the_recorded_runs(name, x64):
    assert_follows(name, RECORDED[name](), atol=COARSE.get(name, 1e-9))


def test_lamb_of_pytorch_optimizer(x64):
    """Another rule: the step alone is corrected, and decay comes before the norms."""

    def correction1(step):
        return 1 - 0.9 ** (1.0 + step.astype(float))

    def root2(step):
        return jnp.sqrt(1 - 0.999 ** (1.0 + step.astype(float)))

    tx = of.assemble(
        of.scale_by_adam(eps=lambda step: 1e-6 / root2(step)),
        of.scale_by_trust_ratio(
            trust_coefficient=1 - 0.1 * 0.01,
            eps=lambda step: 1e-6 * root2(step) / correction1(step),
        ),
        lr=lambda step: 0.1 / correction1(step),
        weight_decay=lambda step: 0.01 * correction1(step),
    )
    assert_follows("lamb_po", tx)


# --- options that the records do not cover --------------------------------------------

STEPS = 20
START = {
    "matrix": np.linspace(-1.5, 1.0, 6).reshape(2, 3),
    "tensor": np.linspace(2.0, -1.0, 12).reshape(2, 3, 2),
    "vector": np.array([0.3, -0.2, 0.0]),
    "zero": np.zeros((2, 2)),
}
CURVATURE = {"matrix": 3.0, "tensor": 0.5, "vector": 10.0, "zero": 1.0}
CENTER = {name: np.cos(np.arange(x.size)).reshape(x.shape) for name, x in START.items()}
MASK = {"matrix": True, "tensor": True, "vector": False, "zero": False}


def gradient(name, p):
    distance = p - CENTER[name]
    return CURVATURE[name] * distance + 0.1 * distance**3


def final(tx, steps=STEPS):
    """The parameters that ``tx``, ours or optax's, leads to in float64."""

    def step(carry, _):
        params, state = carry
        grads = {name: gradient(name, p) for name, p in params.items()}
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    start = jax.tree.map(jnp.asarray, START)
    # optax counts on promotion in float64.
    with jax.numpy_dtype_promotion("standard"):
        run = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), None, steps)[0][0])
        return run(start)


def restated(rule, steps=STEPS):
    """The same by ``rule(name, t, p, g, memory)``, which returns the new ``p``."""
    params = {}
    for name, p in START.items():
        memory = {}
        for t in range(1, steps + 1):
            p = rule(name, t, p, gradient(name, p), memory)
        params[name] = p
    return params


def assert_same(found, expected, atol=1e-10):
    for name in START:
        np.testing.assert_allclose(
            found[name], expected[name], rtol=0, atol=atol, err_msg=name
        )


def falling(step):
    return 0.1 / (1 + step)


OPTAX = {
    "lion_smooth": (
        lambda: of.lion(0.1, (0.8, 0.95), mode="smooth", smooth_beta=2.5),
        lambda: optax.chain(
            optax.scale_by_lion(0.8, 0.95, mode="smooth", smooth_beta=2.5),
            optax.scale(-0.1),
        ),
    ),
    "lion_scheduled": (
        lambda: of.lion(falling, weight_decay=0.3, mask=MASK),
        lambda: optax.lion(falling, weight_decay=0.3, mask=MASK),
    ),
    "lamb_scheduled": (
        lambda: of.lamb(falling, (0.8, 0.9), 1e-3, 0.1, mask=MASK),
        lambda: optax.lamb(falling, 0.8, 0.9, 1e-3, weight_decay=0.1, mask=MASK),
    ),
    "lars_nesterov": (
        lambda: of.lars(
            falling, 0.8, 0.1, 0.5, 0.01, True, mask=MASK, trust_ratio_mask=MASK
        ),
        lambda: optax.lars(falling, 0.1, MASK, 0.5, 0.01, MASK, 0.8, True),
    ),
    "lars_without_momentum": (
        lambda: of.lars(0.1, 0.0, 0.1),
        lambda: optax.lars(0.1, 0.1, momentum=0.0),
    ),
    "trust_ratio_of_small_norms": (
        lambda: of.chain(of.scale_by_trust_ratio(0.5, 0.2, 0.3), of.scale(-1.0)),
        lambda: optax.chain(optax.scale_by_trust_ratio(0.5, 0.2, 0.3), optax.scale(-1)),
    ),
    "adabelief": (
        lambda: of.adabelief(0.1, (0.8, 0.9), 1e-3, eps_root=1e-4, nesterov=True),
        lambda: optax.adabelief(0.1, 0.8, 0.9, 1e-3, 1e-4, nesterov=True),
    ),
    "yogi": (
        lambda: of.yogi(0.1, (0.8, 0.9), 0.01, initial_accumulator_value=0.1),
        lambda: optax.chain(
            optax.scale_by_yogi(0.8, 0.9, 0.01, initial_accumulator_value=0.1),
            optax.scale(-0.1),
        ),
    ),
    "novograd_scheduled": (
        lambda: of.novograd(falling, (0.8, 0.9), 0.01, 0.1),
        lambda: optax.novograd(falling, 0.8, 0.9, 0.01, weight_decay=0.1),
    ),
    "fromage": (
        lambda: of.fromage(0.3, 0.5),
        lambda: optax.fromage(0.3, 0.5),
    ),
    "sm3_that_forgets": (
        lambda: of.sm3(falling, 0.8, 0.9, 0.01),
        lambda: optax.chain(
            optax.scale_by_sm3(0.8, 0.9, 0.01),
            optax.scale_by_learning_rate(falling),
        ),
    ),
    "sm3_of_squares_alone": (
        lambda: of.sm3(0.1, 0.0, 0.0, 0.01),
        lambda: optax.chain(optax.scale_by_sm3(0.0, 0.0, 0.01), optax.scale(-0.1)),
    ),
    "signum": (
        lambda: of.signum(falling, 0.7, 0.1, mask=MASK),
        lambda: optax.chain(
            optax.trace(0.7),
            optax.scale_by_sign(),
            optax.add_decayed_weights(0.1, MASK),
            optax.scale_by_learning_rate(falling),
        ),
    ),
    "adan": (
        lambda: of.adan(
            falling, (0.9, 0.8, 0.95), 0.01, 0.1, True, difference_weight=0.2, mask=MASK
        ),
        lambda: optax.adan(falling, 0.9, 0.8, 0.95, 0.01, 0.0, 0.1, mask=MASK),
    ),
    "madgrad": (
        lambda: of.madgrad(0.1, 0.7, 0.0, 0.01),
        lambda: optax.contrib.madgrad(0.1, 0.7, 0.0, 0.01),
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_options_beside_optax(name, x64):
    ours, theirs = OPTAX[name]
    # optax's MADGRAD has a root in float32.
    assert_same(final(ours()), final(theirs()), 1e-7 if name == "madgrad" else 1e-10)


def adan(name, t, p, g, memory):
    betas, lr, decay = (0.9, 0.8, 0.95), falling(t - 1), 0.3 * MASK[name]
    m, v, n = memory.get("moments", (0, 0, 0))
    x = g - memory.get("g", g)
    ahead = g + betas[1] * x
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * x
    n = betas[2] * n + (1 - betas[2]) * ahead**2
    memory.update(moments=(m, v, n), g=g)
    c = [1 - beta**t for beta in betas]
    d = (m / c[0] + betas[1] * v / c[1]) / (np.sqrt(n / c[2]) + 0.01)
    return (p - lr * d) / (1 + lr * decay)


def amsbound(name, t, p, g, memory):
    lr = falling(t - 1)
    g = g + 0.1 * MASK[name] * p
    m, v, w = memory.get("moments", (0, 0, 0))
    m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
    w = np.maximum(w, v)
    memory["moments"] = m, v, w
    size = lr * np.sqrt(1 - 0.9**t) / (1 - 0.8**t) / (np.sqrt(w) + 0.01)
    final_lr = 0.2 * lr / 0.5
    lower = final_lr * (1 - 1 / (0.3 * t + 1))
    upper = final_lr * (1 + 1 / (0.3 * t))
    return p - np.minimum(np.maximum(size, lower), upper) * m


def madgrad(momentum, p0, t, p, g, memory):
    g = g + 0.1 * p
    weight = (0.1 + 1e-3) * np.sqrt(t)
    memory["G"] = memory.get("G", 0) + weight * g**2
    memory["s"] = memory.get("s", 0) + weight * g
    z = p0 - memory["s"] / (np.cbrt(memory["G"]) + 1e-3)
    return momentum * p + (1 - momentum) * z


def aggmo(name, t, p, g, memory):
    g = g + 0.1 * MASK[name] * p
    buffers = memory.get("buffers", (0, 0))
    memory["buffers"] = [b * x + g for b, x in zip((0.5, 0.8), buffers, strict=True)]
    return p - 0.05 * (memory["buffers"][0] + memory["buffers"][1]) / 2


def qhadam(decoupled, name, t, p, g, memory):
    decay = 0.1 * MASK[name] * p
    g = g if decoupled else g + decay
    m = memory["m"] = 0.8 * memory.get("m", 0) + 0.2 * g
    v = memory["v"] = 0.9 * memory.get("v", 0) + 0.1 * g**2
    mean = 0.6 * m / (1 - 0.8**t) + 0.4 * g
    square = 0.7 * v / (1 - 0.9**t) + 0.3 * g**2
    direction = mean / (np.sqrt(square) + 0.01)
    return p - 0.1 * (direction + decay if decoupled else direction)


def qhm(name, t, p, g, memory):
    g = g + 0.1 * MASK[name] * p
    b = memory["b"] = 0.8 * memory.get("b", 0) + 0.2 * g
    return p - 0.05 * (0.4 * g + 0.6 * b)


def novograd_averaging(name, t, p, g, memory):
    square = np.sum(g * g)
    v = memory["v"] = 0.9 * memory.get("v", square) + 0.1 * square
    x = g / (np.sqrt(v) + 0.01) + 0.1 * MASK[name] * p
    b = memory["b"] = 0.8 * memory["b"] + 0.2 * x if t > 1 else x
    return p - 0.1 * b


def lamb_with_trust_for_some(name, t, p, g, memory):
    m = memory["m"] = 0.8 * memory.get("m", 0) + 0.2 * g
    v = memory["v"] = 0.9 * memory.get("v", 0) + 0.1 * g**2
    d = m / (1 - 0.8**t) / (np.sqrt(v / (1 - 0.9**t)) + 0.01) + 0.1 * p
    ratio = np.linalg.norm(p) / np.linalg.norm(d) if MASK[name] else 1
    return p - 0.1 * ratio * d


def lion_with_independent_decay(name, t, p, g, memory):
    m = memory.get("m", 0)
    memory["m"] = 0.95 * m + 0.05 * g
    lr = falling(t - 1)
    return p * (1 - 0.02 * MASK[name] * lr / 0.1) - lr * np.sign(0.8 * m + 0.2 * g)


RESTATED = {
    "adan": (
        lambda: of.adan(falling, (0.9, 0.8, 0.95), 0.01, 0.3, mask=MASK),
        adan,
    ),
    "amsbound": (
        lambda: of.adabound(
            falling,
            (0.8, 0.9),
            0.01,
            0.1,
            final_lr=0.2,
            gamma=0.3,
            amsbound=True,
            base_lr=0.5,
            mask=MASK,
        ),
        amsbound,
    ),
    "madgrad": (
        lambda: of.madgrad(0.1, 0.7, 0.1, 1e-3),
        lambda name, *others: madgrad(0.7, START[name], *others),
    ),
    "madgrad_without_momentum": (
        lambda: of.madgrad(0.1, 0.0, 0.1, 1e-3),
        lambda name, *others: madgrad(0.0, START[name], *others),
    ),
    "aggmo": (lambda: of.aggmo(0.05, (0.5, 0.8), 0.1, mask=MASK), aggmo),
    "qhadam": (
        lambda: of.qhadam(0.1, (0.8, 0.9), (0.6, 0.7), 0.1, 0.01, mask=MASK),
        partial(qhadam, False),
    ),
    "qhadam_decoupled": (
        lambda: of.qhadam(0.1, (0.8, 0.9), (0.6, 0.7), 0.1, 0.01, True, mask=MASK),
        partial(qhadam, True),
    ),
    "qhm": (lambda: of.qhm(0.05, 0.8, 0.6, 0.1, mask=MASK), qhm),
    "novograd": (
        lambda: of.novograd(0.1, (0.8, 0.9), 0.01, 0.1, True, mask=MASK),
        novograd_averaging,
    ),
    "lamb": (
        lambda: of.lamb(0.1, (0.8, 0.9), 0.01, 0.1, trust_ratio_mask=MASK),
        lamb_with_trust_for_some,
    ),
    "lion": (
        lambda: of.lion(falling, (0.8, 0.95), 0.02, True, peak_lr=0.1, mask=MASK),
        lion_with_independent_decay,
    ),
}


@pytest.mark.parametrize("name", RESTATED)
def test_options_beside_their_formulas(name, x64):
    tx, rule = RESTATED[name]
    assert_same(final(tx()), restated(rule))


SPECIAL = {
    "qhadam_is_adam": (
        lambda: of.qhadam(0.1, (0.9, 0.99), (1.0, 1.0)),
        lambda: of.adam(0.1, (0.9, 0.99)),
    ),
    "qhm_is_sgd": (lambda: of.qhm(0.1, 0.9, 0.0), lambda: of.sgd(0.1)),
    "aggmo_is_momentum": (lambda: of.aggmo(0.05, (0.7,)), lambda: of.sgd(0.05, 0.7)),
    "tiger_is_lion": (
        lambda: of.tiger(0.1, mask=MASK),
        lambda: of.lion(0.1, (0.965, 0.965), 0.01, mask=MASK),
    ),
    # Its bounds are far away.
    "adabound_is_adam": (
        lambda: of.adabound(0.1, eps=0.0, gamma=1e-12),
        lambda: of.adam(0.1, eps=0.0),
    ),
    "madgrad_without_a_learning_rate": (lambda: of.madgrad(0.0), of.set_to_zero),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases(name, x64):
    special, general = SPECIAL[name]
    assert_same(final(special()), final(general()))
