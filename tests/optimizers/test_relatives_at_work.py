"""Relatives of Adam at what each is made for, their checkpoints, and bad input."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc import optim

pytestmark = pytest.mark.slow

# --- what they are made for -----------------------------------------------------------


def least_squares(tx, scale, steps=1500):
    """The mean loss after ``steps`` batches of a problem that can be solved exactly."""
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(scale * rng.normal(size=(100, 10)), jnp.float32)
    targets = inputs @ jnp.asarray(rng.normal(size=10), jnp.float32)

    def loss(params, rows):
        return 0.5 * jnp.mean((inputs[rows] @ params - targets[rows]) ** 2)

    @jax.jit
    def run(batches):
        def step(carry, rows):
            params, state = carry
            value, grads = jax.value_and_grad(loss)(params, rows)
            updates, state = tx.update(grads, state, params, value=value)
            return (of.apply_updates(params, updates), state), None

        params = jnp.zeros(10)
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), batches)
        return loss(params, jnp.arange(100))

    return run(jnp.asarray(rng.integers(0, 100, (steps, 5))))


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("build", [of.polyak_sgd, of.momo])
def test_no_learning_rate_where_every_batch_can_be_fitted(build, scale):
    """The largest step is no setting here: it is far above all that are made."""
    found = least_squares(build(1e4), scale)
    assert found < 1e-8 * scale**2


def test_one_learning_rate_of_sgd_serves_one_scale_alone():
    reached = [least_squares(of.sgd(0.1), s) < 1e-8 * s**2 for s in (0.1, 1.0, 10.0)]
    assert reached == [False, True, False]


def reddis_example(tx, seed=0):
    """Where an optimizer ends on [-1, 1]: one gradient of 3 for two of -1."""
    is_large = np.random.default_rng(seed).random(5000) < 1 / 3
    grads = jnp.where(jnp.asarray(is_large), 3.0, -1.0)

    def step(carry, grad):
        x, state = carry
        updates, state = tx.update(grad, state, x)
        return (jnp.clip(x + updates, -1, 1), state), None

    x = jnp.float32(0)
    (x, _), _ = jax.lax.scan(step, (x, tx.init(x)), grads)
    return float(x)


@pytest.mark.parametrize("beta1", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_adopt_converges_where_adam_diverges(beta1, seed):
    # The mean of the gradients is 1/3: the minimum is at -1.
    assert reddis_example(of.adopt(0.01, (beta1, 0.1)), seed) < -0.9
    assert reddis_example(of.adam(0.01, (beta1, 0.1)), seed) > 0.9


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (of.optimistic_gradient_descent, {}),
        (of.optimistic_adam, {"betas": (0.0, 0.999)}),
    ],
)
def test_two_players_come_to_rest_with_optimism(build, options):
    """``x * y``: one player descends, the other climbs."""

    def distance(tx):
        def step(carry, _):
            params, state = carry
            grads = {"x": params["y"], "y": -params["x"]}
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        params = {"x": jnp.float32(1), "y": jnp.float32(1)}
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), None, 3000)
        return float(jnp.hypot(params["x"], params["y"]))

    assert distance(build(0.1, beta=0.0, **options)) > 5
    assert distance(build(0.1, **options)) < 1e-5


def test_stableadamw_shortens_the_step_at_a_burst_of_gradients():
    grads = [1e-3] * 200 + [1.0]
    sizes = {}
    for build in (of.adamw, of.stableadamw):
        tx = build(1.0, (0.9, 0.99), weight_decay=0.0)
        state = tx.init(jnp.ones(3))
        for grad in grads:
            updates, state = tx.update(jnp.full(3, grad), state, jnp.ones(3))
        sizes[build] = float(-updates[0])
    # The second moment has a hundredth of the burst: its root is ten times too small.
    assert sizes[of.adamw] == pytest.approx(1.0, abs=0.1)
    assert sizes[of.stableadamw] == pytest.approx(0.1, abs=0.01)


def test_the_scale_of_gradients_does_not_matter_to_the_angle():
    def traveled(tx, scale):
        params = jnp.array([1.0, -2.0])
        state = tx.init(params)
        for _ in range(10):
            updates, state = tx.update(scale * params, state, params)
            params = of.apply_updates(params, updates)
        return params

    # A power of two scales without rounding.
    small = 2.0**-50
    angle, adam = of.adam_atan2(0.01), of.adam(0.01)
    np.testing.assert_array_equal(traveled(angle, 1.0), traveled(angle, small))
    assert not np.allclose(traveled(adam, 1.0), traveled(adam, small), atol=0.05)


def test_sophia_steps_by_the_curvature():
    """Its clipped Newton step reaches the minimum along both axes, Adam's nears it."""
    curvature = jnp.array([0.01, 100.0])

    def value_fn(params):
        return 0.5 * jnp.sum(curvature * params**2)

    def loss(tx):
        def step(carry, _):
            params, state = carry
            grads = jax.grad(value_fn)(params)
            updates, state = tx.update(grads, state, params, value_fn=value_fn)
            return (of.apply_updates(params, updates), state), None

        params = jnp.ones(2)
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), None, 300)
        return float(value_fn(params))

    tx = of.sophia(0.1, (0.5, 0.5), gamma=1.0, weight_decay=0.0, update_interval=1)
    assert loss(tx) < 1e-12
    assert loss(of.adam(0.1, (0.5, 0.5))) > 1e-6


