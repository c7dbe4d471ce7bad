"""Line searches beside optax's, step by step, and by the conditions they promise."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import example, given, settings, strategies as st

import optifunc as of

from ..optimizers.authors import assert_follows

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(20, 5))
SIGNS = np.sign(MATRIX @ RNG.normal(size=5) + 0.5 * RNG.normal(size=20))
CURVATURES = np.geomspace(1, 100, 5)


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def quadratic(x):
    return 0.5 * jnp.sum(jnp.asarray(CURVATURES) * x**2)


def logistic(x):
    scores = jnp.asarray(SIGNS[:, None] * MATRIX) @ x
    return jnp.mean(jnp.log1p(jnp.exp(-scores))) + 0.01 * jnp.sum(x**2)


FUNCTIONS = {f.__name__: f for f in (rosenbrock, quadratic, logistic)}
START = np.array([-1.2, 1.0, 0.5, -0.3, 2.0])


def steps_of(tx, value_fn, start, steps):
    """Parameters after each step, and what the search says of it."""

    @jax.jit
    def step(params, state):
        value, grad = jax.value_and_grad(value_fn)(params)
        updates, state = tx.update(
            grad, state, params, value=value, grad=grad, value_fn=value_fn
        )
        search = state[-1]
        said = (search.learning_rate, search.value, search.info.num_linesearch_steps)
        return params + updates, state, (said, search.info.decrease_error)

    params, state, found = jnp.asarray(start), tx.init(jnp.asarray(start)), []
    for _ in range(steps):
        params, state, said = step(params, state)
        found.append((params, *said))
    return found


def pairs_of_searches():
    """Ours, which starts from the gradient, and optax's, which needs it negated."""
    down = optax.sgd(1.0)
    backtracking = {"slope_rtol": 0.1, "decrease_factor": 0.5, "increase_factor": 3.0}
    zoom = {"curv_rtol": 0.1, "approx_dec_rtol": None, "increase_factor": 3.0}
    ours = of.scale_by_backtracking_linesearch, of.scale_by_zoom_linesearch
    theirs = optax.scale_by_backtracking_linesearch, optax.scale_by_zoom_linesearch
    arguments = {
        "backtracking": (0, {"max_backtracking_steps": 40}),
        "backtracking_few": (0, {"max_backtracking_steps": 3}),
        "backtracking_other": (0, {"max_backtracking_steps": 20, **backtracking}),
        "backtracking_tolerant": (
            0,
            {"max_backtracking_steps": 20, "rtol": 0.1, "atol": 0.01},
        ),
        "backtracking_restart": (
            0,
            {"max_backtracking_steps": 40, "increase_factor": np.inf},
        ),
        "zoom": (1, {"max_linesearch_steps": 20}),
        "zoom_few": (1, {"max_linesearch_steps": 3}),
        "zoom_strict": (1, {"max_linesearch_steps": 30, **zoom}),
        "zoom_bounded": (1, {"max_linesearch_steps": 20, "max_learning_rate": 2e-3}),
        "zoom_tolerant": (1, {"max_linesearch_steps": 20, "tol": 0.1}),
        "zoom_coarse": (
            1,
            {"max_linesearch_steps": 30, "curv_rtol": 1e-3, "stepsize_precision": 0.1},
        ),
        "zoom_one": (
            1,
            {"max_linesearch_steps": 20, "initial_guess_strategy": "one"},
        ),
    }
    return {
        name: (
            of.chain(ours[kind](**kwargs)),
            optax.chain(down, theirs[kind](**kwargs)),
        )
        for name, (kind, kwargs) in arguments.items()
    }


