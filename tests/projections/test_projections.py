"""Projections: nearest by the optimality conditions, beside optax, differentiable.

``y`` in a convex set is the nearest point to ``x`` if and only if no ``z`` of the set
has ``<x - y, z> > <x - y, y>``. The greatest ``<g, z>`` of each set has a closed form.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

P = of.projections
SIZES = (1, 2, 7, 1000)
SCALES = (1e-3, 1.0, 30.0)


def drawn(size, seed=0, spread=1.0, offset=0.0):
    values = np.random.default_rng((size, seed)).normal(size=size)
    return (offset + spread * values).astype(np.float32)


def largest_on_simplex(g, scale):
    return scale * g.max()


def largest_in_l1(g, scale):
    return scale * np.abs(g).max()


def largest_in_l2(g, scale):
    return scale * np.linalg.norm(g)


def largest_in_linf(g, scale):
    return scale * np.abs(g).sum()


def largest_in_cube(g, scale):
    return scale * np.maximum(g, 0).sum()


CONVEX = {
    # function, the largest <g, z>, how far a point is outside
    "simplex": (
        P.simplex,
        largest_on_simplex,
        lambda y, s: max(-y.min(), abs(y.sum() - s)),
    ),
    "l1_ball": (P.l1_ball, largest_in_l1, lambda y, s: np.abs(y).sum() - s),
    "l2_ball": (P.l2_ball, largest_in_l2, lambda y, s: np.linalg.norm(y) - s),
    "linf_ball": (P.linf_ball, largest_in_linf, lambda y, s: np.abs(y).max() - s),
    "hypercube": (
        P.hypercube,
        largest_in_cube,
        lambda y, s: max(-y.min(), y.max() - s),
    ),
}
THEIRS = {
    "simplex": optax.projections.projection_simplex,
    "l1_ball": optax.projections.projection_l1_ball,
    "l1_sphere": optax.projections.projection_l1_sphere,
    "l2_ball": optax.projections.projection_l2_ball,
    "l2_sphere": optax.projections.projection_l2_sphere,
    "linf_ball": optax.projections.projection_linf_ball,
    # optax's own of a tree is an error; it is this box.
    "hypercube": lambda tree, scale: optax.projections.projection_box(
        tree, *(jax.tree.map(lambda leaf, b=b: b, tree) for b in (0.0, scale))
    ),
}


@pytest.mark.parametrize("name", CONVEX)
@pytest.mark.parametrize("size", SIZES)
def test_the_result_is_the_nearest_point(name, size):
    """In float32, to 1e-6 of the sizes that occur."""
    function, largest, excess = CONVEX[name]
    program = jax.jit(function)
    for seed, (spread, offset) in enumerate([(1, 0), (1e-3, 0), (1e3, 0), (1, 50)]):
        x = drawn(size, seed, spread, offset)
        for scale in SCALES:
            # The radius as the program sees it, rounded to float32.
            y = np.asarray(program(x, scale), np.float64)
            scale = float(np.float32(scale))
            # Sums of as many roundings as there are numbers in the support.
            room = 1e-6 * max(scale, np.linalg.norm(y))
            assert excess(y, scale) <= room
            g = x.astype(np.float64) - y
            gap = largest(g, scale) - g @ y
            reach = max(np.linalg.norm(x), np.linalg.norm(y))
            assert gap <= 1e-6 * np.linalg.norm(g) * reach


def by_bisection(x, scale):
    """The projection onto the simplex: float64 and nothing but halving."""
    x = x.astype(np.float64)
    low, high = x.max() - scale, x.max()
    for _ in range(200):
        middle = (low + high) / 2
        is_low = np.maximum(x - middle, 0).sum() > scale
        low, high = (middle, high) if is_low else (low, middle)
    return np.maximum(x - (low + high) / 2, 0)


@pytest.mark.parametrize("size", [2, 100_000])
def test_the_simplex_beside_bisection(size):
    for spread, offset in ((1, 0), (1e-4, 0), (1, 1000)):
        x = drawn(size, 3, spread, offset)
        found = jax.jit(P.simplex)(x, 2.0)
        # Relative to the sum, 2.
        np.testing.assert_allclose(found, by_bisection(x, 2.0), rtol=0, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", THEIRS)
def test_values_and_derivatives_beside_optax(name, x64):
    x = {"a": drawn(5).astype(np.float64), "b": drawn(6).reshape(2, 3) * 1.0}
    x = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), x)
    weights = jax.tree.map(lambda leaf: np.cos(np.arange(leaf.size) + 0.5), x)

    def weighted(project, x, scale):
        y = project(x, scale)
        pairs = zip(jax.tree.leaves(y), jax.tree.leaves(weights), strict=True)
        return sum(jnp.vdot(leaf.ravel(), w) for leaf, w in pairs), y

    for scale in (0.3, 2.0, 40.0):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            found, expected = (
                jax.value_and_grad(partial(weighted, f), has_aux=True)(x, scale)
                for f in (getattr(P, name), THEIRS[name])
            )
        jax.tree.map(
            partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12), found, expected
        )


NORMAL = np.array([1.0, 2.0, -1.0])
AT = np.array([0.5, -1.0, 2.0])


def test_planes_and_lines_beside_optax(x64):
    theirs = optax.projections
    for b in (1.0, -5.0, 3.0):
        for ours, other in (
            (P.hyperplane, theirs.projection_hyperplane),
            (P.halfspace, theirs.projection_halfspace),
        ):
            for function in (lambda f: f, jax.jacrev):
                found = function(ours)(AT, NORMAL, b)
                expected = function(other)(AT, NORMAL, b)
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(
        P.vector(AT, NORMAL), theirs.projection_vector(AT, NORMAL), atol=1e-15
    )
    bounds = {"x": np.array([-0.2, 0.0, 1.0])}, {"x": 0.3}
    np.testing.assert_array_equal(
        P.box({"x": AT}, -0.2, bounds[1])["x"], [0.3, -0.2, 0.3]
    )
    np.testing.assert_array_equal(
        P.non_negative(AT), theirs.projection_non_negative(AT)
    )


@pytest.mark.parametrize("size", [3, 50_000])
def test_planes_hold_in_float32(size):
    x, a = drawn(size, 1), drawn(size, 2)
    b = 0.7
    wide = x.astype(np.float64), a.astype(np.float64)
    share = (np.float32(b) - wide[0] @ wide[1]) / (wide[1] @ wide[1])
    expected = wide[0] + share * wide[1]
    np.testing.assert_allclose(P.hyperplane(x, a, b), expected, atol=1e-6)
    np.testing.assert_allclose(
        P.halfspace(x, a, b), expected if share < 0 else x, atol=1e-6
    )


def differences(function, x, step=1e-6):
    columns = []
    for i in range(x.size):
        unit = step * np.eye(x.size)[i]
        columns.append((function(x + unit) - function(x - unit)) / (2 * step))
    return np.stack(columns, -1)


DIFFERENTIABLE = {
    **{name: getattr(P, name) for name in [*THEIRS, "linf_sphere"]},
    "hyperplane": lambda x, scale: P.hyperplane(x, jnp.asarray(NORMAL), scale),
    "halfspace": lambda x, scale: P.halfspace(x, jnp.asarray(NORMAL), -scale),
    "vector": lambda x, scale: P.vector(x, jnp.asarray(NORMAL) * scale),
    "box": lambda x, scale: P.box(x, -scale / 2, scale),
    "non_negative": lambda x, scale: P.non_negative(x),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives_beside_differences(name, x64):
    """Forwards and backwards, in the point and in the size of the set."""
    function = jax.jit(DIFFERENTIABLE[name])
    jacobians = [jax.jit(j(function)) for j in (jax.jacfwd, jax.jacrev)]
    for x in (AT, np.array([0.05, -0.1, 0.2])):
        for scale in (0.4, 1.3):
            of_x = partial(lambda f, s, x: np.asarray(f(x, s)), function, scale)
            expected = differences(of_x, x)
            for jacobian in jacobians:
                found = jacobian(x, scale)
                # Of a quotient of differences of 1e-6, with values of order 1.
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
            of_scale = partial(lambda f, x, s: np.asarray(f(x, s[0])), function, x)
            np.testing.assert_allclose(
                jax.jacrev(function, 1)(x, scale),
                differences(of_scale, np.array([scale]))[:, 0],
                rtol=0,
                atol=1e-8,
            )


SPHERES = {"l1_sphere": 1, "l2_sphere": 2, "linf_sphere": np.inf}


@pytest.mark.parametrize("name", SPHERES)
@pytest.mark.slow
def test_no_point_of_the_sphere_is_nearer(name, x64):
    function, order = getattr(P, name), SPHERES[name]
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200_000, 3))
    # Signs and places of the largest, and small ones: all of the faces.
    points *= rng.choice([0.01, 1.0], points.shape)
    points /= np.linalg.norm(points, order, axis=1, keepdims=True)
    for x in (AT, AT / 100, np.array([0.0, 0.1, 0.0]), np.zeros(3), np.full(3, 0.2)):
        y = np.asarray(function(x, 1.0))
        np.testing.assert_allclose(np.linalg.norm(y, order), 1, rtol=1e-12)
        nearest = np.linalg.norm(points - x, axis=1).min()
        assert np.linalg.norm(y - x) <= nearest + 1e-12
        assert np.isfinite(jax.jacrev(function)(jnp.asarray(x), 1.0)).all()


BY_NUMBER = [n for n in DIFFERENTIABLE if n in THEIRS or n == "linf_sphere"]


@pytest.mark.parametrize("name", [*BY_NUMBER, "box", "non_negative"])
@pytest.mark.slow
def test_a_tree_counts_as_one_vector(name):
    function = DIFFERENTIABLE[name]
    x = drawn(9)
    tree = {"a": x[:4].reshape(2, 2), "b": [x[4], None, x[5:]]}
    whole = function(x, 0.7)
    found = function(tree, 0.7)
    assert jax.tree.structure(found) == jax.tree.structure(tree)
    joined = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)])
    np.testing.assert_allclose(joined, whole, rtol=1e-6)
    # A complex number is two real ones, whatever their order.
    pairs = jnp.asarray(x[:8].reshape(4, 2))
    found = function({"z": jax.lax.complex(pairs[:, 0], pairs[:, 1])}, 0.7)["z"]
    assert found.dtype == jnp.complex64
    expected = function(pairs, 0.7)
    np.testing.assert_allclose(found.real, expected[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.imag, expected[:, 1], rtol=1e-6)


@pytest.mark.parametrize("name", [*BY_NUMBER, "box", "non_negative"])
def test_dtypes_and_edges(name):
    function = DIFFERENTIABLE[name]
    tree = {"half": jnp.asarray([300.0, -2.0], jnp.float16), "one": jnp.ones(2)}
    found = function(tree, 0.5)
    assert {k: v.dtype for k, v in found.items()} == {
        k: v.dtype for k, v in tree.items()
    }
    # In the widest dtype of the tree, in which squares of 300 do not overflow.
    wide = function(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree), 0.5)
    np.testing.assert_allclose(found["half"], wide["half"], rtol=1e-3)
    assert function({}, 0.5) == {}
    assert np.isnan(function(jnp.array([jnp.nan, 1.0]), 0.5)).any()
    for size in (1e-30, 1e30):
        y = function(jnp.array([1.0, -2.0, 3.0]) * size, 0.5)
        assert np.isfinite(y).all()
    mapped = jax.vmap(lambda x: function(x, 0.5))(jnp.stack([AT, -AT]))
    np.testing.assert_allclose(mapped[1], function(jnp.asarray(-AT), 0.5), rtol=1e-6)


def test_balls_of_radius_0_are_a_point():
    for function in (P.l1_ball, P.l2_ball, P.linf_ball, P.hypercube):
        np.testing.assert_array_equal(function(jnp.asarray(AT), 0), np.zeros(3))
        np.testing.assert_array_equal(function(jnp.zeros(3), 0.0), np.zeros(3))


def test_errors_say_what_is_wrong():
    for function in (P.simplex, P.l1_sphere, P.l2_sphere, P.linf_sphere):
        with pytest.raises(ValueError, match="scale must be above 0, found 0"):
            function(jnp.ones(2), 0)
    for function in (P.l1_ball, P.l2_ball, P.linf_ball, P.hypercube):
        with pytest.raises(ValueError, match="scale must be at least 0, found -1"):
            function(jnp.ones(2), -1)
    with pytest.raises(ValueError, match=r"scale must be .* found shape \(2,\)"):
        P.simplex(jnp.ones(2), jnp.ones(2))
    with pytest.raises(TypeError, match="float or complex dtypes, found int32 at 'n'"):
        P.simplex({"n": jnp.arange(3)})
    with pytest.raises(TypeError, match="must be arrays, found 'a' at 'n'"):
        P.simplex({"n": "a"})
    with pytest.raises(TypeError, match="sparse one at 'x'"):
        P.l2_ball({"x": jax.experimental.sparse.BCOO.fromdense(jnp.ones(2))})
    with pytest.raises(ValueError, match="a has no leaf at 'x'"):
        P.hyperplane({"x": jnp.ones(2)}, {"y": jnp.ones(2)}, 1.0)
    with pytest.raises(ValueError, match="a must have the shapes of the tree"):
        P.halfspace({"x": jnp.ones(2)}, {"x": jnp.ones(3)}, 1.0)
    with pytest.raises(ValueError, match="lower must be at most upper, found 2 and 1"):
        P.box({"x": jnp.ones(2)}, 2, 1)
    with pytest.raises(ValueError, match=r"upper must broadcast .* found shape \(3,\)"):
        P.box({"x": jnp.ones(2)}, 0.0, {"x": jnp.ones(3)})


# --- the transformation ---------------------------------------------------------------

TARGET = np.array([[0.9, -0.4, 0.6], [0.1, 1.2, -2.0]])


def descended(tx, params, steps=300):
    def step(carry, _):
        params, state = carry
        grads = jax.tree.map(lambda p: p - jnp.asarray(TARGET, p.dtype), params)
        updates, state = tx.update(grads, state, params)
        params = of.apply_updates(params, updates)
        return (params, state), params

    return jax.jit(
        lambda params: jax.lax.scan(step, (params, tx.init(params)), None, steps)[1]
    )(params)


@pytest.mark.parametrize("name", ["simplex", "l1_ball", "l2_ball", "linf_ball"])
def test_parameters_stay_in_the_set_and_come_to_the_nearest_point(name):
    """The least distance to a target is that of the target's projection."""
    function, _, excess = CONVEX[name]
    tx = of.chain(of.sgd(0.3, 0.5), of.project(function, {"scale": 0.8}))
    path = descended(tx, {"w": jnp.full((2, 3), 5.0)})["w"]
    for y in np.asarray(path, np.float64):
        assert excess(y.ravel(), 0.8) <= 1e-6
    expected = function(jnp.asarray(TARGET, jnp.float32), 0.8)
    np.testing.assert_allclose(path[-1], expected, atol=1e-6)