def test_sophia_draws_other_signs_at_each_estimate():
    h = jnp.ones((21, 21))  # an odd number of signs, whose sum is not 0
    tx, params = of.sophia(betas=(0.9, 0.0), update_interval=1), jnp.ones(21)
    state, estimates = tx.init(params), []
    for _ in range(2):
        _, state = tx.update(
            params, state, params, value_fn=lambda p: 0.5 * jnp.vdot(p, h @ p)
        )
        estimates.append(of.find_in_state(state, "hessian"))
    assert not np.array_equal(*estimates)


def test_sophia_g_between_its_bounds():
    """Where nothing is clipped the step is the mean over the curvature."""
    tx = of.sophia_g(0.1, (0.5, 0.75), rho=0.5, weight_decay=0.0, bs=100.0)
    params = jnp.ones(2)
    state = tx.init(params)
    _, state = tx.update(jnp.ones(2), state, params, sampled_grad=jnp.full(2, 2.0))
    updates, _ = tx.update(jnp.array([3.0, -3.0]), state, params)
    mean, curvature = np.array([1.75, -1.25]), 0.25 * 4
    np.testing.assert_allclose(updates, -0.1 * mean / (50 * curvature), rtol=1e-6)


# --- no gradients ---------------------------------------------------------------------

FACTORIES = {
    "ademamix": of.ademamix,
    "simplified_ademamix": of.simplified_ademamix,
    "adopt": of.adopt,
    "adopt_unclipped": lambda: of.adopt(clip_lambda=None),
    "optimistic_gradient_descent": of.optimistic_gradient_descent,
    "optimistic_adam": of.optimistic_adam,
    "polyak_sgd": of.polyak_sgd,
    "momo": of.momo,
    "momo_adam": of.momo_adam,
    "laprop": of.laprop,
    "laprop_centered": lambda: of.laprop(centered=True, steps_before_using_centered=0),
    "stableadamw": lambda: of.stableadamw(weight_decay=0.0),
    "adam_atan2": of.adam_atan2,
    "sophia": lambda: of.sophia(weight_decay=0.0),
    "sophia_g": lambda: of.sophia_g(weight_decay=0.0),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_zero_gradients_move_nothing(name):
    params = {"w": jnp.ones((2, 3)), "scalar": jnp.float32(2), "no": None}
    zeros = jax.tree.map(jnp.zeros_like, params)
    tx = FACTORIES[name]()

    @jax.jit
    def step(state):
        extra = {"value": jnp.float32(1), "value_fn": lambda p: 0 * p["scalar"]}
        return tx.update(zeros, state, params, **extra)

    state = tx.init(params)
    for _ in range(3):
        updates, state = step(state)
        jax.tree.map(np.testing.assert_array_equal, updates, zeros)
        assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(state))


