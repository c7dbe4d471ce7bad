"""Cautious updates: recorded runs of the authors' code, and properties by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from ..optimizers.authors import assert_follows


def eps_before_correction(step):
    """What the authors' Adam adds to the root before its correction: 1e-6."""
    return 1e-6 / jnp.sqrt(1 - 0.999 ** (step + 1).astype(float))


def test_c_adamw(x64):
    adam = of.scale_by_adam((0.9, 0.999), eps_before_correction)
    tx = of.assemble(adam, lr=0.1, weight_decay=0.01, cautious=True)
    assert_follows("c_adamw", tx)


def test_c_lion(x64):
    direction = of.cautious(
        optax.scale_by_lion(0.95, 0.98), direction=True, normalization="count"
    )
    assert_follows("c_lion", of.assemble(direction, lr=0.1, weight_decay=0.01))


def masked_by_hand(inner, grads, params):
    """Of each leaf, in NumPy."""
    updates, _ = inner.update(grads, inner.init(params), params)
    found = {}
    for name, update in updates.items():
        update = np.asarray(update, np.float64)
        kept = update * np.asarray(grads[name]) < 0
        found[name] = np.where(kept, update, 0) / max(np.mean(kept), 0.25)
    return found


class opposite_in_part:
    """An optimizer that goes the wrong way in the first elements."""

    def __init__(self, count):
        self.count = count

    def init(self, params):
        return ()

    def update(self, grads, state, params=None):
        def step(grad):
            wrong = jnp.arange(grad.size).reshape(grad.shape) < self.count
            return jnp.where(wrong, 0.1, -0.1).astype(grad.dtype) * grad

        return jax.tree.map(step, grads), state


@pytest.mark.parametrize("count", [0, 3, 5, 100])
def test_what_goes_against_the_gradient_is_left_out(count):
    params = {"a": jnp.ones((2, 3)), "b": jnp.ones(4), "c": jnp.ones(())}
    grads = {"a": jnp.arange(-2.0, 4.0).reshape(2, 3), "b": jnp.ones(4)}
    grads["c"] = jnp.float32(-1.0)
    inner = opposite_in_part(count)
    tx = of.cautious(inner, floor=0.25)
    found, _ = tx.update(grads, tx.init(params), params)
    # A product and a division in float32.
    for name, expected in masked_by_hand(inner, grads, params).items():
        np.testing.assert_allclose(found[name], expected, 1e-6)
    # The same direction, not yet subtracted.
    negated = of.chain(inner, of.negate())
    direction = of.cautious(negated, direction=True, floor=0.25)
    turned, _ = direction.update(grads, direction.init(params), params)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, -y), found, turned)


def test_without_normalization_the_rest_is_as_it_was():
    inner, grads = opposite_in_part(2), jnp.array([1.0, -2.0, 3.0, 0.0])
    tx = of.cautious(inner, normalization=None)
    found, _ = tx.update(grads, tx.init(grads))
    np.testing.assert_allclose(found, [0, 0, -0.3, 0], 1e-6)


def test_real_and_imaginary_parts_are_elements_of_their_own():
    """Of one leaf: the share that is kept is that of all parts."""
    grads = jnp.array([1 + 1j, -1 + 2j])
    inner = of.chain(of.momentum(0.9), of.scale(-1.0))
    tx = of.cautious(inner)
    state = tx.init(grads)
    _, state = tx.update(grads, state)
    # The buffer of the last gradient is larger than these.
    found, _ = tx.update(jnp.array([-0.1 + 1j, -1 - 0.1j]), state)
    buffer = 0.9 * np.array([1 + 1j, -1 + 2j]) + np.array([-0.1 + 1j, -1 - 0.1j])
    expected = -2 * np.array([1j * buffer[0].imag, buffer[1].real])
    np.testing.assert_allclose(found, expected, 1e-6)


def test_the_decay_is_outside():
    """It shrinks also what the direction leaves out."""
    params, grads = jnp.array([2.0, -2.0]), jnp.zeros(2)
    for decay in ("decoupled", "cautious", "independent"):
        tx = of.assemble(
            of.scale_by_adam(), lr=0.1, weight_decay=0.5, decay=decay, cautious=True
        )
        updates, _ = tx.update(grads, tx.init(params), params)
        share = 0.5 if decay == "independent" else 0.1 * 0.5
        np.testing.assert_allclose(updates, -share * params, 1e-6)


def test_a_step_that_has_its_learning_rate_inside():
    tx = of.assemble(of.step_by_asgd(0.1, lambd=0.0), lr=None, cautious=True)
    params, grads = jnp.array([1.0, -2.0]), jnp.array([0.5, 0.25])
    updates, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_allclose(updates, -0.1 * grads, 1e-6)


def test_two_parts_of_a_direction_are_masked_once():
    adam, clip = of.scale_by_adam(), of.clip(0.5)
    assert of.assemble(clip, adam, lr=0.1, cautious=True) == of.chain(
        of.cautious(of.chain(clip, adam), direction=True),
        of.scale_by_learning_rate(0.1),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalization": "sum"}, "normalization must be one of .*, found 'sum'"),
        ({"floor": 0.0}, "floor must be above 0, found 0.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        of.cautious(of.adam(), **arguments)
    with pytest.raises(TypeError, match="direction must be True or False, found 1"):
        of.cautious(of.adam(), direction=1)
