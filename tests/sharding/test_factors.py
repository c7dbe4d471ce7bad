"""The factors of matrix optimizers are cut over the mesh as their parameters are."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import optifunc as of

KINDS = {"automatic": AxisType.Auto, "explicit": AxisType.Explicit}
# Each with the names of its fields that hold factors.
MAKERS = {
    "soap": (lambda: of.soap(0.01, eps=1e-2, precondition_frequency=1), ("GG", "Q")),
    "shampoo": (
        lambda: of.shampoo(0.01, eps=1e-2, target_parameter_dimensionality=2),
        ("factor_matrices", "inv_factor_matrices"),
    ),
    "shampoo_corrected": (
        lambda: of.shampoo(
            0.01,
            eps=1e-2,
            target_parameter_dimensionality=2,
            eigenvalue_corrected=True,
        ),
        ("factor_matrices", "factor_matrices_eigenvectors"),
    ),
    "kron": (lambda: of.kron(0.01), ("Q",)),
    "splus": (lambda: of.splus(0.01, inverse_steps=1), ("sides", "q_sides")),
}


def on_mesh(kind="automatic", sizes=(2, 2)):
    return jax.make_mesh(sizes, ("data", "model"), axis_types=(KINDS[kind],) * 2)


def specs_of(tx, shape, spec, field, mesh=None):
    """How the factors of a parameter lie that lies in this way."""
    sharding = NamedSharding(on_mesh() if mesh is None else mesh, spec)
    params = {"w": jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)}
    state = of.sharding.state_shardings(tx, params)
    factors = jax.tree.leaves(of.find_in_state(state, field)["w"])
    return [tuple(factor.spec) for factor in factors]


@pytest.mark.parametrize("name", MAKERS)
def test_each_factor_is_cut_as_finely_as_its_parameter(name):
    make, fields = MAKERS[name]
    both = ("data", "model")
    for spec, expected in {
        P("data"): [("data",), (None, "data")],
        P(None, "model"): [(None, "model"), ("model",)],
        P("data", "model"): [both, ("model", "data")],
        P(both): [(both,), (None, both)],
        P(): [(), ()],
    }.items():
        for field in fields:
            assert specs_of(make(), (8, 12), spec, field) == expected


OTHER_SHAPES = pytest.mark.parametrize(
    ("make", "shape", "spec", "field", "expected"),
    [
        # 6 can be cut in two and not in four.
        (of.soap, (4, 6), P("data"), "Q", [("data",), ()]),
        (of.soap, (4, 6), P(None, "model"), "Q", [(None, "model"), ("model",)]),
        # No axis of a stack is a layer's own: each has a factor.
        (
            of.soap,
            (3, 8, 12),
            P(None, "data", "model"),
            "GG",
            [(), ("data", "model"), ("model", "data")],
        ),
        # Joined axes are cut as the first of them, blocks as their axis.
        (
            lambda: of.soap(merge_dims=True, max_precond_dim=32),
            (8, 4, 12),
            P("data"),
            "Q",
            [("data",), (None, "data")],
        ),
        (
            lambda: of.shampoo(max_preconditioner_dim=8),
            (16, 12),
            P("data"),
            "factor_matrices",
            [("data",), (None, "data"), ("data",), (None, "data")] * 2,
        ),
        (of.kron, (8, 3, 4), P("data"), "Q", [("data",), (None, "data")]),
        # A diagonal factor is cut as its axis.
        (
            lambda: of.kron(memory_save_mode="all_diag"),
            (8, 12),
            P("data", "model"),
            "Q",
            [("data",), ("model",)],
        ),
        (of.kron, (8,), P("data"), "Q", [("data",)]),
    ],
)


@OTHER_SHAPES
def test_other_shapes(make, shape, spec, field, expected):
    mesh = on_mesh(sizes=(4, 2))
    assert specs_of(make(), shape, spec, field, mesh) == expected


@pytest.mark.slow
@OTHER_SHAPES
def test_a_compiled_program_cuts_them_alike(make, shape, spec, field, expected):
    mesh = on_mesh(sizes=(4, 2))
    params = {"w": jax.device_put(jnp.ones(shape), NamedSharding(mesh, spec))}
    state = jax.jit(make().init)(params)
    factors = jax.tree.leaves(of.find_in_state(state, field)["w"])
    for factor, entries in zip(factors, expected, strict=True):
        own = NamedSharding(mesh, P(*entries))
        assert factor.sharding.is_equivalent_to(own, factor.ndim)


def matrices():
    generator = np.random.default_rng(0)
    shapes = {"w": (8, 12), "square": (8, 8)}
    return {k: generator.standard_normal(s, np.float32) for k, s in shapes.items()}


def two_steps(tx, params, state, jit=True, shardings=None):
    def step(params, state):
        grads = jax.tree.map(jnp.sin, params)
        updates, state = tx.update(grads, state, params)
        return of.apply_updates(params, updates), state

    step = jax.jit(step, out_shardings=shardings) if jit else step
    for _ in range(2):
        params, state = step(params, state)
    return jax.device_get(params), state


def check_steps(make, kind, jit, laid=lambda state, mesh: state):
    tx, values, mesh = make(), jax.tree.map(jnp.asarray, matrices()), on_mesh(kind)
    expected, _ = two_steps(tx, values, tx.init(values))
    specs = {"w": P("data", "model"), "square": P("data")}
    own = {k: NamedSharding(mesh, spec) for k, spec in specs.items()}
    with jax.set_mesh(mesh):
        params = jax.device_put(values, own)
        state = laid(of.sharding.init(tx, params), mesh)
        shardings = jax.tree.map(lambda x: x.sharding, state)
        found, new = two_steps(tx, params, state, jit, (own, shardings))
    for leaf, sharding in zip(
        jax.tree.leaves(new), jax.tree.leaves(shardings), strict=True
    ):
        assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
    # Sums are taken in another order, and an eigenvector of a factor turns by the
    # rounding of it over the distance of the eigenvalues: 1e-7 over 1e-4 here.
    chex.assert_trees_all_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MAKERS)
def test_the_numbers_are_those_of_one_device(name, kind):
    check_steps(MAKERS[name][0], kind, jit=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"), [*zip(MAKERS, ["automatic", "explicit"] * 3, strict=False)]
)
def test_nothing_needs_to_be_compiled(name, kind):
    check_steps(MAKERS[name][0], kind, jit=False)


def replicated(state, mesh):
    return jax.device_put(state, NamedSharding(mesh, P()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["soap", "shampoo", "kron"])
def test_factors_that_come_whole_stay_whole(name):
    """A checkpoint may have them so, and they need no gathering."""
    check_steps(MAKERS[name][0], "explicit", True, replicated)
