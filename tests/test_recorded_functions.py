"""Values of functions that were recorded from other packages, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

S, P = of.schedules, of.projections
POINT = np.array([0.5, -1.0, 2.0])
NORMAL = np.array([1.0, 2.0, -1.0])
COUNTS = [0, 1, 2, 3, 5, 8, 9, 10, 12, 20]  # where optax's schedules were recorded
FALLING = [0.840896415253715, 0.594603557501361, 0.353553390593274, 0.297301778750680]


PROJECTIONS = {
    "simplex": (lambda x: P.simplex(x), POINT, [0, 0, 1]),
    "simplex of 2": (lambda x: P.simplex(x, 2.0), POINT, [0.25, 0, 1.75]),
    "l1_sphere, from inside": (
        P.l1_sphere,
        [0.05, -0.1, 0.2],
        [0.266666666666667, -0.316666666666667, 0.416666666666667],
    ),
    "l1_ball": (P.l1_ball, POINT, [0, 0, 1]),
    "l2_sphere": (
        lambda x: P.l2_sphere(x, 2.0),
        POINT,
        [0.436435780471985, -0.872871560943970, 1.745743121887939],
    ),
    "l2_ball": (
        P.l2_ball,
        POINT,
        [0.218217890235992, -0.436435780471985, 0.872871560943970],
    ),
    "linf_ball": (P.linf_ball, POINT, [0.5, -1, 1]),
    "hyperplane": (lambda x: P.hyperplane(x, NORMAL, 1.0), POINT, [1.25, 0.5, 1.25]),
    "halfspace": (lambda x: P.halfspace(x, NORMAL, -5.0), POINT, [0.25, -1.5, 2.25]),
    "vector": (
        lambda x: P.vector(x, NORMAL),
        POINT,
        [-0.583333333333333, -1.166666666666667, 0.583333333333333],
    ),
}


@pytest.mark.parametrize("name", PROJECTIONS)
def test_projections(name, x64):
    project, point, expected = PROJECTIONS[name]
    found = project(jnp.asarray(point, jnp.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_the_derivative_of_a_projection(x64):
    found = jax.jacobian(P.simplex)(jnp.array([0.5, 0.3, -1.0]))
    expected = [[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_non_negative_least_squares_by_projected_gradients(x64):
    """The names page says that this takes the place of optax's nnls."""
    a, b = jnp.array([[1.0, 2.0], [3, 4], [5, 6]]), jnp.array([1.0, -1, 2])
    sharpness, _ = of.linalg.power_iteration(a.T @ a)
    tx = of.chain(of.sgd(1 / sharpness), of.project(P.non_negative))

    def step(carry, _):
        x, state = carry
        updates, state = tx.update(a.T @ (a @ x - b), state, x)
        return (of.apply_updates(x, updates), state), None

    x = jnp.ones(2)
    (x, _), _ = jax.jit(lambda x: jax.lax.scan(step, (x, tx.init(x)), length=200))(x)
    np.testing.assert_allclose(x, [0.228571428571429, 0], atol=1e-12)


def halves(step):
    """Half every four updates, from the second on, and at least 0.2."""
    late = S.sequential([S.constant(1.0), S.exponential(1.0, 0.5**0.25)], [2])
    return jnp.maximum(late(step), 0.2)


SCHEDULES = {
    "polynomial": (
        S.sequential([S.constant(1.0), S.from_to(1.0, 0.1, 8, "power", 2)], [2]),
        [1, 1, 1, 0.7890625, 0.4515625, 0.15625, 0.1140625, 0.1, 0.1, 0.1],
    ),
    "exponential, bounded": (halves, [1, 1, 1, *FALLING, 0.25, 0.2, 0.2]),
    "warmup_exponential": (
        S.sequential([S.from_to(0.0, 1.0, 2), S.exponential(1.0, 0.5**0.25)], [2]),
        [0, 0.5, 1, *FALLING, 0.25, 0.176776695296637, 0.044194173824159],
    ),
    # optax's `alpha` is inside the power.
    "warmup_cosine": (
        S.warmup_cosine(1.0, 2, 10, end_value=0.1, exponent=2.0),
        [0, 0.5, 1, 0.932795302513566, 0.530158031680804, 0.119301948466054,
         0.101303723253408, 0.1, 0.1, 0.1],
    ),
    "piecewise_interpolated": (
        S.piecewise_interpolated(1.0, [3, 8], [0.5, 0.1], "cosine"),
        [1, 0.875, 0.625, 0.5, 0.344528823734363, 0.05, 0.05, 0.05, 0.05, 0.05],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_of_optax(name, x64):
    schedule, expected = SCHEDULES[name]
    found = jax.vmap(schedule)(jnp.array(COUNTS))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


ENDS = {
    "sqrt": [1, 0.5, 0.292893218813452, 0.133974596215561, 0],
    "linear": [1, 0.75, 0.5, 0.25, 0],
    "cosine": [1, 0.853553390593274, 0.5, 0.146446609406726, 0],
    "square": [1, 0.9375, 0.75, 0.4375, 0],
}


@pytest.mark.parametrize("curve", ENDS)
def test_the_ends_of_trapezoids(curve, x64):
    """Warm-up of 2, stable for 4, decay of 4: pytorch_optimizer's schedules."""
    schedule = S.warmup_stable_decay(1.0, 2, 4, 4, decay=curve)
    found = jax.vmap(schedule)(jnp.arange(12))
    expected = [0, 0.5, 1, 1, 1, 1, *ENDS[curve], 0]
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_a_trapezoid_that_ends_above_0(x64):
    schedule = S.warmup_stable_decay(1.0, 0, 1, 4, decay="sqrt", end_value=0.1)
    found = jax.vmap(schedule)(jnp.arange(7))
    expected = [1, 1, 0.55, 0.363603896932107, 0.220577136594005, 0.1, 0.1]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_decay_of_a_teacher(x64):
    cosine = S.from_to(0.996, 1.0, 10, "cosine")
    found = jax.vmap(cosine)(jnp.array([0, 1, 5, 9, 10]))
    expected = [0.996, 0.996097886967, 0.998, 0.999902113033, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_smoothed_labels_are_an_argument_of_the_loss(x64):
    """The names page says so: the loss with optax's smoothed labels is the same."""
    scores = jnp.array([[1.0, -2.0, 0.5]])
    smooth = jnp.array([[0.213333333333333, 0.303333333333333, 0.483333333333333]])
    found = of.losses.cross_entropy(
        scores, jnp.array([[0.2, 0.3, 0.5]]), label_smoothing=0.1
    )
    expected = of.losses.cross_entropy(scores, smooth)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
