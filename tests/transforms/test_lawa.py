"""The mean of the latest snapshots: recorded means, NumPy, and the edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytestmark = pytest.mark.slow


def evaluated(tx, count, dtype=jnp.float32):
    """What is evaluated after each of the parameters p_t = t."""

    def step(carry, _):
        params, state = carry
        _, state = tx.update(jnp.ones((), dtype), state, params)
        params = params + 1
        return (params, state), of.eval_params(tx, state, params)

    params = jnp.zeros((), dtype)
    (_, state), found = jax.jit(
        lambda: jax.lax.scan(step, (params, tx.init(params)), length=count)
    )()
    return np.asarray(found), state


def test_the_recorded_means(x64):
    """The specification's: a window of 3, every second step."""
    found, _ = evaluated(of.lawa_parameters(3, 2), 8, jnp.float64)
    np.testing.assert_allclose(found[1::2], [2, 3, 4, 6], rtol=1e-12)


@pytest.mark.parametrize(("window", "every"), [(1, 1), (4, 1), (2, 3), (5, 4)])
def test_the_mean_of_what_was_kept(window, every):
    found, _ = evaluated(of.lawa_parameters(window, every), 20)
    for t, value in enumerate(found, start=1):
        kept = np.arange(every, t + 1, every)[-window:]
        # Before the first snapshot the parameters themselves are evaluated.
        expected = np.mean(kept) if len(kept) else t
        # Sums of whole numbers, and one division in float32.
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_in_a_chain_of_trees_with_narrow_and_complex_leaves():
    params = {
        "h": jnp.ones((2, 2), jnp.bfloat16),
        "z": jnp.full(3, 1 + 2j, jnp.complex64),
        "none": None,
    }
    lawa = of.masked(of.lawa_parameters(2, 1), lambda path, leaf: True)
    tx = of.chain(of.sgd(0.5), lawa)
    state, path = tx.init(params), []
    for _ in range(3):
        updates, state = tx.update(params, state, params)
        params = of.apply_updates(params, updates)
        path.append(params)
    found = of.eval_params(tx, state, params)
    assert jax.tree.structure(found) == jax.tree.structure(params)
    assert found["h"].dtype == jnp.bfloat16
    # 0.25 and 0.125 times what they began with: the mean is exact in bfloat16.
    np.testing.assert_array_equal(found["h"].astype(jnp.float32), 0.1875)
    np.testing.assert_allclose(found["z"], 0.1875 * (1 + 2j), rtol=1e-6)


def test_snapshots_may_be_narrow():
    tx = of.state_dtype(of.lawa_parameters(2, 1), jnp.bfloat16)
    found, state = evaluated(tx, 5)
    assert of.find_in_state(state, "snapshots").dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, [1, 1.5, 2.5, 3.5, 4.5])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.lawa_parameters(0, 1), "window must be at least 1, found 0"),
        (lambda: of.lawa_parameters(2, 0), "every must be at least 1, found 0"),
        (lambda: of.lawa_parameters(2, 1.5), "every must be an integer, found 1.5"),
        (lambda: of.lawa_parameters(2, lambda t: t), "every must be an integer"),
        (
            lambda: (tx := of.lawa_parameters(2, 1)).update(
                jnp.ones(2), tx.init(jnp.ones(2))
            ),
            "lawa_parameters needs the parameters, found params=None",
        ),
        (
            lambda: (tx := of.lawa_parameters(2, 1)).update(
                {"a": jnp.ones(3)}, tx.init({"a": jnp.ones(2)}), {"a": jnp.ones(3)}
            ),
            r"at 'a' it was \(2,\), found \(3,\)",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
