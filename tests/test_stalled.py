"""The warning about averages that stop moving in narrow dtypes."""

import warnings
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc import _stalled

NARROW = {"w": jnp.ones((4, 3), jnp.bfloat16)}


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    """As if the process began."""
    monkeypatch.setattr(_stalled, "_WARNED", set())


def messages(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in found if w.category is of.StalledStateWarning]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("decay", [0.9, 0.99, 0.995, 0.997, 0.999, 0.9999])
def test_the_warning_is_right(dtype, decay):
    """An average above a power of two, which falls toward 0 at its slowest."""
    tx = of.ema_parameters(decay)
    start = jnp.asarray(1 + jnp.finfo(dtype).eps, dtype)
    warned = bool(messages(lambda: tx.init(start)))
    # after the first update, which takes the parameters themselves
    state = tx.init(start)._replace(step=jnp.ones((), jnp.int32))
    _, state = tx.update(jnp.zeros_like(start), state, jnp.zeros_like(start))
    assert warned == (float(state.average) == float(start))


STALLED = [
    (of.adam(), "exp_avg_sq of scale_by_adam is in bfloat16"),
    (of.adamw(), "exp_avg_sq of scale_by_adam is in bfloat16"),
    (of.nadam(), "exp_avg_sq of scale_by_nadam"),
    (of.radam(), "exp_avg_sq of scale_by_radam"),
    (of.rmsprop(alpha=0.999), "square_avg of scale_by_rmsprop"),
    (of.adabelief(), "exp_avg_var of scale_by_adabelief"),
    (of.adan(betas=(0.98, 0.92, 0.999)), "exp_avg_sq of scale_by_adan"),
    (of.lion(betas=(0.9, 0.999)), "exp_avg of scale_by_lion"),
    (of.ema_parameters(0.999), "average of ema_parameters"),
    (of.dadapt_lion(betas=(0.9, 0.999)), None),  # keeps float32 by itself
    (of.adahessian(), "exp_hessian_diag_sq of"),
    (of.chain(of.grokfast_ema(alpha=0.999)), "average of grokfast_ema"),
    (of.chain(of.clip(1.0), of.masked(of.adam(), True)), "exp_avg_sq of scale_by_adam"),
    (of.flatten(of.adam()), "exp_avg_sq of scale_by_adam"),
    (of.adamw(lambda step: 0.1), "exp_avg_sq of scale_by_adam"),
    (of.state_dtype(of.adam(), {"exp_avg": jnp.float32}), "exp_avg_sq of"),
    (of.master_weights(of.state_dtype(of.adam(), jnp.bfloat16)), "exp_avg_sq of"),
    (of.master_weights(of.adam()), None),
    (of.kahan(of.adam()), None),
    (of.split_weights(of.adam()), None),
    (of.stochastic_rounding(of.adam()), None),
    (of.state_dtype(of.adam(), jnp.float32), None),
    (of.state_dtype(of.adam(), {"exp_avg_sq": jnp.float32}), None),
    (of.adam(betas=(0.9, 0.99)), None),
    (of.sgd(0.1, 0.9), None),
    (of.prodigy(), None),  # keeps float32 by itself
]


@pytest.mark.parametrize(("tx", "message"), STALLED)
def test_what_warns(tx, message):
    found = messages(lambda: tx.init(NARROW))
    assert len(found) == (message is not None)
    assert message is None or found[0].startswith(message)


def test_a_field_says_what_it_keeps():
    """And not its name: a user's own transformation is as good."""

    class SmoothState(NamedTuple):
        mean: Annotated[of.PerParameter, of.Keeps("memory")]
        pair: Annotated[of.PerParameter, of.Keeps("memories", 1)]
        exp_avg_sq: of.PerParameter  # a name, and no average

    @of.transformation
    class smooth(of.GradientTransformation):
        memory: float = 0.999
        memories: tuple[float, float] = (0.5, 0.9)
        betas: tuple[float, float] = (0.9, 0.999)

        def init(self, params):
            return SmoothState(params, params, params)

        def update(self, updates, state, params=None, **extra):
            return updates, state

    found = messages(lambda: smooth().init(NARROW))
    assert len(found) == 1
    assert found[0].startswith("mean of smooth is in bfloat16")
    (found,) = messages(lambda: smooth(0.9, (0.9, 0.9999)).init(NARROW))
    assert found.startswith(
        "pair of smooth is in bfloat16, where an average that keeps"
    )


def test_it_comes_once_and_names_the_way_out():
    tx = of.chain(adam=of.adam(), ema=of.ema_parameters())

    def train():
        state = tx.init(NARROW)
        for _ in range(2):
            _, state = tx.update(NARROW, state, NARROW)
        jax.eval_shape(tx.init, NARROW)
        of.adam(1e-2).init(NARROW)

    adam, average = messages(train)
    assert "state_dtype(tx, {'exp_avg_sq': jnp.float32})" in adam
    assert "keeps 0.999 of itself" in adam
    assert "master_weights(tx)" in average
    assert not messages(train)


def test_the_way_out_is_one():
    """The dict in the message is what `state_dtype` takes."""
    tx = of.state_dtype(of.adam(), {"exp_avg_sq": jnp.float32})
    assert not messages(lambda: tx.init(NARROW))
    state = jax.tree.map(jnp.ones_like, tx.init(NARROW))
    _, new = tx.update(jax.tree.map(jnp.zeros_like, NARROW), state, NARROW)
    moved = of.find_in_state(new, "exp_avg_sq")["w"]
    np.testing.assert_allclose(moved, 0.999, rtol=1e-6)


def test_it_points_to_the_users_line():
    with pytest.warns(of.StalledStateWarning) as found:
        of.adam().init(NARROW)
    assert found[0].filename == __file__


def test_tracing_and_wide_parameters():
    assert messages(lambda: jax.jit(of.adam().init)(NARROW))
    wide = {"w": jnp.ones(3), "none": None}
    assert not messages(lambda: of.adamw().init(wide))
    # A decay that is known only when it runs decides nothing.
    tx = of.ema_parameters(jnp.float32(0.999))
    assert not messages(lambda: tx.init(NARROW))


def test_an_error_filter_raises_once_and_leaves_init_usable():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(of.StalledStateWarning):
            of.adam().init(NARROW)
        of.adam().init(NARROW)
