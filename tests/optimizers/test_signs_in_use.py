"""Signs and trust ratios: precision, what each is made for, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

import optifunc as of

from ..table import sparse_rows

pytestmark = pytest.mark.slow

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
    """The network after ``steps`` on random batches, or on 400 images at once."""
    rows = np.arange(400)[None].repeat(steps, 0)
    if batch is not None:
        rows = np.random.default_rng(1).integers(0, 1400, (steps, batch))

    def step(carry, rows):
        params, state = carry
        grads = jax.grad(loss)(params, IMAGES[rows], LABELS[rows])
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    params = network() if params is None else params
    return jax.lax.scan(step, (params, tx.init(params)), jnp.asarray(rows))[0][0]


def accuracy(params, rows=HELD_OUT):
    found = jnp.argmax(logits(params, IMAGES[rows]), axis=1)
    return float(jnp.mean(found == LABELS[rows]))


LEARNING = {
    "lion": lambda: of.lion(1e-3),
    "lion_smooth": lambda: of.lion(0.3, mode="smooth"),
    "lion_refined": lambda: of.lion(0.3, mode="refined"),
    "lamb": lambda: of.lamb(0.01),
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
    """Where AdamW reaches 0.91: half a dozen of 397 images make 0.015."""
    params = jax.jit(trained, static_argnums=(1, 2))(LEARNING[name](), 300, 128)
    assert accuracy(network()) < 0.2
    assert accuracy(params) > 0.87


def test_lion_beside_adamw_with_a_tenth_of_its_learning_rate():
    """And ten times the decay, from half the state."""
    found, kept = {}, {}
    for name, tx in {
        "adamw": of.adamw(3e-2, weight_decay=0.01),
        "lion": of.lion(3e-3, weight_decay=0.1),
    }.items():
        params = jax.jit(trained, static_argnums=(1, 2))(tx, 300, 128)
        found[name] = accuracy(params)
        kept[name] = sum(x.size for x in jax.tree.leaves(tx.init(params)))
    assert found["adamw"] > 0.9
    assert found["lion"] > found["adamw"] - 0.02
    assert kept["adamw"] == 2 * kept["lion"] + 1


SCALES = {"large": 1e3, "small": 1e-3}


def relative_error(params, minimum):
    """The largest distance of a layer from its minimum, in units of the latter."""
    return max(
        float(np.linalg.norm(p - minimum[name]) / np.linalg.norm(minimum[name]))
        for name, p in params.items()
    )


def test_lamb_on_layers_of_different_scales():
    """One learning rate serves layers of sizes from 1e-3 to 1e3, and none of Adam's."""
    rng = np.random.default_rng(0)
    start, minimum = (
        {
            name: jnp.asarray(scale * rng.normal(size=(8, 8)), jnp.float32)
            for name, scale in SCALES.items()
        }
        for _ in range(2)
    )

    noise = jnp.asarray(rng.normal(size=(500, 8, 8)), jnp.float32)

    def final(tx):
        def step(carry, noise):
            params, state = carry
            grads = {
                name: ((p - minimum[name]) / SCALES[name] + 0.3 * noise) / SCALES[name]
                for name, p in params.items()
            }
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (start, tx.init(start)), noise)[0][0]

    assert relative_error(start, minimum) > 1
    assert relative_error(jax.jit(final)(of.lamb(0.01, eps=1e-12)), minimum) < 0.1
    rates = jnp.logspace(-6, 3, 19)
    found = jax.jit(jax.vmap(lambda lr: final(of.adam(lr, eps=1e-12))))(rates)
    errors = [
        relative_error({name: x[i] for name, x in found.items()}, minimum)
        for i in range(len(rates))
    ]
    assert min(errors) > 0.5


