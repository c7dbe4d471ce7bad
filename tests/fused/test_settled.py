"""Selections that depend on whether a number is negative that never is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optifunc.fused._graph import graph
from optifunc.fused._settled import settled

from .programs import assert_same, fused_and_plain

X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 64)), jnp.float32)
INTEGERS = jnp.arange(256, dtype=jnp.int32).reshape(4, 64)


def selections(number):
    """How many selections are left of one that depends on ``number(x, integers)``."""

    def function(x, integers):
        return jnp.where(number(x, integers) < 0, jnp.zeros_like(x), x + 1) * 2

    # It is also right, whether it is left or not.
    found, expected, _ = fused_and_plain(function, X, INTEGERS)
    assert_same(found, expected)
    whole = graph(jax.make_jaxpr(function)(X, INTEGERS))
    return sum(node.name == "select_n" for node in settled(whole)[0].nodes)


CERTAIN = {
    "largest": lambda x, _: jnp.max(jnp.abs(x)),
    "smallest of scales": lambda x, _: jnp.min(
        jnp.maximum(jnp.max(jnp.abs(x), axis=-1), 1e-12) / 448
    ),
    "half": lambda x, _: jnp.max(jnp.abs(x)).astype(jnp.float16),
    "sum of squares": lambda x, _: jnp.sum(jnp.square(x)),
    "one of two": lambda x, n: jnp.where(n[0, 0] > 0, jnp.sum(jnp.abs(x)), 1.0),
    "not below a bound": lambda x, _: jnp.maximum(jnp.min(x), 0.5),
    "unsigned": lambda _, n: jnp.min(n.astype(jnp.uint8)),
}
UNKNOWN = {
    "sum": lambda x, _: jnp.sum(x),
    "difference": lambda x, _: jnp.max(jnp.abs(x)) - 1,
    "integers": lambda _, n: jnp.sum(jnp.abs(n)),  # which may overflow
    "quotient": lambda x, _: jnp.max(jnp.abs(x)) / jnp.min(jnp.abs(x)),  # by -0.0
    "nothing": lambda x, _: jnp.max(jnp.abs(x[:0]), initial=-jnp.inf),
    "smaller of two": lambda x, _: jnp.minimum(jnp.min(x), 0.5),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_they_are_not_needed(name):
    assert selections(CERTAIN[name]) == 0


@pytest.mark.parametrize("name", UNKNOWN)
def test_they_are_needed(name):
    assert selections(UNKNOWN[name]) == 1


def test_a_long_sum_is_not_searched_for_long():
    def number(x, _):
        total = jnp.max(jnp.abs(x))
        for _ in range(2000):
            total = total + total
        return total

    def function(x):
        return jnp.where(number(x, None) < 0, 0.0, x)

    whole = graph(jax.make_jaxpr(function)(X))
    assert any(node.name == "select_n" for node in settled(whole)[0].nodes)


def test_not_a_number_is_not_negative():
    x = X.at[0, 0].set(jnp.nan)

    def function(x):
        return jnp.where(jnp.max(jnp.abs(x)) < 0, 0.0, x + 1)

    found, expected, _ = fused_and_plain(function, x)
    assert_same(found, expected)
