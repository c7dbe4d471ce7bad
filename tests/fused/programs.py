"""Fused and plain forms of a function, side by side."""

import chex
import jax
import numpy as np

import optifunc as of

# XLA leaves out roundings to narrow dtypes in between unless it is told not to.
STRICT = {"xla_allow_excess_precision": False}


def compiled(function, *args, **options):
    """How many kernels a function calls that `jax.jit` compiles, and its program."""
    lowered = jax.jit(function, **options).lower(*args)
    kernels = lowered.as_text().count("custom_call @optifunc_")
    return kernels, lowered.compile()


def plain_step(tx, grads, state, params, **extra):
    """What `apply_gradients` computes, in two calls."""
    updates, state = tx.update(grads, state, params, **extra)
    return of.apply_updates(params, updates), state


def check_steps(tx, params, *grads, rtol=1e-6, atol=1e-7, donated=("params", "state")):
    """Steps are the plain ones; returns how many kernels, and the program.

    There is one for each of several ``grads``, and three for a single one.
    """

    def plain(params, state, grads):
        return plain_step(tx, grads, state, params)

    def step(params, state, grads):
        return of.apply_gradients(tx, grads, state, params)

    expected = params, tx.init(params)
    kernels, program = compiled(step, *expected, grads[0], donate_argnames=donated)
    plain = jax.jit(plain)
    found = jax.tree.map(lambda x: jax.numpy.array(x, copy=True), expected)
    for given in grads if len(grads) > 1 else 3 * grads:
        expected, found = plain(*expected, given), program(*found, given)
        chex.assert_trees_all_close(found, expected, rtol=rtol, atol=atol)
    return kernels, program


def fused_and_plain(function, *args):
    """The results of both, and how many kernels the fused one calls."""
    plain = jax.jit(function, compiler_options=STRICT)(*args)
    lowered = jax.jit(of.fuse(function)).lower(*args)
    calls = lowered.as_text().count("custom_call @optifunc_")
    return lowered.compile(compiler_options=STRICT)(*args), plain, calls


def assert_same(found, expected, name=""):
    """Equal bit for bit, apart from the bits of NaN."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), name
    found, expected = np.asarray(found), np.asarray(expected)
    if jax.numpy.issubdtype(found.dtype, jax.numpy.floating):
        found, expected = found.astype(np.float64), expected.astype(np.float64)
        is_nan = np.isnan(expected)
        assert np.array_equal(np.signbit(found) | is_nan, np.signbit(expected) | is_nan)
    np.testing.assert_array_equal(found, expected, err_msg=name)
