"""Complex arrays are computed in their own memory, as pairs of real numbers."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .programs import check_steps, compiled

RNG = np.random.default_rng(0)
SHAPES = {"a": (40, 30), "b": (30,), "c": (7, 5, 3)}


def arrays(dtype=np.complex64):
    return {
        name: jnp.asarray(RNG.standard_normal((*shape, 2)) @ [1, 1j], dtype)
        for name, shape in SHAPES.items()
    }


PARAMS, GRADS = arrays(), arrays()
Z, W = PARAMS["a"], GRADS["a"]
# A product and a sum may be contracted in one and not in the other.
assert_close = partial(chex.assert_trees_all_close, rtol=1e-6, atol=1e-6)


# Where a product and a sum of numbers near 1 cancel, and only one contracts them.
check = partial(check_steps, atol=1e-6)


@pytest.mark.parametrize(
    "tx",
    [
        pytest.param(of.adamw(0.1), id="adamw"),
        pytest.param(of.sgd(0.1, momentum=0.9, nesterov=True), id="sgd"),
        pytest.param(of.rprop(0.1), id="rprop"),
        pytest.param(of.chain(of.clip_by_global_norm(0.5), of.lion(0.1)), id="clip"),
        pytest.param(of.skip_not_finite(of.adam(0.1, amsgrad=True)), id="skip"),
    ],
)
def test_one_pass_without_copies_of_the_parts(tx):
    kernels, program = check(tx, PARAMS, GRADS)
    assert kernels == 1
    text = program.as_text()
    assert " concatenate(" not in text
    assert " conditional(" not in text


def test_double_precision_beside_real_and_single(x64):
    params = {"z": arrays(np.complex128), "w": PARAMS, "x": jnp.linspace(0, 1, 50)}
    grads = jax.tree.map(lambda p: p * 2 + 1, params)
    kernels, program = check(of.adamw(0.1), params, grads)
    assert kernels == 2  # one for each width
    assert " concatenate(" not in program.as_text()


def test_infinities_and_not_a_number():
    grads = {**GRADS, "b": GRADS["b"].at[3].set(complex(jnp.inf, 1)).at[4].set(jnp.nan)}
    check(of.adamw(0.1), PARAMS, grads)
    check(of.skip_not_finite(of.adamw(0.1)), PARAMS, grads)


def test_single_complex_numbers_and_empty_arrays():
    params = {**PARAMS, "one": jnp.asarray(1 + 2j), "none": jnp.zeros((0, 3), Z.dtype)}
    check(of.adamw(0.1), params, jax.tree.map(lambda p: p * 2 + 1, params))


def test_vectors_of_leaves_as_long_as_rows_of_pairs():
    """The complex leaves have as many numbers, together, as the real ones."""
    params = {"a": Z, "b": Z[:20], "x": Z.real * 2, "y": jnp.ones(2400)}
    grads = jax.tree.map(lambda p: p * 2 + 1, params)
    check(of.flatten(of.adamw(0.1)), params, grads)
    check(of.chain(of.flatten(of.sgd(0.1, 0.9)), of.adam(0.1)), params, grads)


def halves(z):
    return jnp.stack([z.real, z.imag])


def whole(parts):
    return jax.lax.complex(parts[0], parts[1])


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda z, w: whole(halves(z) * 2 + halves(w)), id="pairs"),
        pytest.param(lambda z, w: whole(halves(z * w) * 2), id="of a product"),
        pytest.param(lambda z, w: whole(halves(z) * 2) * w, id="in a product"),
        pytest.param(lambda z, w: (whole(halves(z) * 2), z.real + 1), id="a part too"),
        pytest.param(
            lambda z, w: (whole(halves(z) * 2), (halves(z) * 2).sum()), id="sum"
        ),
        pytest.param(lambda z, w: whole(halves(z)[::-1] * 2), id="exchanged"),
        pytest.param(lambda z, w: whole((halves(z) * 2)[::-1]), id="exchanged after"),
        pytest.param(
            lambda z, w: whole(jnp.stack([z.real, w.imag]) * 2), id="of two arrays"
        ),
        pytest.param(
            lambda z, w: whole(jnp.stack([z.real, z.imag, w.real])[:2] * 2),
            id="three parts",
        ),
        pytest.param(lambda z, w: whole(halves(z) * halves(w)[:1]), id="broadcast"),
        pytest.param(lambda z, w: whole(jnp.exp(halves(z)) + 1), id="unknown"),
        pytest.param(lambda z, w: (z - w, whole(halves(z - w) / 3)), id="difference"),
        pytest.param(
            lambda z, w: jnp.where(z.real[0, 0] > 0, z, -w) - w, id="by a number"
        ),
        pytest.param(
            lambda z, w: jnp.where(
                z.real[0, 0] > 0, whole(halves(z) * 2) - w, jnp.full_like(z, 1 + 2j)
            ),
            id="or a number",
        ),
        pytest.param(
            lambda z, w: whole(halves(z) * 2) + jnp.full_like(z, 1 + 2j), id="moved"
        ),
        pytest.param(
            lambda z, w: whole(halves(jnp.where(z.real > 0, z, w)) * 2), id="by arrays"
        ),
        pytest.param(
            lambda z, w: whole(halves(z) * jnp.arange(2.0)[:, None, None]), id="apart"
        ),
        pytest.param(lambda z, w: (z, whole(halves(z))), id="unchanged"),
        pytest.param(lambda z, w: whole(halves(z.T) * 2).T + w, id="transposed"),
        pytest.param(
            lambda z, w: jax.vmap(lambda z, w: whole(halves(z) * 2 - halves(w)))(z, w),
            id="mapped",
        ),
        pytest.param(
            lambda z, w: (
                whole(halves(z) * 2),
                jax.lax.complex(w.real * 2 + 1, w.real - 1),
            ),
            id="made of one part",
        ),
    ],
)
# Some have more arguments than results.
@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
@pytest.mark.parametrize("donated", [(), (0, 1)])
def test_other_functions_are_as_without(function, donated):
    expected = jax.jit(function)(Z, W)
    _, found = compiled(of.fuse(function), Z, W, donate_argnums=donated)
    assert_close(found(*(jnp.array(x, copy=True) for x in (Z, W))), expected)