@pytest.mark.parametrize("name", FACTORIES)
def test_derivatives_at_zero_gradients_are_finite(name):
    params = {"w": jnp.ones(3)}

    def moved(lr, scale):
        grads = {"w": scale * jnp.array([0.0, 1.0, -1.0])}
        tx = of.replace_hyperparameters(FACTORIES[name](), lr=lr)
        state = tx.init(params)
        extra = {"value": jnp.float32(1), "value_fn": lambda p: jnp.sum(p["w"] ** 2)}
        for _ in range(2):
            updates, state = tx.update(grads, state, params, **extra)
        return jnp.sum(updates["w"] ** 2)

    slopes = jax.grad(moved, (0, 1))(jnp.float32(0.1), jnp.float32(1))
    assert np.all(np.isfinite(slopes))


# --- checkpoints ----------------------------------------------------------------------


def continued(optimizer, grads):
    for grad in grads:
        optimizer.step(grads={"w": jnp.asarray(grad)})
    return np.asarray(optimizer.params["w"])


GRADS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def packages_form(optimizer, group):
    """A state dict as the authors' package writes it: its keys and no others."""
    saved = optimizer.state_dict()["state"][0]
    state = {key: np.array(value) for key, value in saved.items()}
    return {"state": {0: state}, "param_groups": [{**group, "params": [0]}]}


def assert_continues(optimizer, saved, rest):
    params = optimizer.params
    expected = continued(optimizer, rest)
    other = type(optimizer)(params)
    other.load_state_dict(saved)
    np.testing.assert_array_equal(continued(other, rest), expected)


@pytest.mark.parametrize("beta1", [0.9, 0.0])
def test_a_checkpoint_of_the_authors_ademamix(beta1):
    group = {
        "lr": 0.1,
        "betas": (beta1, 0.999, 0.9999),
        "eps": 1e-8,
        "alpha": 5.0,
        "beta3_warmup": 10,
        "alpha_warmup": None,
        "weight_decay": 0.1,
    }
    optimizer = optim.AdEMAMix({"w": jnp.ones(3)}, **group)
    continued(optimizer, GRADS[:3])
    saved = packages_form(optimizer, group)
    averages = {"exp_avg_fast"} if beta1 else set()
    assert saved["state"][0].keys() == averages | {"step", "exp_avg_slow", "exp_avg_sq"}
    if not beta1:
        saved["state"][0]["exp_avg_fast"] = None
    saved["state"][0]["step"] = 3  # a Python number there
    assert_continues(optimizer, saved, GRADS[3:])


def test_a_checkpoint_of_the_authors_adopt():
    group = {
        "lr": 0.1,
        "betas": (0.9, 0.99),
        "eps": 1e-6,
        "weight_decay": 0.1,
        "decouple": True,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,
    }
    optimizer = optim.ADOPT({"w": jnp.ones(3)}, **group)
    continued(optimizer, GRADS[:3])
    assert optimizer.param_groups[0].keys() == {"params", *group}
    saved = packages_form(optimizer, group)
    assert saved["state"][0].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert saved["state"][0]["step"].dtype == np.float32
    assert_continues(optimizer, saved, GRADS[3:])


def bound_of_a_tenth(step):
    return 0.1