# Each search on one function, and those of the default settings on all. Of a parabola
# optax's cubic is noise over noise, so zooming along one is not compared.
COMPARED = [
    (name, search)
    for i, search in enumerate(pairs_of_searches())
    for k, name in enumerate(FUNCTIONS)
    if (search in ("backtracking", "zoom") or (i + k) % 2)
    and not (name == "quadratic" and search.startswith("zoom"))
    and (name, search) != ("rosenbrock", "backtracking_few")  # which diverges
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "search"), COMPARED)
def test_every_step_is_optaxs(name, search, x64):
    ours, theirs = pairs_of_searches()[search]
    value_fn = FUNCTIONS[name]
    found = steps_of(ours, value_fn, START, 12)
    with jax.numpy_dtype_promotion("standard"):
        expected = steps_of(theirs, value_fn, START, 12)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours[1][2], theirs[1][2])
        # The same operations in float64, of which interpolations magnify the rounding.
        chex.assert_trees_all_close(ours[:2], theirs[:2], rtol=1e-7, atol=1e-9)
        # optax reports the error of the last trial, ours is of the step taken.
        if not search.startswith("zoom"):
            np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "search"),
    [
        ("gd_backtracking", of.scale_by_backtracking_linesearch(15)),
        ("gd_zoom_rosenbrock", of.scale_by_zoom_linesearch(20)),
    ],
)
def test_the_recorded_steps(name, search, x64):
    """optax's parameters, step sizes and evaluations after each step."""

    def read(state, params):
        return state[-1].learning_rate, state[-1].info.num_linesearch_steps

    assert_follows(name, of.chain(of.sgd(1.0), search), read=read)


# --- the conditions, along any direction ----------------------------------------------

# In tenths: what a step changes must be large against the rounding of values.
directions = st.lists(
    st.integers(-30, 30).map(lambda i: i / 10), min_size=5, max_size=5
)
ZOOM = of.scale_by_zoom_linesearch(
    40, approx_dec_rtol=None, initial_guess_strategy="one"
)
BACKTRACKING = of.scale_by_backtracking_linesearch(60, 0.1)


@partial(jax.jit, static_argnums=(1,))
def searched(tx, value_fn, params, updates):
    return tx.update(updates, tx.init(params), params, value_fn=value_fn)


@pytest.mark.parametrize(
    "name",
    [
        "rosenbrock",
        *(pytest.param(x, marks=pytest.mark.slow) for x in [*FUNCTIONS][1:]),
    ],
)
def test_conditions_along_any_direction(name, x64):
    value_fn = FUNCTIONS[name]

    @settings(max_examples=40)
    @given(direction=directions, start=directions)
    @example([0.0] * 5, [1.0] * 5)
    def check(direction, start):
        params, updates = jnp.asarray(start), jnp.asarray(direction)
        value, grad = jax.value_and_grad(value_fn)(params)
        slope = float(grad @ updates)
        sizes = float(jnp.linalg.norm(grad) * jnp.linalg.norm(updates))
        if abs(slope) <= 1e-3 * sizes:
            return  # nearly level
        for tx in (ZOOM, BACKTRACKING):
            change, state = searched(tx, value_fn, params, updates)
            new_value, new_grad = jax.value_and_grad(value_fn)(params + change)
            size = float(state.learning_rate)
            # Downhill, whichever way the updates point.
            np.testing.assert_allclose(
                change, -np.sign(slope) * size * updates, rtol=1e-12
            )
            rounding = 1e-12 * max(1.0, abs(float(value)))
            share = float(tx.slope_rtol)
            enough = value - share * size * abs(slope) + rounding
            assert bool(state.info.failed) == bool(state.info.decrease_error > 0)
            assert not state.info.failed
            assert new_value <= enough
            assert state.value == pytest.approx(float(new_value), rel=1e-12)
            if tx is not ZOOM:
                continue
            if not state.info.curvature_error > 0:
                flat = 0.9 * abs(slope)
                assert abs(float(new_grad @ updates)) <= flat * (1 + 1e-9) + rounding
            np.testing.assert_allclose(state.grad, new_grad, rtol=1e-9, atol=1e-9)

    check()


def test_a_search_that_fails_says_so(x64):
    def rising(x):  # has a slope that its values do not follow
        return x + jax.lax.stop_gradient(10 * jnp.abs(x))

    zero = jnp.zeros(())
    for tx in (of.scale_by_backtracking_linesearch(7), of.scale_by_zoom_linesearch(7)):
        _, state = tx.update(-jnp.ones(()), tx.init(zero), zero, value_fn=rising)
        assert state.info.failed
        assert state.info.decrease_error > 0
        assert state.info.num_linesearch_steps == 8 - hasattr(tx, "curv_rtol")


