"""Typical mistakes with functions and transformations, and what their errors say."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

P = {"w": jnp.ones(3), "b": jnp.zeros(2)}


# --- a value instead of a function ---------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda x: of.microbatched_value_and_grad(x, 2),
        lambda x: of.find_learning_rate(of.adamw(), x, P, jnp.ones((2, 1))),
        lambda x: of.linalg.hvp(x, P, P),
        lambda x: of.linalg.hessian_diag(x, P),
        lambda x: of.linalg.hutchinson_diag(x, P, jax.random.key(0)),
        lambda x: of.linalg.hutchinson_trace(x, P, jax.random.key(0)),
        lambda x: of.linalg.fisher_diag(x, P, jnp.ones((2, 1))),
    ],
)
def test_a_value_instead_of_a_function(call):
    message = r"must be a function, found an array of shape \(\) and float32; give the"
    with pytest.raises(TypeError, match=message):
        call(jnp.ones(()))


# --- states of optax -----------------------------------------------------------------


def test_a_state_of_optax():
    optax = pytest.importorskip("optax")
    theirs = optax.adamw(1e-3).init(P)
    way_out = "; from_optax_state converts a state of optax"
    with pytest.raises(
        ValueError,
        match=r"expected a tuple of \d \(.*\) of optifunc, found a tuple of 3 "
        rf"\(a ScaleByAdamState of optax, .*{way_out}",
    ):
        of.sgd(0.1).update(P, theirs, P)
    with pytest.raises(
        ValueError,
        match="expected a ScaleByAdamState of optifunc, found a ScaleByAdamState of "
        rf"optax{way_out}",
    ):
        of.scale_by_adam().update(P, theirs[0], P)
    # As many members as ours: the first of them says it.
    with pytest.raises(ValueError, match=f"ScaleByAdamState of optax{way_out}"):
        of.adamw().update(P, theirs, P)
    with pytest.raises(ValueError, match=rf"found a dict of \['a'\]{way_out}"):
        of.adamw().update(P, {"a": theirs[0]}, P)
    with pytest.raises(ValueError, match="found a tuple of 0; give the state that"):
        of.adamw().update(P, (), P)


# --- gradients -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "tx", [of.adamw(), of.sgd(0.1, momentum=0.9), of.lion(), of.adam(), of.muon()]
)
def test_a_loss_with_its_gradients(tx):
    params = {"w": jnp.ones((2, 2))}
    pair = jax.value_and_grad(lambda p: jnp.sum(p["w"]))(params)
    pair_found = r"updates (must have|is a pair).*\(loss, grads\).*its second element"
    state = tx.init(params)
    with pytest.raises(ValueError, match=pair_found):
        tx.update(pair, state, params)
    with pytest.raises(ValueError, match=pair_found):
        jax.jit(tx.update)(pair, state, params)
    with pytest.raises(ValueError, match=pair_found):
        of.apply_updates(params, pair)


def test_gradients_of_another_structure():
    tx = of.adam()
    with pytest.raises(
        ValueError,
        match="updates must have the structure of the state's exp_avg; updates has no "
        "leaf at 'b'",
    ):
        tx.update({"w": P["w"]}, tx.init(P))


# --- arguments of schedules ----------------------------------------------------------


# For each schedule: the names of optax's, torch's or transformers' counterpart.
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("warmup_cosine", "init_value:initial_value decay_steps:total_steps"),
        ("warmup_cosine", "peak_value:base peak_lr:base max_lr:base lr:base"),
        ("warmup_cosine", "learning_rate:base power:exponent T_max:total_steps"),
        ("warmup_cosine", "num_warmup_steps:warmup_steps eta_min:end_value"),
        ("warmup_cosine", "num_training_steps:total_steps"),
        ("warmup_linear", "init_value:initial_value transition_steps:total_steps"),
        ("warmup_stable_decay", "peak_value:base init_value:initial_value"),
        ("cosine_annealing", "init_value:base decay_steps:T_max lr:base"),
        ("cosine_annealing", "total_steps:T_max end_value:eta_min"),
        ("cosine_annealing_warm_restarts", "decay_steps:T_0 init_value:base"),
        ("polynomial", "init_value:base transition_steps:total_iters lr:base"),
        ("polynomial", "decay_steps:total_iters exponent:power"),
        ("linear", "init_value:base transition_steps:total_iters"),
        ("from_to", "init_value:start end_value:end transition_steps:steps lr:start"),
        ("exponential", "init_value:base decay_rate:gamma lr:base"),
        ("step", "lr:base transition_steps:step_size"),
        ("multi_step", "boundaries_and_scales:milestones boundaries:milestones"),
        ("piecewise_constant", "boundaries_and_scales:boundaries init_value:base"),
        ("piecewise_constant", "milestones:boundaries"),
        ("piecewise_interpolated", "interpolate_type:interpolation"),
        ("sequential", "boundaries:milestones"),
        ("one_cycle", "peak_value:max_lr transition_steps:total_steps lr:max_lr"),
        ("cyclic", "lr:base_lr peak_lr:max_lr"),
        ("constant", "value:base lr:base"),
        ("cooldown", "transition_begin:begin"),
    ],
)
def test_a_foreign_argument_of_a_schedule(name, theirs):
    for pair in theirs.split():
        foreign, own = pair.split(":")
        message = rf"^{name}\(\) has no argument '{foreign}'; did you mean '{own}'\?$"
        with pytest.raises(TypeError, match=message):
            getattr(of.schedules, name)(**{foreign: 1})


# --- hyperparameters of another kind -------------------------------------------------


@pytest.mark.parametrize("value", [True, np.True_, np.array(True), jnp.array(False)])
def test_a_bool_for_a_number(value):
    """torch takes True as 1, which is never meant."""
    message = "^{} must be a number, found .*; pass flags by name"
    with pytest.raises(TypeError, match=message.format("dampening")):
        of.sgd(1e-2, 0.9, value)
    for name in ("lr", "eps", "weight_decay"):
        with pytest.raises(TypeError, match=message.format(name)):
            of.adamw(**{name: value})
    with pytest.raises(TypeError, match=message.format(r"betas\[1\]")):
        of.adamw(betas=(0.9, value))
    with pytest.raises(TypeError, match=message.format("momentum")):
        of.momentum(value)
    with pytest.raises(TypeError, match=message.format("max_norm")):
        of.clip_by_global_norm(value)
    with pytest.raises(TypeError, match=message.format("base")):
        of.schedules.constant(value)
    with pytest.raises(TypeError, match=message.format("lr")):
        of.replace_hyperparameters(of.sgd(0.1), lr=value)


@pytest.mark.torch
def test_a_tensor_for_a_number():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(0.1)
    message = r"^{0} must be .* found a torch tensor; pass float\({0}\)"
    for name in ("lr", "eps", "weight_decay"):
        with pytest.raises(TypeError, match=message.format(name)):
            of.adamw(**{name: tensor})
    with pytest.raises(TypeError, match=r"^betas\[0\] must .* pass float\(betas\[0\]"):
        of.adam(betas=(tensor, 0.9))
    for build, name in [
        (of.scale, "factor"),
        (of.clip, "max_value"),
        (of.add_decayed_weights, "weight_decay"),
        (of.ema_parameters, "decay"),
        (lambda x: of.schedules.warmup_cosine(x, 1, 2), "base"),
    ]:
        with pytest.raises(TypeError, match=message.format(name)):
            build(tensor)
    with pytest.raises(TypeError, match=message.format("lr")):
        of.replace_hyperparameters(of.sgd(0.1), lr=tensor)


# --- extra arguments -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tx", "name", "needed"),
    [
        (of.transforms.reduce_on_plateau(), "reduce_on_plateau", "value=loss"),
        (of.chain(of.transforms.reduce_on_plateau()), "reduce_on_plateau", "value="),
        (of.lbfgs(), "step_by_lbfgs", "value_fn=loss_fn"),
        (of.polyak_sgd(), "step_by_polyak_sgd", "value=loss"),
        (of.scale_by_backtracking_linesearch(10), "scale_by_back", "value_fn=loss_fn"),
        (of.sophia(), "scale_by_sophia", "value_fn=loss_fn"),
    ],
)
def test_a_missing_extra_argument(tx, name, needed):
    argument = needed.partition("=")[0]
    state = tx.init(P)
    message = rf"^{name}\w* needs the argument '{argument}'"
    call = r"call update\(updates, state, params, .*" + needed
    with pytest.raises(TypeError, match=f"{message}; {call}"):
        tx.update(P, state, P)
    meant = f"; found 'loss', did you mean '{argument}'"
    with pytest.raises(TypeError, match=message + meant):
        tx.update(P, state, P, loss=jnp.ones(()))
    if argument == "value_fn":
        with pytest.raises(TypeError, match="value_fn must be a function, found an ar"):
            tx.update(P, state, P, value_fn=jnp.ones(()))


def test_an_extra_argument_that_optax_needs():
    optax = pytest.importorskip("optax")
    tx = of.chain(optax.contrib.reduce_on_plateau())
    with pytest.raises(
        TypeError, match=r"^reduce_on_plateau needs the argument 'value'; call update"
    ):
        tx.update(P, tx.init(P), P)


# --- something else instead of a transformation --------------------------------------


@pytest.mark.parametrize(
    ("call", "way_out"),
    [
        (lambda: of.chain([of.clip(1.0), of.adam()]), r"chain\(\*members\) for a list"),
        (lambda: of.chain(of.adam), r"call it first: adam\(\.\.\.\)"),
        (lambda: of.chain(of.scale_by_adam), r"call it first: scale_by_adam\(\.\.\.\)"),
        (lambda: of.masked(of.adam, {"w": True}), r"call it first: adam"),
        (lambda: of.describe(of.optim.AdamW(P), P), r"optimizer\.functional\(\)"),
        (lambda: of.describe(of.adam, P), r"call it first: adam\("),
        (lambda: of.apply_gradients(of.adamw, P, (), P), r"call it first: adamw\("),
        (
            lambda: of.apply_gradients(of.optim.AdamW(P), P, (), P),
            r"optimizer\.functional\(\)",
        ),
        (lambda: of.optim.Stateful(of.adam, P), r"call it first: adam\("),
    ],
)
def test_something_else_instead_of_a_transformation(call, way_out):
    with pytest.raises(TypeError, match=f"a gradient transformation.*{way_out}"):
        call()


# --- the order of a chain ------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda: of.chain(of.ema_parameters(0.9), of.sgd(0.1)),
        lambda: of.chain(of.average_parameters(), of.identity(), of.scale(0.5)),
        lambda: of.chain(of.lawa_parameters(2, 1), of.clip(1.0)),
        lambda: of.chain(average=of.ema_parameters(0.9), step=of.sgd(0.1)),
        lambda: of.chain(of.chain(of.sgd(0.1), of.ema_parameters(0.9)), of.scale(0.5)),
        lambda: of.chain(
            of.ema_parameters(of.schedules.ema_decay_warmup()), of.sgd(0.1)
        ),
    ],
)
def test_an_average_before_the_updates_are_final(build):
    with pytest.warns(UserWarning, match=r"_parameters averages .* the last") as seen:
        tx = build()
    assert len(seen) == 1
    assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tx.init(P)


def test_an_average_that_is_last_in_effect():
    """What leaves the updates alone may come after it."""
    after = (of.identity(), of.snapshot("u"), of.average_parameters())
    after += (of.monitor(of.identity(), ["update_norm"]), of.chain(of.identity()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tx = of.chain(of.sgd(0.1), of.ema_parameters(0.5), *after)
        of.chain(of.clip(1.0), of.accumulate_gradients(tx, 2))
    # The average is of the parameters that training has.
    state = tx.init(P)
    _, state = tx.update(P, state, P)
    # The first average is a copy.
    expected = jax.tree.map(lambda p: 0.9 * p, P)
    # Two roundings of float32.
    for x, y in zip(*map(jax.tree.leaves, (state[1].average, expected)), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-7)


# --- gradients of integers -----------------------------------------------------------


def is_float(path, leaf):
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def label(path, leaf):
    return "trained" if is_float(path, leaf) else "rest"


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda tx: of.masked(tx, is_float),
        lambda tx: of.partition({"trained": tx, "rest": of.set_to_zero()}, label),
        lambda tx: of.partition({"trained": tx, "rest": of.identity()}, label),
    ],
)
def test_the_advice_for_gradients_of_integers(wrapped):
    """A transformation with a schedule holds whole numbers, such as its steps."""
    trained = of.sgd(of.schedules.warmup_cosine(0.5, 10, 100, initial_value=0.25))

    def loss(tx):
        updates, _ = tx.update(P, tx.init(P), P)
        return jnp.sum(of.apply_updates(P, updates)["w"])

    grads = jax.grad(loss, allow_int=True)(trained)
    plain = of.sgd(0.1)
    with pytest.raises(TypeError, match=r"float0.* leave such leaves out with masked"):
        plain.update(grads, plain.init(trained), trained)
    tx = wrapped(plain)
    updates, _ = tx.update(grads, tx.init(trained), trained)
    new = of.current_hyperparameters(of.apply_updates(trained, updates), None)["lr"]
    assert (new.warmup_steps, new.total_steps) == (10, 100)
    # The loss is 3 * (1 - initial_value), so its gradient is -3.
    np.testing.assert_allclose(new.initial_value, 0.25 + 0.1 * 3, rtol=1e-6)