def test_adopts_bound_is_kept_in_a_copy():
    params = {"w": jnp.ones(3)}
    optimizer = optim.ADOPT(params, 1.0, (0.0, 0.9), clip_lambda=bound_of_a_tenth)
    copy = pickle.loads(pickle.dumps(optimizer))
    for each in (optimizer, copy):
        moved = continued(each, GRADS[:2])
        np.testing.assert_allclose(np.abs(moved - 1), 0.1, rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "factory"),
    [
        (optim.AdEMAMix, of.ademamix),
        (optim.SimplifiedAdEMAMix, of.simplified_ademamix),
        (optim.ADOPT, of.adopt),
        (optim.OptimisticGradientDescent, of.optimistic_gradient_descent),
        (optim.OptimisticAdam, of.optimistic_adam),
        (optim.LaProp, of.laprop),
        (optim.StableAdamW, of.stableadamw),
        (optim.AdamAtan2, of.adam_atan2),
        (optim.SophiaG, of.sophia_g),
        (optim.PolyakSGD, of.polyak_sgd),
        (optim.Momo, of.momo),
        (optim.MomoAdam, of.momo_adam),
    ],
)
def test_stateful_classes_step_as_the_pure_ones_do(build, factory):
    def loss_fn(params, target):
        return jnp.sum((params["w"] - target) ** 2)

    params, tx = {"w": jnp.ones(3)}, factory(0.1)
    state, optimizer = tx.init(params), build(params, 0.1)
    train = optimizer.compile_step(loss_fn)
    for i, target in enumerate(jnp.asarray(GRADS)):
        value, grads = jax.value_and_grad(loss_fn)(params, target)
        updates, state = tx.update(grads, state, params, value=value)
        params = of.apply_updates(params, updates)
        if i == 3:
            resumed = build({"w": optimizer.params["w"]})
            resumed.load_state_dict(optimizer.state_dict())
            optimizer, train = resumed, resumed.compile_step(loss_fn)
        if i % 2:
            train(target)
        else:

            def closure(optimizer=optimizer, target=target):
                optimizer.zero_grad()
                return optimizer.backward(loss_fn, target)

            optimizer.step(closure)
        # Compiled as one program or as two.
        np.testing.assert_allclose(optimizer.params["w"], params["w"], atol=1e-6)


def test_the_loss_of_a_stateful_step():
    params = {"w": jnp.array([3.0, 4.0])}
    optimizer = optim.PolyakSGD(params)
    with pytest.raises(TypeError, match=r"PolyakSGD needs the loss: call step\(value"):
        optimizer.step(grads=params)
    np.testing.assert_array_equal(optimizer.params["w"], params["w"])
    optimizer.step(grads=params, value=5.0)
    np.testing.assert_allclose(optimizer.params["w"], [2.4, 3.2], rtol=1e-6)
    compiled = optimizer.compile_step(lambda p: (jnp.sum(p["w"] ** 2), 7), has_aux=True)
    assert compiled()[1] == 7
    # Half of the way: the loss of a square is 4 times as high as its plane is there.
    np.testing.assert_allclose(optimizer.params["w"], [1.2, 1.6], rtol=1e-6)


def test_the_sampled_gradient_of_a_stateful_step():
    optimizer = optim.SophiaG({"w": jnp.ones(3)}, 0.1)
    grads = {"w": jnp.ones(3)}
    optimizer.step(grads=grads)
    np.testing.assert_array_equal(optimizer.state[0]["hessian"], np.zeros(3))
    optimizer.step(grads=grads, sampled_grad={"w": jnp.full(3, 2.0)})
    np.testing.assert_allclose(optimizer.state[0]["hessian"], 0.04, rtol=1e-6)


def test_the_largest_learning_rate_of_a_stateful_stableadamw_stays():
    optimizer = optim.StableAdamW(
        {"w": jnp.ones(3)}, 0.2, weight_decay=0.1, decouple_lr=True
    )
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step(grads={"w": jnp.zeros(3)})
    # Half of the largest rate: half of the decay.
    np.testing.assert_allclose(optimizer.params["w"], 0.95, rtol=1e-6)


# --- bad input ------------------------------------------------------------------------

