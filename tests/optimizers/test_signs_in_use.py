"""Signs and trust ratios: precision, what each is made for, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

import optifunc as of

# --- float32 --------------------------------------------------------------------------

STEPS, SHAPE = 5000, (8, 8)
PRECISE = {
    "adam": lambda: of.adam(1e-3),
    "lion": lambda: of.lion(1e-3, weight_decay=0.1),
    "lion_smooth": lambda: of.lion(1e-3, mode="smooth"),
    "lamb": lambda: of.lamb(1e-3, weight_decay=0.1),
    "lars": lambda: of.lars(1.0, weight_decay=0.1),
    "adabelief": lambda: of.adabelief(1e-3),
    "yogi": lambda: of.yogi(1e-3),
    "novograd": lambda: of.novograd(1e-3, weight_decay=0.1),
    "fromage": lambda: of.fromage(1e-3),
    "sm3": lambda: of.sm3(1e-2),
    "signum": lambda: of.signum(1e-3),
    "tiger": lambda: of.tiger(1e-3),
    "adan": lambda: of.adan(1e-3, weight_decay=0.1),
    "adabound": lambda: of.adabound(1e-3, final_lr=1e-2, weight_decay=0.1),
    "madgrad": lambda: of.madgrad(1e-3),
    "aggmo": lambda: of.aggmo(1e-3),
    "qhadam": lambda: of.qhadam(1e-3),
    "qhm": lambda: of.qhm(1e-2),
}


def after_many_steps(tx, dtype):
    """Where ``tx`` ends on a noisy quadratic whose curvatures span a decade."""
    rng = np.random.default_rng(0)
    # The same float32 numbers in both precisions: only the arithmetic differs.
    numbers = [
        np.logspace(-1, 0, 64).reshape(SHAPE),
        rng.normal(size=SHAPE),
        rng.normal(size=SHAPE),
        rng.normal(size=(STEPS, *SHAPE)),
    ]
    arrays = (jnp.asarray(x.astype(np.float32), dtype) for x in numbers)

    @jax.jit
    def run(curvature, start, minimum, noise):
        def step(carry, noise):
            params, state = carry
            grads = curvature * (params - minimum) + noise
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (start, tx.init(start)), noise)[0][0]

    found = run(*arrays)
    assert found.dtype == dtype
    return np.asarray(found, np.float64)


@pytest.mark.parametrize("name", PRECISE)
def test_float32_beside_float64(name):
    tx = PRECISE[name]()
    found = after_many_steps(tx, "float32")
    with jax.enable_x64(True):
        exact = after_many_steps(tx, "float64")
    # Adam's own distance is 2.4e-6, at parameters of order 1. Where a sum is near 0 its
    # sign may differ, and the way back from a step of 2e-3 takes long.
    assert np.max(np.abs(found - exact)) < (1e-4 if name == "signum" else 1e-5)


# --- what each is made for ------------------------------------------------------------

DIGITS, LABELS = load_digits(return_X_y=True)
IMAGES = jnp.asarray(DIGITS / 16, jnp.float32)
LABELS = jnp.asarray(LABELS, jnp.int32)
TRAINED, HELD_OUT = slice(0, 1400), slice(1400, None)


def network(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"first": (64, 32), "second": (32, 10)}
    params = {
        name: jnp.asarray(rng.normal(size=shape) / np.sqrt(shape[0]), jnp.float32)
        for name, shape in shapes.items()
    }
    return params | {"bias": jnp.zeros((1, 10), jnp.float32)}


def logits(params, images):
    return jnp.tanh(images @ params["first"]) @ params["second"] + params["bias"]


def loss(params, images, labels):
    return of.losses.cross_entropy(logits(params, images), labels)


def trained(tx, steps, batch=None, loss=loss, params=None):
    """The network after ``steps`` on random batches, or on all images at once."""
    rng = np.random.default_rng(1)
    rows = np.arange(1400)[None].repeat(steps, 0)
    if batch is not None:
        rows = rng.integers(0, 1400, (steps, batch))

    @jax.jit
    def run(params, rows):
        def step(carry, rows):
            params, state = carry
            grads = jax.grad(loss)(params, IMAGES[rows], LABELS[rows])
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), rows)[0][0]

    return run(network() if params is None else params, jnp.asarray(rows))


def accuracy(params, rows=HELD_OUT):
    found = jnp.argmax(logits(params, IMAGES[rows]), axis=1)
    return float(jnp.mean(found == LABELS[rows]))


LEARNING = {
    "lion": lambda: of.lion(1e-3),
    "lion_smooth": lambda: of.lion(0.3, mode="smooth"),
    "lion_refined": lambda: of.lion(0.3, mode="refined"),
    "lamb": lambda: of.lamb(0.03),
    "lars": lambda: of.lars(10.0),
    "adabelief": lambda: of.adabelief(0.01),
    "yogi": lambda: of.yogi(0.01),
    "novograd": lambda: of.novograd(0.03),
    "fromage": lambda: of.fromage(0.03),
    "sm3": lambda: of.sm3(0.1),
    "signum": lambda: of.signum(1e-3),
    "tiger": lambda: of.tiger(1e-3),
    "adan": lambda: of.adan(0.01),
    "adabound": lambda: of.adabound(0.01),
    "madgrad": lambda: of.madgrad(0.01),
    "aggmo": lambda: of.aggmo(0.03),
    "qhadam": lambda: of.qhadam(0.01),
    "qhm": lambda: of.qhm(1.0),
}


@pytest.mark.parametrize("name", LEARNING)
def test_each_learns_the_digits(name):
    before = accuracy(network())
    print(name, before, accuracy(trained(LEARNING[name](), 300, 128)))


def test_lion_beside_adamw_with_a_tenth_of_its_learning_rate():
    adamw = trained(of.adamw(3e-3, weight_decay=0.1), 300, 128)
    lion = trained(of.lion(3e-4, weight_decay=1.0), 300, 128)
    print("LION", accuracy(lion), accuracy(adamw), accuracy(trained(of.lion(3e-3), 300, 128)))


def test_lamb_does_not_feel_the_scales_of_layers():
    scales = {"first": 100.0, "second": 0.01, "bias": 1.0}

    def scaled_loss(params, images, labels):
        own = {name: p / scales[name] for name, p in params.items()}
        return loss(own, images, labels)

    start = {name: p * scales[name] for name, p in network().items()}

    def found(tx):
        params = trained(tx, 100, loss=scaled_loss, params=start)
        own = {name: p / scales[name] for name, p in params.items()}
        return loss(own, IMAGES[TRAINED], LABELS[TRAINED])

    print("LAMB", found(of.lamb(0.03, eps=1e-12)), [float(found(of.adam(lr))) for lr in (1e-4,1e-3, 1e-2, 0.1, 1.0)])
    print(loss(trained(of.lamb(0.03, eps=1e-12), 100), IMAGES[TRAINED], LABELS[TRAINED]))


def test_sm3_on_rare_and_frequent_rows():
    rng = np.random.default_rng(0)
    words, outputs, steps = 256, 8, 500
    frequency = 1 / np.arange(1, words + 1)
    rows = rng.choice(words, (steps, 32), p=frequency / frequency.sum())
    wanted = jnp.asarray(rng.normal(size=(words, outputs)), jnp.float32)

    def final(tx):
        def step(carry, rows):
            params, state = carry
            grads = jax.grad(lambda p: jnp.sum((p - wanted)[rows] ** 2) / 32)(params)
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        start = jnp.zeros((words, outputs), jnp.float32)
        run = jax.jit(lambda r: jax.lax.scan(step, (start, tx.init(start)), r)[0])
        params, state = run(jnp.asarray(rows))
        return float(jnp.mean((params - wanted) ** 2)), state

    for lr in (.1,.3,1.,3.,10.,20.): print("SM3", lr, final(of.sm3(lr))[0], final(of.sgd(lr, 0.9))[0],final(of.sgd(lr))[0], final(of.adagrad(lr))[0])
