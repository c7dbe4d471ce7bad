"""SOAP against its authors' recorded runs and against NumPy in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .authors import assert_follows

pytestmark = pytest.mark.slow

SHAPES = {"matrix": (4, 3), "tensor": (2, 2, 3), "vector": (5,), "scalar": ()}


def test_the_authors_runs(x64):
    # A direction without gradients is rounding; the reference itself is so restated to
    # 4e-9.
    tx = of.soap(0.1, precondition_frequency=2)
    assert_follows("soap", tx, atol=1e-8)
    assert_follows("soap_vector", of.soap(0.1, weight_decay=0.01))


def gradients(shapes, steps):
    """Their products with themselves lack at most one eigenvalue from the first one on,
    so that no direction is arbitrary."""
    rng = np.random.default_rng(0)
    return [{k: rng.normal(size=s) for k, s in shapes.items()} for _ in range(steps)]


def rotated(x, bases):
    for axis, q in enumerate(bases):
        if q is not None:
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ q, -1, axis)
    return x


def grams(x, chosen):
    flat = [np.moveaxis(x, i, 0).reshape(n, -1) for i, n in enumerate(x.shape)]
    return [y @ y.T if keep else None for y, keep in zip(flat, chosen, strict=True)]


def reference(
    p, grads, chosen, shape, *, betas, shampoo_beta, eps, frequency, lr, decay, **flags
):
    """The paper's rule, with the averages of the gradients in their own space."""
    averages = bases = None
    m = v = 0
    for t, grad in enumerate(grads):
        g = grad.reshape(shape)
        products = grams(g, chosen)
        if t == 0:
            averages = [None if x is None else (1 - shampoo_beta) * x for x in products]
            bases = [
                None if x is None else np.linalg.eigh(x)[1][:, ::-1] for x in averages
            ]
            continue
        m = betas[0] * m + (1 - betas[0]) * g
        x = rotated(g, bases)
        v = betas[1] * v + (1 - betas[1]) * x**2
        back = [None if q is None else q.T for q in bases]
        u = rotated(rotated(m, bases) / (np.sqrt(v) + eps), back)
        if flags.get("normalize_grads"):
            u /= np.sqrt(np.mean(u * u))
        if flags.get("correct_bias", True):
            u *= np.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t)
        p = (1 - lr * decay) * (p - lr * u.reshape(p.shape))
        for axis, product in enumerate(products):
            if product is None:
                continue
            average = shampoo_beta * averages[axis] + (1 - shampoo_beta) * product
            averages[axis] = average
            if t % frequency == 0:
                q = bases[axis]
                order = np.argsort(-np.diag(q.T @ average @ q))
                bases[axis] = np.linalg.qr(average @ q[:, order])[0]
                v = np.take(v, order, axis)
    return p


@pytest.mark.parametrize(
    ("options", "views"),
    [
        ({}, {}),
        ({"betas": (0.9, 0.99), "shampoo_beta": 0.7, "eps": 1e-3}, {}),
        ({"normalize_grads": True, "correct_bias": False}, {}),
        ({"precondition_1d": True}, {"vector": ((5,), [True])}),
        (
            {"max_precond_dim": 2},
            {
                "matrix": ((4, 3), [False, False]),
                "tensor": ((2, 2, 3), [True, True, False]),
            },
        ),
        (
            {"merge_dims": True, "max_precond_dim": 4},
            {"tensor": ((4, 3), [True, True]), "scalar": ((1,), [False])},
        ),
        (
            {"one_sided": True},
            {
                "matrix": ((4, 3), [False, True]),
                "tensor": ((2, 2, 3), [True, False, False]),
            },
        ),
    ],
)
def test_float64_agrees_with_numpy(options, views, x64):
    grads = gradients(SHAPES, 20)
    start = gradients(SHAPES, 21)[-1]
    tx = of.soap(0.1, precondition_frequency=3, weight_decay=0.1, **options)

    @jax.jit
    def run(params, grads):
        def step(carry, grads):
            params, state = carry
            updates, state = tx.update(grads, state, params)
            return (of.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), grads)[0][0]

    stacked = jax.tree.map(lambda *x: jnp.stack(x), *grads)
    found = run(jax.tree.map(jnp.asarray, start), stacked)
    given = {"betas": (0.95, 0.95), "eps": 1e-8} | options
    given.setdefault("shampoo_beta", given["betas"][1])
    for name in ("max_precond_dim", "merge_dims", "one_sided", "precondition_1d"):
        given.pop(name, None)
    for name, shape in SHAPES.items():
        shape, chosen = views.get(name, (shape, [len(shape) > 1] * len(shape)))
        expected = reference(
            start[name],
            [g[name] for g in grads],
            chosen,
            shape,
            lr=0.1,
            decay=0.1,
            frequency=3,
            **given,
        )
        # Twenty steps, in which nearly equal eigenvalues turn roundings of 1e-16.
        np.testing.assert_allclose(found[name], expected, 0, 1e-8, err_msg=name)