BAD = [
    (lambda: of.ademamix(betas=(0.9, 0.999)), "betas must be 3 numbers, found"),
    (lambda: of.ademamix(betas=(0.9, 0.9, 1.0)), r"betas\[2\] must be .* found 1.0"),
    (lambda: of.ademamix(alpha=-1.0), "alpha must be at least 0, found -1.0"),
    (lambda: of.ademamix(alpha_warmup=0), "alpha_warmup must be at least 1, found 0"),
    (lambda: of.ademamix(beta3_warmup=2.5), "beta3_warmup must be an integer, found"),
    (lambda: of.simplified_ademamix(alpha=-1.0), "alpha must be at least 0"),
    (lambda: of.adopt(clip_lambda=0.25), "clip_lambda must be a function .* found 0.2"),
    (lambda: of.adopt(betas=(0.9, 1.0)), r"betas\[1\] must be .* found 1.0"),
    (lambda: of.adopt(weight_decay=-1.0, decouple=True), "weight_decay must be at lea"),
    (lambda: of.optimistic_adam(beta=-0.5), "beta must be at least 0, found -0.5"),
    (lambda: of.polyak_sgd(lr=-1.0), "lr must be at least 0, found -1.0"),
    (lambda: of.polyak_sgd(scaling=-1.0), "scaling must be at least 0, found -1.0"),
    (lambda: of.polyak_sgd(f_min=float("nan")), "f_min must be a number, found nan"),
    (lambda: of.polyak_sgd(variant="sps++"), "variant must be one of .* found 'sps"),
    (lambda: of.momo(beta=1.0), "beta must be at least 0 and below 1, found 1.0"),
    (lambda: of.momo(lower_bound=float("nan")), "lower_bound must be a number"),
    (lambda: of.momo_adam(eps=-1.0), "eps must be at least 0, found -1.0"),
    (
        lambda: of.laprop(steps_before_using_centered=1.5),
        "steps_before_using_centered must be an integer, found 1.5",
    ),
    (lambda: of.stableadamw(eps=0.0), "eps must be above 0, found 0.0"),
    (lambda: of.stableadamw(max_lr=0.1), "max_lr is only for decouple_lr=True, found"),
    (
        lambda: of.stableadamw(lambda t: 0.1, decouple_lr=True),
        "decouple_lr needs max_lr, the largest value of the schedule",
    ),
    (lambda: of.adam_atan2(a=0.0), "a must be above 0, found 0.0"),
    (lambda: of.adam_atan2(b=-1.0), "b must be above 0, found -1.0"),
    (lambda: of.adam_atan2(cautious_factor=1.5), "cautious_factor must be at least"),
    (lambda: of.sophia(update_interval=0), "update_interval must be at least 1"),
    (lambda: of.sophia(clip_threshold=0.0), "clip_threshold must be above 0"),
    (lambda: of.sophia(seed=0.5), "seed must be an integer, found 0.5"),
    (lambda: of.sophia_g(bs=0.0), "bs must be above 0, found 0.0"),
    (lambda: of.rmsprop(nesterov=True), "nesterov needs momentum above 0"),
    (lambda: of.rmsprop(initial_scale=-1.0), "initial_scale must be at least 0"),
    (lambda: of.rmsprop(alpha=1.0, bias_correction=True), "alpha must be .* below 1"),
]


@pytest.mark.parametrize(("build", "message"), BAD)
def test_bad_arguments_are_named(build, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        build()


@pytest.mark.parametrize("build", [of.polyak_sgd, of.momo, of.momo_adam])
def test_the_loss_is_needed(build):
    params = {"w": jnp.ones(3)}
    tx = build()
    state = tx.init(params)
    with pytest.raises(TypeError, match="'value'"):
        tx.update(params, state, params)
    with pytest.raises(ValueError, match=r"value must be a scalar, .* shape \(3,\)"):
        tx.update(params, state, params, value=jnp.ones(3))


def test_the_loss_function_is_needed():
    params = {"w": jnp.ones(3)}
    tx = of.sophia()
    with pytest.raises(TypeError, match="'value_fn'"):
        tx.update(params, tx.init(params), params)


def test_a_sampled_gradient_of_another_structure_is_named():
    params = {"w": jnp.ones(3)}
    tx = of.sophia_g()
    with pytest.raises(ValueError, match="sampled_grad must have the structure of"):
        tx.update(params, tx.init(params), params, sampled_grad={"v": jnp.ones(3)})


@pytest.mark.parametrize(
    ("direction", "flag"),
    [
        (of.scale_by_rmsprop, "bias_correction"),
        (of.step_by_laprop, "centered"),
    ],
)
def test_states_of_another_option_are_refused(direction, flag):
    params = {"w": jnp.ones(2)}
    for wanted in (False, True):
        tx, other = direction(**{flag: wanted}), direction(**{flag: not wanted})
        with pytest.raises(ValueError, match=f"with {flag}={not wanted}, .*={wanted};"):
            tx.update(params, other.init(params), params)