def test_narrow_parameters_are_rounded_once():
    tx = of.chain(of.sgd(0.3), of.project(P.l2_ball))
    params = jnp.full((2, 3), 5.0, jnp.bfloat16)
    grads = jnp.asarray(TARGET, jnp.bfloat16)
    updates, _ = tx.update(grads, tx.init(params), params)
    assert updates.dtype == jnp.float32
    found = of.apply_updates(params, updates)
    step, _ = of.sgd(0.3).update(grads, of.sgd(0.3).init(params), params)
    moved = params.astype(jnp.float32) + step.astype(jnp.float32)
    np.testing.assert_array_equal(found, P.l2_ball(moved).astype(jnp.bfloat16))


def test_a_size_may_be_a_schedule_and_be_replaced():
    growing = of.schedules.from_to(1.0, 3.0, 2)
    tx = of.chain(of.sgd(0.0), of.project(P.l2_ball, {"scale": growing}))
    params = {"w": jnp.full(4, 10.0)}
    state = tx.init(params)
    for expected in (1.0, 2.0, 3.0, 3.0):
        updates, state = tx.update(params, state, params)
        norm = of.global_norm(of.apply_updates(params, updates))
        np.testing.assert_allclose(norm, expected, rtol=1e-6)
    traces = []

    @jax.jit
    def step(tx, params):
        traces.append(None)
        updates, _ = tx.update(params, tx.init(params), params)
        return of.global_norm(of.apply_updates(params, updates))

    for scale in (1.0, 4.0):
        tx = of.project(P.l2_ball, {"scale": scale})
        np.testing.assert_allclose(step(tx, params), scale, rtol=1e-6)
    assert len(traces) == 1


def test_a_mask_chooses_what_is_projected():
    tx = of.masked(of.project(P.simplex), lambda path, leaf: path == "w")
    params = {"w": jnp.array([3.0, 1.0]), "b": jnp.array([3.0, 1.0])}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zeros, tx.init(params), params)
    found = of.apply_updates(params, updates)
    np.testing.assert_allclose(found["w"], [1, 0])
    np.testing.assert_allclose(found["b"], [3, 1])


def test_arguments_of_the_transformation_are_checked():
    with pytest.raises(TypeError, match="projection must be a function of a tree"):
        of.project("simplex")
    with pytest.raises(TypeError, match="arguments must be a dict"):
        of.project(P.l2_ball, 3.0)
    tx = of.project(lambda tree: {"w": jnp.ones(3)})
    params = {"w": jnp.ones(2)}
    with pytest.raises(ValueError, match="'w'"):
        tx.update(params, (), params)