def test_where_the_function_is_not_finite_the_parameters_stay(x64):
    def walled(x):
        return jnp.where(x < 1, jnp.nan, x)

    params = jnp.ones(())
    for tx in (
        of.scale_by_backtracking_linesearch(5, store_grad=True),
        of.scale_by_zoom_linesearch(5),
    ):
        change, state = tx.update(
            jnp.ones(()), tx.init(params), params, value_fn=walled
        )
        assert (change, state.learning_rate, state.value, state.grad) == (0, 0, 1, 1)
        assert state.info.failed
        assert jnp.isinf(state.info.decrease_error)
        # The next search is no worse.
        change, state = tx.update(jnp.ones(()), state, params, value_fn=quadratic_at_0)
        assert change < 0
        assert not state.info.failed


def quadratic_at_0(x):
    return 0.5 * x**2


@pytest.mark.parametrize(
    "build", [of.scale_by_backtracking_linesearch, of.scale_by_zoom_linesearch]
)
def test_lanes_of_a_vmap_are_single_runs(build, x64):
    tx = build(20)
    starts = jnp.asarray(RNG.uniform(-2, 2, (4, 5)))

    def run(params):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(
                jax.grad(rosenbrock)(params), state, params, value_fn=rosenbrock
            )
            return (params + updates, state), state.info.num_linesearch_steps

        (params, _), counts = jax.lax.scan(step, (params, tx.init(params)), length=5)
        return params, counts

    together, counts = jax.jit(jax.vmap(run))(starts)
    assert len({tuple(lane) for lane in counts.tolist()}) > 1
    single = jax.jit(run)
    for i, start in enumerate(starts):
        alone, count = single(start)
        np.testing.assert_array_equal(counts[i], count)
        np.testing.assert_allclose(together[i], alone, rtol=1e-7)


@pytest.mark.slow
def test_the_value_and_the_gradient_of_the_last_step_serve_the_next():
    evaluated = []

    def value_fn(x):
        jax.debug.callback(lambda: evaluated.append(None))
        return jnp.sum((x - 1) ** 2)

    reuse = of.value_and_grad_from_state(value_fn)
    params = jnp.zeros(3)
    for search in (
        of.scale_by_backtracking_linesearch(store_grad=True),
        of.scale_by_zoom_linesearch(),
        optax.scale_by_zoom_linesearch(10),
    ):
        tx = of.chain(of.sgd(0.25), search)
        state, x = tx.init(params), params
        for i in range(3):
            evaluated.clear()
            value, grad = reuse(x, state=state)
            jax.effects_barrier()
            assert len(evaluated) == (i == 0)
            chex.assert_trees_all_close(grad, 2 * (x - 1), rtol=1e-6)
            assert value == pytest.approx(float(jnp.sum((x - 1) ** 2)))
            with jax.numpy_dtype_promotion("standard"):
                updates, state = tx.update(
                    grad, state, x, value=value, grad=grad, value_fn=value_fn
                )
            x = x + updates


def test_which_states_have_no_value_and_gradient():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    reuse = of.value_and_grad_from_state(lambda params: jnp.sum(params["a"]))
    zoom = of.scale_by_zoom_linesearch()
    for tx, message in (
        (of.sgd(0.1), "found 0"),
        (of.chain(zoom, zoom), "found 2"),
        (of.scale_by_backtracking_linesearch(), "store_grad=True"),
        (of.masked(zoom, {"a": True, "b": False}), "of only some of the parameters"),
    ):
        with pytest.raises(ValueError, match=message):
            reuse(params, state=tx.init(params))


