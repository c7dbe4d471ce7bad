"""Each property once, over the table of all transformations."""

import dataclasses
import inspect
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .members import members
from .table import ROWS, Row

STEPS = 3


def every_row(*columns: str):
    """Parametrise over the rows in which all ``columns`` are true."""
    rows = [row for row in ROWS if all(getattr(row, c) for c in columns)]
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


def parameters(row: Row, dtype: str = "float32") -> dict:
    """A nested tree with a matrix, and where the row allows a vector and a scalar."""
    values = np.linspace(-0.9, 1.0, 12).reshape(4, 3)
    if np.issubdtype(jnp.dtype(dtype), np.complexfloating):
        values = values * (1 + 0.5j)
    params = {"kernel": jnp.asarray(values, dtype)}
    if not row.matrices:
        params["layer"] = [jnp.asarray(values[0], dtype), None]
        if not row.sparse:
            params["scalar"] = jnp.asarray(values[1, 1], dtype)
            params["nothing"] = jnp.zeros((0, 3), dtype)
    return params


def run(row: Row, tx: of.GradientTransformation, params, steps: int = STEPS):
    """Some steps under `lax.scan`, which holds state to one structure and dtype."""

    def step(carry, _):
        params, state = carry
        grads = row.gradient(params)
        updates, state = tx.update(grads, state, params, **row.extra(params))
        if not row.sparse and not row.wide:
            chex.assert_trees_all_equal_shapes_and_dtypes(updates, grads)
        return (of.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, tx.init(params)), None, steps)[0]


def eager_run(row: Row, params):
    """`run`, operation by operation: nothing is compiled, which is soon done."""
    with jax.disable_jit():
        return run(row, row.build(), params)


def classes_in(node):
    """The classes of a transformation and of all that it holds."""
    if isinstance(node, of.GradientTransformation):
        fields = [getattr(node, f.name) for f in dataclasses.fields(node)]
        return {type(node)}.union(*map(classes_in, fields))
    if isinstance(node, dict | tuple):
        nodes = node.values() if isinstance(node, dict) else node
        return set().union(*map(classes_in, nodes))
    return set()


def test_every_public_transformation_is_in_the_table():
    bases = {of.GradientTransformation, of.Stateless, of.Wrapper}
    public = {
        value
        for value in members(of).values()
        if inspect.isclass(value) and issubclass(value, of.GradientTransformation)
    }
    found = set().union(*(classes_in(row.build()) for row in ROWS))
    assert public - bases - found == set()


@every_row()
def test_with_and_without_jit(row):
    tx, params = row.build(), parameters(row)

    def step(params, state):
        grads = row.gradient(params)
        return tx.update(grads, state, params, **row.extra(params))

    found = step(params, tx.init(params))
    expected = jax.jit(lambda params: step(params, tx.init(params)))(params)
    if row.bases:
        found, expected = found[0], expected[0]
    # Fusion may change the last digits of values of order 1.
    chex.assert_trees_all_close(found, expected, rtol=2e-5, atol=1e-6)


@every_row()
def test_dtypes(row):
    compiled = jax.jit(lambda p: run(row, row.build(), p))
    for dtype in ("bfloat16", "float16"):
        params = parameters(row, dtype)
        if dtype == "float16" and not row.float16:
            with pytest.raises(TypeError, match="found float16 at 'kernel'"):
                row.build().init(params)
            continue
        new_params, state = compiled(params)
        chex.assert_trees_all_equal_shapes_and_dtypes(new_params, params)
        chex.assert_tree_all_finite((new_params, state))
        # An independent yardstick: the same steps from the same numbers in float32.
        wide = jax.tree.map(lambda p: p.astype(jnp.float32), params)
        reference, _ = eager_run(row, wide)
        # A few roundings of parameters and updates of order 1 in each of STEPS steps;
        # Rprop and noise aside, no rule amplifies them.
        atol = 16 * STEPS * float(jnp.finfo(dtype).eps)
        if not row.noise:
            chex.assert_trees_all_close(
                jax.tree.map(lambda p: p.astype(jnp.float32), new_params),
                reference,
                atol=atol,
            )


@every_row()
def test_float64(row, x64):
    params = parameters(row, "float64")
    new_params, state = jax.jit(lambda p: run(row, row.build(), p))(params)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_params, params)
    chex.assert_tree_all_finite((new_params, state))