def primitives(jaxpr, inside=False):
    """Names of operations, each with whether it is in a branch."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        yield name, inside
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from primitives(inner, inside or name == "cond")


def test_a_step_between_has_no_decomposition_and_factors_of_a_size_share_one():
    params = {name: jnp.ones((4, 3)) for name in "abc"} | {"d": jnp.ones((3, 5))}
    tx = of.soap(max_precond_dim=4)
    jaxpr = jax.make_jaxpr(tx.update)(params, tx.init(params), params)
    found = list(primitives(jaxpr.jaxpr))
    for name in ("eigh", "qr"):
        places = [inside for x, inside in found if x == name]
        # The sizes are 3 and 4; the axis of 5 has no factor.
        assert len(places) == 2, (name, {x for x, _ in found})
        assert all(places)


def test_bases_follow_the_schedule():
    params = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))}
    tx = of.soap(precondition_frequency=3)
    step = jax.jit(tx.update)
    state, bases = tx.init(params), []
    for grads in gradients({"w": (4, 3)}, 8):
        grads = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), grads)
        updates, state = step(grads, state, params)
        bases.append(of.find_in_state(state, "Q")["w"][0])
        assert jnp.all(updates["w"] == 0) == (len(bases) == 1)
    changed = [bool(jnp.any(x != y)) for x, y in itertools.pairwise(bases)]
    # The first update makes them; of those after it, the third and the sixth renew.
    assert changed == [False, False, True, False, False, True, False]
    for basis in bases:
        np.testing.assert_allclose(basis.T @ basis, np.eye(4), 0, 1e-5)


def authors_checkpoint(grads):
    """What torch.save would have of the authors' optimizer after two calls."""
    rng = np.random.default_rng(3)
    entries = {}
    for number, grad in enumerate(grads):
        matrix = grad.ndim > 1
        sizes = grad.shape if matrix else ()
        entries[number] = {
            "step": 1,
            "exp_avg": rng.normal(size=grad.shape).astype("float32"),
            "exp_avg_sq": rng.uniform(size=grad.shape).astype("float32"),
            "Q": [np.eye(n, dtype="float32") for n in sizes] or [[]],
            "GG": [2 * np.eye(n, dtype="float32") for n in sizes] or [[]],
            "precondition_frequency": 10,
            "shampoo_beta": 0.95,
        }
    group = {
        "lr": 0.003,
        "betas": (0.95, 0.95),
        "shampoo_beta": -1,
        "eps": 1e-8,
        "weight_decay": 0.01,
        "precondition_frequency": 10,
        "max_precond_dim": 10000,
        "merge_dims": False,
        "precondition_1d": False,
        "normalize_grads": False,
        "correct_bias": True,
        "params": list(range(len(grads))),
    }
    return {"state": entries, "param_groups": [group]}


def test_the_authors_checkpoint_loads_and_is_saved():
    grads = [jnp.ones((4, 3)), jnp.ones(2)]
    given = authors_checkpoint(grads)
    optimizer = of.optim.SOAP([jnp.zeros((4, 3)), jnp.zeros(2)], lr=1.0)
    optimizer.load_state_dict(given)
    found = optimizer.state_dict()
    for number, entry in given["state"].items():
        saved = found["state"][number]
        for key in ("step", "exp_avg", "exp_avg_sq"):
            np.testing.assert_array_equal(saved[key], entry[key])
        for key in ("Q", "GG"):
            for x, y in zip(saved[key], entry[key], strict=True):
                np.testing.assert_array_equal(x, y)
    assert isinstance(found["state"][0]["step"], int)
    group = found["param_groups"][0]
    assert group["lr"] == 0.003
    assert group["shampoo_beta"] is None
    optimizer.step(grads=grads)
    assert optimizer.state[0]["step"] == 2
    # Adam's third step, for the vector.
    old = given["state"][1]
    m = 0.95 * old["exp_avg"] + 0.05
    v = 0.95 * old["exp_avg_sq"] + 0.05
    scale = np.sqrt(1 - 0.95**2) / (1 - 0.95**2)
    expected = -0.003 * scale * m / (np.sqrt(v) + 1e-8) * (1 - 0.003 * 0.01)
    np.testing.assert_allclose(optimizer.params[1], expected, 1e-5)
    other = of.optim.SOAP(optimizer.params)
    other.load_state_dict(optimizer.state_dict())
    for both in (optimizer, other):
        both.step(grads=grads)
    jax.tree.map(np.testing.assert_array_equal, other.params, optimizer.params)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, "lr must be at least 0, found -1"),
        ({"shampoo_beta": 1.0}, ValueError, "shampoo_beta must be .* below 1, found 1"),
        ({"eps": -1e-8}, ValueError, "eps must be at least 0"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be at least 0"),
        ({"precondition_frequency": 0}, ValueError, "frequency must be at least 1"),
        ({"precondition_frequency": 1.5}, TypeError, "must be an integer, found 1.5"),
        ({"max_precond_dim": -1}, ValueError, "max_precond_dim must be at least 0"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        of.soap(**options)


def test_complex_parameters_are_refused():
    with pytest.raises(TypeError, match=r"soap takes only real .* complex64 at 'z'"):
        of.soap().init({"z": jnp.ones((2, 2), jnp.complex64)})
