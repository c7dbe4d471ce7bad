"""Line searches, L-BFGS, lookahead, measurements and clipping by example."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc.compat.optax as compat

START = {"a": jnp.array([-1.2, 1.0, 0.5]), "b": jnp.array([[2.0, -0.5]])}
BOTH = (compat, optax)


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def valley(params, scale=1.0):
    """Rosenbrock's function of three numbers, and a quadratic."""
    x = params["a"]
    curved = jnp.sum(5.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    return scale * curved + jnp.sum(params["b"] ** 2)


def compare(ours, theirs, rtol=1e-5, atol=1e-6):
    names = [
        [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(x)]
        for x in (ours, theirs)
    ]
    assert names[0] == names[1]
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert (jnp.shape(x), jnp.result_type(x)) == (jnp.shape(y), jnp.result_type(y))
        np.testing.assert_allclose(x, y, rtol, atol)


SEARCHES = {
    "lbfgs": lambda o: o.lbfgs(),
    "lbfgs with backtracking": lambda o: o.lbfgs(
        memory_size=3,
        scale_init_precond=False,
        linesearch=o.scale_by_backtracking_linesearch(20, store_grad=True),
    ),
    "backtracking": lambda o: o.chain(
        o.sgd(1.0), o.scale_by_backtracking_linesearch(15, 0.1, 0.5, 2.0, 3.0, 0.0, 0.0)
    ),
    "zoom": lambda o: o.chain(
        o.sgd(1.0), o.scale_by_zoom_linesearch(15, 2.0, 0.0, 1.5, 1e-3, 0.5, None)
    ),
}


# 12 iterations: later a search follows the last digits of the values, here and there.
@pytest.mark.parametrize(
    "name",
    [
        name if name == "lbfgs" else pytest.param(name, marks=pytest.mark.slow)
        for name in SEARCHES
    ],
)
def test_a_search_takes_optaxs_steps(name):
    found = []
    for o in BOTH:
        tx = SEARCHES[name](o)
        evaluate = jax.value_and_grad(valley)
        if "lbfgs" in name:
            evaluate = o.value_and_grad_from_state(valley)

        @jax.jit
        def step(params, state, tx=tx, evaluate=evaluate, o=o, name=name):
            known = {"state": state} if "lbfgs" in name else {}
            value, grad = evaluate(params, **known)
            updates, state = tx.update(
                grad, state, params, value=value, grad=grad, value_fn=valley
            )
            return o.apply_updates(params, updates), state

        params, state, path = START, tx.init(START), []
        for _ in range(12):
            params, state = step(params, state)
            path.append((params, o.tree.get(state, "learning_rate")))
        assert o.tree.get(state, "num_linesearch_steps") >= 1
        found.append((path, state[-1] if "lbfgs" in name else state))
    # The errors of rounding of a step are multiplied by the curvature in the next.
    compare(found[0][0], found[1][0], 2e-4, 2e-5)
    states = [jax.tree.map(lambda x: jnp.zeros_like(x), state) for _, state in found]
    compare(*states)


def test_a_search_hands_arguments_to_its_function():
    tx = compat.lbfgs()
    value, grad = jax.value_and_grad(valley)(START, 3.0)
    updates, state = tx.update(
        grad, tx.init(START), START, value=value, grad=grad, value_fn=valley, scale=3.0
    )
    end = compat.apply_updates(START, updates)
    np.testing.assert_allclose(state[-1].value, valley(end, 3.0), 1e-5)


def test_verbose_is_optaxs_own(capsys):
    for build in (
        compat.scale_by_zoom_linesearch,
        compat.scale_by_backtracking_linesearch,
    ):
        assert isinstance(build(5, verbose=True), compat.GradientTransformation)


def test_a_state_without_a_gradient():
    tx = compat.scale_by_backtracking_linesearch(5)
    with pytest.raises(ValueError, match="store_grad"):
        compat.value_and_grad_from_state(valley)(START, state=tx.init(START))


@pytest.mark.slow
def test_complex_parameters_of_a_search():
    """optax's searches take what `jax.grad` returns, and its conjugate as updates."""
    goal = jnp.array([1 + 2j, -0.5j])

    def loss(z):
        return jnp.sum(jnp.abs(z - goal) ** 2 * jnp.array([1.0, 3.0]))

    found = []
    for o in BOTH:
        tx = o.chain(o.sgd(1.0), o.scale_by_zoom_linesearch(15))
        z = jnp.array([0.5 + 0j, 1j])
        state = tx.init(z)
        evaluate = o.value_and_grad_from_state(loss)
        for _ in range(3):
            value, grad = evaluate(z, state=state)
            updates, state = tx.update(
                jnp.conj(grad), state, z, value=value, grad=grad, value_fn=loss
            )
            z = o.apply_updates(z, updates)
        found.append((z, state[1].grad))
    compare(*found)


@pytest.mark.parametrize("reset", [False, True])
def test_lookahead(reset):
    found = []
    for o in BOTH:
        tx = o.lookahead(o.adam(0.1), 3, 0.4, reset)
        params = o.LookaheadParams.init_synced(START)

        @jax.jit
        def train(params, tx=tx, o=o):
            def step(carry, _):
                params, state = carry
                grads = jax.grad(valley)(params.fast)
                updates, state = tx.update(grads, state, params)
                return (o.apply_updates(params, updates), state), params

            return jax.lax.scan(step, (params, tx.init(params)), length=20)

        found.append(train(params))
    # 20 steps of 0.1 down a slope of up to 100.
    compare(*found, 2e-5, 2e-5)


def test_lookahead_needs_both_parameters():
    tx = compat.lookahead(compat.sgd(0.1), 3, 0.5)
    with pytest.raises(ValueError, match="init_synced"):
        tx.update(START, tx.init(START), START)


def test_what_is_monitored():
    """Functions and transformations; and the state keeps its structure."""
    found = []
    for o in BOTH:
        tx = o.chain(
            o.scale_by_adam(),
            o.monitor(
                {
                    "norm": o.tree.norm,
                    "average": o.transforms.measure_with_ema(o.tree.norm, 0.9),
                    "clipped": o.clip(0.1),
                }
            ),
            o.scale(-0.1),
        )
        state = tx.init(START)
        for factor in (1.0, 3.0, -2.0):
            grads = jax.tree.map(lambda p, f=factor: f * p, START)
            updates, state = tx.update(grads, state, START)
        found.append((updates, state[1].measurements, o.tree.get(state, "average")))
    compare(*found)
    tx = compat.monitor({"norm": compat.global_norm})
    state = tx.init(START)
    assert state.measurements == {"norm": 0}
    after = jax.lax.scan(lambda s, _: (tx.update(START, s)[1], None), state, length=2)
    np.testing.assert_allclose(
        after[0].measurements["norm"], optax.tree.norm(START), 1e-6
    )


def test_a_first_snapshot_is_of_the_parameters():
    compare(*(o.snapshot("norm", o.tree.norm).init(START).measurement for o in BOTH))


def test_clipping_by_example():
    grads = {
        "w": jax.random.normal(jax.random.key(0), (4, 3, 2)),
        "b": 0.1 * jax.random.normal(jax.random.key(1), (4, 2)),
    }
    with pytest.raises(ValueError, match="first axis"):
        compat.per_example_global_norm_clip({"w": jnp.asarray(1.0)}, 1.0)
    for call in (
        lambda o: o.per_example_global_norm_clip(grads, 2.0),
        lambda o: o.per_example_layer_norm_clip(grads, 2.0),
        lambda o: o.per_example_layer_norm_clip(grads, 2.0, uniform=False),
    ):
        compare(call(compat), call(optax))


def test_noise_needs_one_key():
    with pytest.raises(ValueError, match="not both"):
        compat.add_noise(0.1, 0.5, 1, seed=2)
    with pytest.warns(UserWarning, match="key 0"):
        first = compat.add_noise(0.1, 0.5)
    with pytest.warns(UserWarning, match="deprecated"):
        assert first == compat.add_noise(0.1, 0.5, seed=0)