def test_sm3_on_rare_and_frequent_rows():
    """Rows with frequencies from 0.6 to 1e-4, most of them seen once or twice."""
    rng = np.random.default_rng(0)
    words, outputs, steps = 64, 8, 300
    frequency = np.arange(1.0, words + 1) ** -2
    rows = rng.choice(words, (steps, 32), p=frequency / frequency.sum())
    wanted = jnp.asarray(rng.normal(size=(words, outputs)), jnp.float32)
    start = jnp.zeros((words, outputs), jnp.float32)

    def final(tx):
        def step(carry, rows):
            params, state = carry
            grads = jax.grad(lambda p: jnp.sum((p - wanted)[rows] ** 2) / 32)(params)
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        carry = jax.lax.scan(step, (start, tx.init(start)), jnp.asarray(rows))[0]
        return jnp.mean((carry[0] - wanted) ** 2)

    sm3, adagrad = of.sm3(1.0, momentum=0.0), of.adagrad(1.0)
    found = float(jax.jit(final)(sm3))
    # The next larger one diverges.
    sgd = jax.jit(jax.vmap(lambda lr: final(of.sgd(lr))))(jnp.array([0.1, 0.3, 1.0]))
    assert found < 0.25 * jnp.min(sgd)
    assert found < 1.25 * jax.jit(final)(adagrad)
    kept = sum(x.size for x in jax.tree.leaves(sm3.init(start)))
    assert kept == words + outputs


# --- what is refused ------------------------------------------------------------------

REFUSED = [
    (lambda: of.lion(-1.0), r"lr must be at least 0, found -1.0"),
    (lambda: of.lion(betas=(0.9, 1.0)), r"betas\[1\] must be .*below 1, found 1.0"),
    (lambda: of.lion(betas=(0.9,)), r"betas must be a pair, found \(0.9,\)"),
    (
        lambda: of.lion(mode="hard"),
        r"mode must be one of \('sign', 'smooth', 'refined'\), found 'hard'",
    ),
    (lambda: of.lion(smooth_beta=0.0), r"smooth_beta must be above 0, found 0.0"),
    (
        lambda: of.lion(peak_lr=0.1),
        "peak_lr is only for decay='independent' or 'correct",
    ),
    (
        lambda: of.lion(falling, weight_decay=0.1, decoupled_weight_decay=True),
        r"needs peak_lr, the largest value of the schedule lr=",
    ),
    (lambda: of.lamb(eps=-1.0), r"eps must be at least 0, found -1.0"),
    (lambda: of.lamb(weight_decay=-1.0), r"weight_decay must be at least 0, found -1"),
    (lambda: of.lars(trust_coefficient=-1.0), r"trust_coefficient must be at least 0"),
    (lambda: of.lars(momentum=0.0, nesterov=True), r"nesterov needs momentum above 0"),
    (lambda: of.scale_by_trust_ratio(min_norm=-1.0), r"min_norm must be at least 0"),
    (lambda: of.adabelief(eps_root=-1.0), r"eps_root must be at least 0, found -1.0"),
    (
        lambda: of.yogi(initial_accumulator_value=-1.0),
        r"initial_accumulator_value must be at least 0, found -1.0",
    ),
    (lambda: of.novograd(betas=(1.0, 0.9)), r"betas\[0\] must be .*below 1, found 1"),
    (lambda: of.novograd(betas=(0.9, -1.0)), r"betas\[1\] must be at least 0.*-1"),
    (lambda: of.fromage(min_norm=-1.0), r"min_norm must be at least 0, found -1.0"),
    (lambda: of.fromage(-1.0), r"lr must be at least 0, found -1.0"),
    (lambda: of.sm3(momentum=1.0), r"momentum must be .*below 1, found 1.0"),
    (lambda: of.sm3(beta=1.5), r"beta must be .*at most 1, found 1.5"),
    (lambda: of.signum(momentum=-1.0), r"momentum must be at least 0, found -1.0"),
    (lambda: of.tiger(weight_decay=-1.0), r"weight_decay must be at least 0"),
    (lambda: of.adan(betas=(0.9, 0.9)), r"betas must be 3 numbers, found \(0.9, 0.9\)"),
    (lambda: of.adan(betas=(0.9, 0.9, 1.0)), r"betas\[2\] must be .*below 1, found 1"),
    (lambda: of.adan(difference_weight=-1.0), r"difference_weight must be at least 0"),
    (lambda: of.adan(weight_decay=-1.0), r"weight_decay must be at least 0, found -1"),
    (lambda: of.adan(-1.0, weight_decay=0.1), r"lr must be at least 0, found -1.0"),
    (lambda: of.adabound(gamma=0.0), r"gamma must be above 0, found 0.0"),
    (lambda: of.adabound(final_lr=-1.0), r"final_lr must be at least 0, found -1.0"),
    (lambda: of.adabound(base_lr=0.0), r"base_lr must be above 0, found 0.0"),
    (lambda: of.adabound(falling), r"needs base_lr, .* is a schedule, found lr="),
    (lambda: of.madgrad(momentum=1.0), r"momentum must be .*below 1, found 1.0"),
    (lambda: of.madgrad(eps=-1.0), r"eps must be at least 0, found -1.0"),
    (lambda: of.aggmo(betas=()), r"betas must be a tuple of numbers, found \(\)"),
    (lambda: of.aggmo(betas=0.9), r"betas must be a tuple of numbers, found 0.9"),
    (lambda: of.aggmo(betas=(0.0, 1.0)), r"betas\[1\] must be .*below 1, found 1.0"),
    (lambda: of.qhadam(nus=(0.7, 1.1)), r"nus\[1\] must be .*at most 1, found 1.1"),
    (lambda: of.qhadam(nus=0.7), r"nus must be a pair, found 0.7"),
    (lambda: of.qhm(nu=1.1), r"nu must be .*at most 1, found 1.1"),
]