def test_what_the_loss_needs_besides_parameters_is_found_by_name():
    params = {"w": jnp.array([1.0, 2.0, 3.0]), "frozen": jnp.ones(())}
    x, y = jnp.array([3.0, 2.0, 1.0]), jnp.zeros(())

    def loss(params, x, *, y):
        return 0.5 * (x @ params["w"] * params["frozen"] - y) ** 2

    search = of.scale_by_zoom_linesearch()
    for tx in (search, of.masked(search, {"w": True, "frozen": False})):
        grads = jax.grad(loss)(params, x, y=y)
        grads["frozen"] = None if tx is search else jnp.zeros(())
        updates, _ = tx.update(
            grads, tx.init(params), params, value_fn=loss, x=x, y=y, key=3
        )
        assert not updates["frozen"]
        new = of.apply_updates(params, updates)
        # 50 before; along the gradient the minimum is 0.
        assert loss(new, x, y=y) < 1e-3


@pytest.mark.slow
def test_complex_parameters_are_pairs(x64):
    def of_complex(z):
        return jnp.sum(100 * (z.imag - z.real**2) ** 2 + (1 - z.real) ** 2)

    def of_pair(x):
        return of_complex(jax.lax.complex(x[0], x[1]))

    z = jnp.array([-1.2 + 1j, 0.3 - 0.5j])
    x = jnp.stack([z.real, z.imag])
    reuse = of.value_and_grad_from_state(of_complex)

    @jax.jit
    def step(tx, z, x, states):
        grads = jnp.conj(jax.grad(of_complex)(z)), jax.grad(of_pair)(x)
        if isinstance(tx.members[1], of.scale_by_zoom_linesearch):
            grads = reuse(z, state=states[0])[1], grads[1]
        change, found = tx.update(grads[0], states[0], z, value_fn=of_complex)
        other, expected = tx.update(grads[1], states[1], x, value_fn=of_pair)
        return z + change, x + other, (found, expected)

    for search in (
        of.scale_by_backtracking_linesearch(40),
        of.scale_by_zoom_linesearch(),
    ):
        tx = of.chain(of.scale_by_lbfgs(), search)
        states = tx.init(z), tx.init(x)
        for _ in range(4):
            z, x, states = step(tx, z, x, states)
            np.testing.assert_allclose(jnp.stack([z.real, z.imag]), x, rtol=1e-9)


@pytest.mark.parametrize(
    ("build", "arguments", "error", "message"),
    [
        ("backtracking", {"max_backtracking_steps": -1}, ValueError, "at least 0"),
        (
            "backtracking",
            {"max_backtracking_steps": 1.5},
            TypeError,
            "must be an integer",
        ),
        ("backtracking", {"decrease_factor": 1.0}, ValueError, "below 1, found 1.0"),
        ("backtracking", {"increase_factor": 0.5}, ValueError, "at least 1"),
        ("backtracking", {"max_learning_rate": 0.0}, ValueError, "above 0"),
        ("backtracking", {"slope_rtol": jnp.ones(())}, ValueError, "below 1"),
        ("zoom", {"max_linesearch_steps": 0}, ValueError, "at least 1"),
        ("zoom", {"increase_factor": 1.0}, ValueError, "above 1"),
        ("zoom", {"curv_rtol": -1.0}, ValueError, "above 0"),
        ("zoom", {"initial_guess_strategy": "two"}, ValueError, "'keep', 'one'"),
        ("zoom", {"tol": float("nan")}, ValueError, "tol must be"),
    ],
)
def test_arguments_out_of_range(build, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(of, f"scale_by_{build}_linesearch")(**arguments)


def test_what_an_update_needs():
    params = {"a": jnp.ones(3), "b": jnp.ones(2)}

    def value_fn(params):
        return jnp.sum(params["a"] ** 2) + jnp.sum(params["b"])

    for tx in (of.scale_by_backtracking_linesearch(), of.scale_by_zoom_linesearch()):
        update = partial(tx.update, params, tx.init(params))
        with pytest.raises(TypeError, match="value_fn"):
            update(params)
        with pytest.raises(ValueError, match="linesearch needs the parameters"):
            update(value_fn=value_fn)
        with pytest.raises(ValueError, match="grad has no leaf at 'b'"):
            update(params, value_fn=value_fn, grad={"a": params["a"]})
        with pytest.raises(ValueError, match="value must be a scalar"):
            update(params, value_fn=value_fn, value=jnp.ones(2), grad=params)