@every_row("complex")
def test_complex_leaves_are_pairs_of_real_ones(row):
    if row.magnitudes or row.noise or row.lossy:
        pytest.skip("works on magnitudes, draws other noise, or rounds real state only")
    params = {"kernel": parameters(row, "complex64")["kernel"]}
    pairs = {"kernel_re": params["kernel"].real, "kernel_im": params["kernel"].imag}

    def grads(params):
        # Real coefficients, so that both parts follow one real function.
        return jax.tree.map(lambda p: 0.5 * p, params)

    def steps(params):
        tx = row.build()
        state = tx.init(params)
        for _ in range(STEPS):
            extra = {"value": jnp.ones(())} if row.value else {}
            if row.max_logits:
                extra["max_logits"] = {}
            if row.value_fn:
                extra["value_fn"] = lambda params: sum(
                    0.25 * jnp.real(jnp.sum(p * jnp.conj(p))) for p in params.values()
                )
            if row.grad_fn:
                extra["grad_fn"] = lambda params, i: grads(params)
            updates, state = tx.update(grads(params), state, params, **extra)
            params = of.apply_updates(params, updates)
        return params

    with jax.disable_jit():
        result, expected = steps(params)["kernel"], steps(pairs)
    assert result.dtype == jnp.complex64
    # float32, values of order 1, other fusions
    np.testing.assert_allclose(result.real, expected["kernel_re"], atol=2e-6)
    np.testing.assert_allclose(result.imag, expected["kernel_im"], atol=2e-6)


@pytest.mark.cheap
@every_row("empty")
def test_a_tree_without_leaves(row):
    tx = row.build()
    for params in ({}, {"a": None, "b": ()}):
        state = tx.init(params)
        updates, _ = tx.update(params, state, params, **row.extra(params))
        assert jax.tree.structure(updates) == jax.tree.structure(params)


@every_row()
def test_vmap_equals_single_runs(row):
    many = jax.tree.map(
        lambda p: jnp.stack([p, 0.5 * p, -p]), parameters(row), is_leaf=None
    )
    mapped, _ = jax.jit(jax.vmap(lambda p: run(row, row.build(), p)))(many)
    for i in range(3):
        one, _ = eager_run(row, jax.tree.map(lambda p, i=i: p[i], many))
        # Batched kernels may sum in another order; bfloat16 inside Muon.
        chex.assert_trees_all_close(
            jax.tree.map(lambda p, i=i: p[i], mapped), one, rtol=1e-4, atol=1e-5
        )


@pytest.mark.cheap
@every_row()
def test_init_on_shapes_alone(row):
    tx, params = row.build(), parameters(row)
    shapes = jax.eval_shape(lambda: params)
    state = jax.eval_shape(tx.init, shapes)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, tx.init(params))


@every_row()
def test_one_compilation_and_donation(row):
    params = parameters(row)
    tx = row.build()
    chex.clear_trace_counter()

    # Parameters and state are donated: no two fields may share a buffer.
    @partial(jax.jit, donate_argnums=(1, 2))
    @chex.assert_max_traces(n=1)
    def step(tx, params, state):
        grads = row.gradient(params)
        updates, state = tx.update(grads, state, params, **row.extra(params))
        return of.apply_updates(params, updates), state

    state = tx.init(params)
    for factor in (1.0, 0.5, 0.25):
        numbers = jax.tree.map(
            lambda x, f=factor: x * f if isinstance(x, float) else x, tx
        )
        params, state = step(numbers, params, state)


@every_row("needs_params")
def test_missing_params_are_named(row):
    tx, params = row.build(), parameters(row)
    state = tx.init(params)
    with pytest.raises(ValueError, match="params"):
        tx.update(row.gradient(params), state, **row.extra(params))


def one_step(row: Row, tx: of.GradientTransformation, params, grads):
    # Plain SGD has nothing to compare gradients with until they are applied.
    updates, _ = tx.update(grads, tx.init(params), params, **row.extra(params))
    return of.apply_updates(params, updates)


@pytest.mark.cheap
@every_row("optimizer")
def test_gradients_of_another_shape_are_named(row):
    tx, params = row.build(), parameters(row)
    grads = row.gradient({**params, "kernel": jnp.ones((5, 3))})
    with pytest.raises(ValueError, match="kernel"):
        one_step(row, tx, params, grads)


@pytest.mark.cheap
@every_row("optimizer")
def test_gradients_of_another_structure_are_named(row):
    tx, params = row.build(), parameters(row)
    grads = row.gradient({**params, "surplus": jnp.ones((4, 3))})
    with pytest.raises(ValueError, match="surplus"):
        one_step(row, tx, params, grads)


@pytest.mark.cheap
@every_row("optimizer")
def test_integer_parameters_are_refused(row):
    tx = row.build()
    params = {"kernel": jnp.ones((4, 3), jnp.int32)}
    extra = row.extra({"kernel": jnp.ones((4, 3))})
    with pytest.raises(TypeError, match="kernel"):
        tx.update(params, tx.init(params), params, **extra)


@pytest.mark.parametrize(
    "build",
    [
        of.rprop,
        of.asgd,
        lambda x: of.adagrad(initial_accumulator_value=x),
    ],
)
def test_donating_the_state_leaves_the_hyperparameters(build):
    number, params = jnp.float32(0.1), jnp.float32(1.0)
    state = build(number).init(params)
    jax.jit(lambda state: state, donate_argnums=0)(state)
    assert not number.is_deleted()
    assert float(number) == np.float32(0.1)