def falling(step):
    return 0.1 / (1 + step)


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_numbers_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("tx", "other", "message"),
    [
        (of.sm3(), of.sm3(momentum=0.0), "with averaging=False, .*=True"),
        (of.madgrad(), of.madgrad(momentum=0.0), "with averaging=False, .*=True"),
        (of.adabound(), of.adabound(amsbound=True), "with amsbound=True, .*=False"),
        (of.aggmo(), of.aggmo(betas=(0.9,)), "made with 1 betas, .* with 3; give"),
    ],
)
def test_states_of_other_options_are_refused(tx, other, message):
    params = {"w": jnp.ones(3)}
    with pytest.raises(ValueError, match=message):
        tx.update(params, other.init(params), params)


def test_sm3_refuses_complex_parameters_and_sparse_gradients():
    with pytest.raises(TypeError, match=r"sm3 takes only real .* complex64 at 'w'"):
        of.sm3().init({"w": jnp.ones(3, jnp.complex64)})
    params = {"w": jnp.ones((3, 2))}
    sparse = {"w": sparse_rows(params["w"])}
    tx = of.sm3()
    with pytest.raises(TypeError, match="only sparse_adam takes sparse gradients"):
        tx.update(sparse, tx.init(params), params)


@pytest.mark.parametrize("name", LEARNING)
def test_zero_gradients_from_the_first_step_on(name):
    tx = LEARNING[name]()
    params = {"w": jnp.ones((2, 3)), "zero": jnp.zeros(3), "none": None}
    state = tx.init(params)
    for _ in range(3):
        grads = jax.tree.map(jnp.zeros_like, params)
        updates, state = tx.update(grads, state, params)
        for leaf in jax.tree.leaves((updates, state)):
            assert np.all(np.isfinite(leaf))
        if name == "yogi":  # begins with a mean other than 0
            continue
        assert not np.any(updates["zero"])
        # Tiger decays by default, and Fromage shortens the parameters.
        assert not np.any(updates["w"]) or name in ("tiger", "fromage")
