"""Schedules, losses, and functions of trees against optax's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc.compat.optax as compat


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


SCHEDULES = {
    "constant": lambda o: o.constant_schedule(0.3),
    "linear": lambda o: o.linear_schedule(0.0, 1.0, 10),
    "linear from later": lambda o: o.linear_schedule(1.0, 0.0, 10.0, 3),
    "linear of no steps": lambda o: o.linear_schedule(0.5, 0.0, 0),
    "linear of a fraction": lambda o: o.linear_schedule(1.0, 0.0, 7.5),
    "linear to later": lambda o: o.linear_schedule(0.0, 1.0, 4.0, 2.0),
    "whole floats": lambda o: o.join_schedules(
        [
            o.polynomial_schedule(1.0, 0.2, 3.0, 8.0, 2.0),
            o.exponential_decay(0.5, 4.0, 0.7, 3.0, True),
            o.cosine_decay_schedule(0.5, 10.0),
        ],
        [4.0, 9.0],
    ),
    "whole floats of a warmup": lambda o: o.warmup_cosine_decay_schedule(
        0.0, 0.5, 4.0, 12.0
    ),
    "whole floats of pieces": lambda o: o.piecewise_constant_schedule(
        0.5, {4.0: 0.5, 9.0: 0.1}
    ),
    "polynomial": lambda o: o.polynomial_schedule(1.0, 0.2, 3.0, 8, 2),
    "exponential": lambda o: o.exponential_decay(0.5, 4, 0.7),
    "exponential all": lambda o: o.exponential_decay(0.5, 4, 0.7, 3, True, 0.2),
    "exponential growth": lambda o: o.exponential_decay(0.5, 4, 2.0, 1, False, 3.0),
    "cosine": lambda o: o.cosine_decay_schedule(0.5, 10),
    "cosine all": lambda o: o.cosine_decay_schedule(0.5, 10, 0.1, 2.0),
    "warmup cosine": lambda o: o.warmup_cosine_decay_schedule(0.0, 0.5, 4, 12),
    "warmup cosine all": lambda o: o.warmup_cosine_decay_schedule(
        0.1, 0.5, 4, 12, 0.05, 2.0
    ),
    "no warmup": lambda o: o.warmup_cosine_decay_schedule(0.0, 0.5, 0, 12),
    "warmup constant": lambda o: o.warmup_constant_schedule(0.0, 0.5, 4),
    "warmup exponential": lambda o: o.warmup_exponential_decay_schedule(
        0.0, 0.5, 4, 3, 0.5, 1, True, 0.1
    ),
    "pieces": lambda o: o.piecewise_constant_schedule(0.5, {9: 0.1, 4: 0.5}),
    "no pieces": lambda o: o.piecewise_constant_schedule(0.5),
    "lines": lambda o: o.piecewise_interpolate_schedule(
        "linear", 0.5, {4: 0.5, 9: 2.0}
    ),
    "waves": lambda o: o.piecewise_interpolate_schedule(
        "cosine", 0.5, {4: 0.5, 9: 2.0}
    ),
    "linear cycle": lambda o: o.linear_onecycle_schedule(14, 0.5),
    "cosine cycle": lambda o: o.cosine_onecycle_schedule(14, 0.5),
    "restarts": lambda o: o.sgdr_schedule(
        [
            {"init_value": 0.1, "peak_value": p, "warmup_steps": 2, "decay_steps": n}
            for p, n in ((0.5, 5), (0.3, 8))
        ]
    ),
    "joined": lambda o: o.join_schedules(
        [lambda t: 0.1 * t, o.constant_schedule(0.3), o.linear_schedule(1, 0, 4)],
        [3, 7],
    ),
}
COUNTS = np.arange(16)
FRACTIONS = (0.5, 2.25, 4.0, 6.75, 13.5)


QUICK = {"linear", "linear of a fraction", "warmup cosine", "norm", "kl_divergence"}


def quick_or_slow(names):
    return [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in names
    ]


@pytest.mark.parametrize("name", quick_or_slow(SCHEDULES))
def test_a_schedule_has_optaxs_values(name):
    ours, theirs = SCHEDULES[name](compat), SCHEDULES[name](optax)
    expected = np.array([float(theirs(int(i))) for i in COUNTS])
    # optax's cosine and power lose digits near their ends.
    np.testing.assert_allclose(ours(jnp.asarray(COUNTS)), expected, 1e-5, 1e-6)
    assert np.isclose(float(ours(3)), expected[3], 1e-5, 1e-6)
    for count in FRACTIONS:
        # Also counts in fractions, such as parts of an epoch.
        assert np.isclose(float(ours(count)), float(theirs(count)), 1e-5, 1e-6), count


def test_a_schedule_of_a_traced_length():
    def last(steps):
        tx = compat.inject_hyperparams(compat.sgd)(compat.linear_schedule(1.0, 0.0, 4))
        return tx.init(steps).hyperparams["learning_rate"]

    assert last(jnp.ones(2)) == 1


KEY = jax.random.key(0)
X = jax.random.normal(KEY, (4, 5))
Y = jax.random.normal(jax.random.key(1), (4, 5))
P = jax.nn.softmax(Y)
CLASSES = jnp.array([0, 4, 2, 1])
WHERE = jnp.array([[True, True, False, True, True]] * 4)
CUBE = jax.random.normal(KEY, (4, 3, 2))
PAIRS = jnp.array([[0, 1, 1]] * 4)
LOSSES = {
    "squared_error": [(X, Y), (X,)],
    "l2_loss": [(X, Y), (X,)],
    "huber_loss": [(X, Y), (X,), (X, Y, {"delta": 0.3})],
    "log_cosh": [(100 * X, Y), (X,)],
    "sigmoid_binary_cross_entropy": [(10 * X, P), (X, (Y > 0).astype(int))],
    "softmax_cross_entropy": [(X, P), (X, P, 0), (X, P, -1, WHERE), (X, P, (0, 1))],
    "safe_softmax_cross_entropy": [(X, P), (X, jax.nn.one_hot(CLASSES, 5))],
    "softmax_cross_entropy_with_integer_labels": [
        (X, CLASSES),
        (X.T, CLASSES, 0),
        (X, CLASSES, -1, WHERE | (CLASSES[:, None] == 2)),
        (CUBE, CLASSES, (1, 2)),
        (CUBE, PAIRS),
    ],
    "smooth_labels": [(P, 0.1), (P, 0.1, {"axis": 0}), (P, 0.2, {"where": WHERE})],
    "cosine_similarity": [(X, Y), (X, Y, {"axis": 0}), (0 * X, Y, {"epsilon": 1e-3})],
    "cosine_distance": [(X, Y), (X, Y, {"where": WHERE})],
    "kl_divergence": [
        (jnp.log(P), P[::-1]),
        (jnp.log(P), jax.nn.one_hot(CLASSES, 5), 0),
    ],
    "generalized_kl_divergence": [(jnp.log(P), P[::-1]), (X, P, -1, WHERE)],
    "kl_divergence_with_log_targets": [(jnp.log(P), jnp.log(P[::-1]), 0, WHERE)],
    "hinge_loss": [(X, jnp.sign(Y)), (X, 1.0)],
    "perceptron_loss": [(X, jnp.sign(Y)), (X, Y)],
    "sparsemax_loss": [(X, (Y > 0).astype(int)), (X, Y > 0)],
    "multiclass_hinge_loss": [(X, CLASSES), (CUBE, PAIRS), (X[0], 2)],
    "multiclass_perceptron_loss": [(X, CLASSES), (CUBE, PAIRS)],
    "multiclass_sparsemax_loss": [(X, CLASSES)],
    "sigmoid_focal_loss": [
        (X, P),
        (X, (Y > 0).astype(int), {"alpha": 0.25, "gamma": 1.5}),
    ],
    "poly_loss_cross_entropy": [
        (X, P),
        (X, P, {"epsilon": 0.5, "axis": 0, "where": WHERE}),
        (X, P, {"axis": (0, 1)}),
    ],
    "ranking_softmax_loss": [
        (X, P),
        (X, P, {"where": WHERE, "weights": jnp.abs(Y), "reduce_fn": None}),
        (X, P, {"where": WHERE & (CLASSES != 2)[:, None], "reduce_fn": jnp.mean}),
        (X, CLASSES[:1], {"where": WHERE, "reduce_fn": jnp.sum}),
    ],
    "dice_loss": [
        (CUBE, jax.nn.one_hot(PAIRS, 2)),
        (CUBE, jax.nn.one_hot(PAIRS, 2), {"reduction": "none"}),
        (
            CUBE,
            jax.nn.one_hot(PAIRS, 2),
            {
                "class_weights": jnp.array([0.5, 2.0]),
                "smooth": 0.1,
                "alpha": 0.3,
                "beta": 0.6,
                "reduction": "sum",
                "axis": (0, 1),
            },
        ),
        (jax.nn.softmax(CUBE), jax.nn.one_hot(PAIRS, 2), {"apply_softmax": False}),
        (CUBE, jax.nn.one_hot(PAIRS, 2), {"ignore_background": True, "axis": -2}),
        (X, (Y > 0).astype(float)[..., None]),
    ],
    "multiclass_generalized_dice_loss": [
        (CUBE, jax.nn.one_hot(PAIRS, 2)),
        (CUBE, jax.nn.one_hot(PAIRS, 2), {"smooth": 0.1, "ignore_background": True}),
    ],
    "binary_dice_loss": [
        (X, (Y > 0).astype(float)),
        (CUBE[..., :1], jnp.ones((4, 3, 1)), {"smooth": 0.1}),
    ],
    "ntxent": [(X, jnp.array([0, 1, 0, 1])), (X, jnp.array([0, 1, 0, 0]), 0.5)],
    "triplet_margin_loss": [(X, Y, P), (X, Y, P, 0, 4, 0.0, 1e-3)],
}


@pytest.mark.parametrize("name", quick_or_slow(LOSSES))
def test_a_loss_has_optaxs_values_and_derivatives(name):
    for arguments in LOSSES[name]:
        *args, options = (*arguments, {})
        if isinstance(args[-1], dict):
            options = args.pop()
        found = []
        for module in (compat.losses, optax.losses):
            loss = getattr(module, name)
            total = lambda x, f=loss: jnp.sum(f(x, *args[1:], **options))  # noqa: B023, E731
            found.append((loss(*args, **options), jax.grad(total)(args[0])))
        for ours, theirs in zip(*found, strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
            np.testing.assert_allclose(ours, theirs, 2e-6, 1e-6)


def test_a_loss_of_ones_own_function():
    for module in (compat.losses, optax.losses):
        loss = module.make_fenchel_young_loss(jax.nn.logsumexp)
        one = jax.nn.one_hot(CLASSES, 5)
        np.testing.assert_allclose(
            loss(X, one), optax.softmax_cross_entropy(X, one), 2e-6, 1e-6
        )
    ours = compat.losses.make_fenchel_young_loss(
        lambda x, scale=1.0: jax.nn.logsumexp(scale * x)
    )
    assert not np.allclose(ours(X, one, scale=2.0), loss(X, one))


A = {"a": jnp.array([1.0, -2.0]), "b": (jnp.array([[3.0]]),)}
B = {"a": jnp.array([0.5, 4.0]), "b": (jnp.array([[-1.0]]),)}
C = {"a": jnp.array([1 + 2j, 3.0])}
TREES = {
    "add": [(A, B), (A, B, A)],
    "sub": [(A, B)],
    "mul": [(A, B)],
    "div": [(A, B)],
    "scale": [(2.0, A)],
    "add_scale": [(A, 3.0, B)],
    "vdot": [(A, B), (C, C)],
    "sum": [(A,)],
    "max": [(A,)],
    "min": [(A,)],
    "size": [(A,)],
    "conj": [(C,)],
    "real": [(C,)],
    "norm": [(A,), (A, 1), (A, "inf"), (A, None, True), (C,), (A, 1, True)],
    "batch_shape": [(A, (2,))],
    "zeros_like": [(A,), (A, jnp.int32)],
    "ones_like": [(A,)],
    "full_like": [(A, 7)],
    "clip": [(A, -1, 1)],
    "where": [(True, A, B)],
    "allclose": [(A, A), (A, B)],
    "cast": [(A, jnp.bfloat16), (A, None)],
    "cast_like": [(A, jax.tree.map(lambda x: x.astype(jnp.bfloat16), A))],
    "dtype": [(A,), ({"x": jnp.ones(2, jnp.bfloat16), **A}, "lowest"), (A, "highest")],
    "split_key_like": [(jax.random.PRNGKey(0), A)],
    "random_like": [(jax.random.PRNGKey(0), A)],
    "unwrap_random_key_data": [({"k": jax.random.key(3), **A},)],
    "update_moment": [(A, B, 0.9, 2)],
    "update_infinity_moment": [(A, B, 0.9, 1e-3)],
    "update_moment_per_elem_norm": [(A, B, 0.9, 2), (C, {"a": jnp.ones(2)}, 0.9, 2)],
    "bias_correction": [(A, 0.9, jnp.asarray(3))],
}
SMALL = {
    "incremental_update": [(A, B, 0.1)],
    "periodic_update": [(A, B, jnp.asarray(4), 2), (A, B, jnp.asarray(5), 2)],
    "safe_increment": [
        (jnp.asarray(3),),
        (jnp.asarray(2**31 - 1),),
        (jnp.asarray(1.5),),
    ],
    "safe_norm": [(X, 1e-3), (0 * X, 0.1), (X, 1.0, 1, 0, True)],
    "safe_root_mean_squares": [(X, 1e-3), (0 * X, 0.1)],
    "apply_updates": [(A, B)],
}


BOUNDS = jax.tree.map(lambda x: x - 0.5, A)
PROJECTIONS = {
    "projection_non_negative": [(A,)],
    # optax takes numbers as bounds of one array only.
    "projection_box": [(X, -0.5, 0.3), (A, BOUNDS, jax.tree.map(jnp.abs, A))],
    "projection_hypercube": [(X,), (X, 0.5)],
    "projection_simplex": [(A,), (A, 5.0)],
    "projection_l1_sphere": [(A,), (A, 9.0)],
    "projection_l1_ball": [(A,), (A, 9.0)],
    "projection_l2_sphere": [(A,), (A, 2.0)],
    "projection_l2_ball": [(A,), (A, 9.0)],
    "projection_linf_ball": [(A,), (A, 2.5)],
    "projection_vector": [(A, B)],
    "projection_hyperplane": [(A, B, 1.0)],
    "projection_halfspace": [(A, B, 1.0), (A, B, -40.0)],
}
FUNCTIONS = {
    "tree": TREES,
    "": SMALL,
    "projections": PROJECTIONS,
}


def squares(params, inputs, targets):
    return jnp.mean(jnp.sin(inputs @ params["a"] * params["b"][0] - targets) ** 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_second_derivatives_are_optaxs():
    data = X[:, :2], Y[:, :1]
    v = jnp.array([1.0, 2.0, -1.0])
    found = [
        (
            m.hvp(squares, v, A, *data),
            m.hessian_diag(squares, A, *data),
            m.fisher_diag(squares, A, *data),
        )
        for m in (compat.second_order, optax.second_order)
    ]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, 1e-5, 1e-6), *found)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        pytest.param(path, *name.values, marks=name.marks)
        if hasattr(name, "values")
        else (path, name)
        for path, names in FUNCTIONS.items()
        for name in quick_or_slow(names)
    ],
)
def test_a_function_of_trees_has_optaxs_values(path, name):
    modules = [getattr(module, path) if path else module for module in (compat, optax)]
    for args in FUNCTIONS[path][name]:
        ours, theirs = (getattr(module, name)(*args) for module in modules)
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            if not isinstance(y, jax.Array):
                assert x == y
                continue
            assert x.dtype == y.dtype
            np.testing.assert_allclose(
                np.asarray(x, complex), np.asarray(y, complex), 1e-6, 1e-7
            )
