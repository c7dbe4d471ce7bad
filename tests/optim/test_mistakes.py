"""Typical mistakes with stateful optimizers: the errors name them and the way out."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

P = {"w": jnp.ones(3), "b": jnp.zeros(2)}


def quadratic(params):
    return sum(jnp.sum(x**2) for x in jax.tree.leaves(params))


def values(optimizer):
    return jax.tree.map(lambda x: x.tolist(), optimizer.params)


# --- keys of groups ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "key", "meant"),
    [
        (of.optim.AdamW, "weight_deacy", "weight_decay"),
        (of.optim.AdamW, "learning_rate", "lr"),
        (of.optim.AdamW, "LR", "lr"),
        (of.optim.AdamW, "b1", "betas"),
        (of.optim.AdamW, "beta", "betas"),
        (of.optim.AdamW, "wd", "weight_decay"),
        (of.optim.AdamW, "epsilon", "eps"),
        (of.optim.SGD, "beta", "momentum"),
        (of.optim.SGD, "nestrov", "nesterov"),
        (of.optim.RMSprop, "decay", "alpha"),
        (of.optim.Lion, "learning_rate", "lr"),
    ],
)
def test_a_misspelled_key_of_a_group(cls, key, meant):
    message = f"{cls.__name__} would ignore the key '{key}' .* mean '{meant}'"
    with pytest.raises(TypeError, match=message):
        cls([{"params": P, key: 0.5}])
    optimizer = cls([{"params": P}])
    with pytest.raises(TypeError, match=message):
        optimizer.add_param_group({"params": jnp.ones(2), key: 0.5})
    assert len(optimizer.param_groups) == 1
    optimizer.param_groups[0][key] = 0.5
    with pytest.raises(TypeError, match=message):
        optimizer.step(grads=[P])
    assert values(optimizer) == [{"w": [1.0] * 3, "b": [0.0] * 2}]


def test_a_misspelled_key_in_place_of_another_with_its_value():
    """Between two steps: as many keys as before, and the same values."""
    optimizer = of.optim.AdamW(P)
    optimizer.step(grads=P)
    group = optimizer.param_groups[0]
    assert group.pop("fused") is None
    group["weight_deacy"] = None
    with pytest.raises(TypeError, match="would ignore the key 'weight_deacy'"):
        optimizer.step(grads=P)


def test_other_keys_of_a_group_are_kept():
    """As in torch; these are keys that packages and schedulers keep in groups."""
    kept = {"name": "head", "lr_scale": 0.5, "lr_mult": 2.0, "initial_lr": 0.1}
    kept |= {"weight_decay_scale": 0.5, "swa_lr": 0.1, "max_lr": 0.1, "momentum": 0.9}
    optimizer = of.optim.AdamW([{"params": P, **kept}])
    assert kept.items() <= optimizer.param_groups[0].items()
    optimizer.step(grads=[P])
    assert kept.items() <= optimizer.param_groups[0].items()


def test_keys_of_a_checkpoint_are_kept():
    """Other packages' groups may hold names that would be mistakes in a program."""
    optimizer = of.optim.AdamW(P)
    optimizer.step(grads=P)
    checkpoint = optimizer.state_dict()
    checkpoint["param_groups"][0]["learning_rate"] = 0.5
    for new in (of.optim.AdamW(P), pickle.loads(pickle.dumps(optimizer))):
        new.load_state_dict(checkpoint)
        new.step(grads=P)
        copied = pickle.loads(pickle.dumps(new))
        copied.param_groups[0]["lr"] = 0.1
        copied.step(grads=P)
        assert copied.param_groups[0]["learning_rate"] == 0.5


# --- a value instead of a function ---------------------------------------------------


@pytest.mark.parametrize(
    ("call", "way_out"),
    [
        (lambda o, x: o.backward(x), r"optimizer\.backward\(loss_fn, \*batch\)"),
        (lambda o, x: o.compile_step(x), r"optimizer\.compile_step\(loss_fn\)"),
    ],
)
@pytest.mark.parametrize("cls", [of.optim.AdamW, of.optim.LBFGS])
def test_a_loss_instead_of_its_function(cls, call, way_out):
    optimizer = cls(P)
    found = "loss_fn must be a function, found an array of shape .. and float32"
    with pytest.raises(TypeError, match=f"{found}; .*not its value: {way_out}"):
        call(optimizer, quadratic(P))
    with pytest.raises(TypeError, match=r"loss_fn must be a function, found 1\.5;"):
        call(optimizer, 1.5)


@pytest.mark.parametrize("found", [quadratic(P), P])
def test_a_loss_or_gradients_as_the_closure(found):
    optimizer = of.optim.AdamW(P)
    with pytest.raises(TypeError, match=r"closure must be .* or step\(grads=...\)"):
        optimizer.step(found)
    with pytest.raises(TypeError, match="LBFGS needs a closure"):
        of.optim.LBFGS(P).step(found)
    assert values(optimizer) == {"w": [1.0] * 3, "b": [0.0] * 2}


def test_a_function_that_cannot_be_hashed():
    class Model:
        __hash__ = None

        def __call__(self, params):
            return quadratic(params)

    for name in ("backward", "compile_step"):
        with pytest.raises(TypeError, match=r"must be hashable.* a Model that"):
            getattr(of.optim.AdamW(P), name)(Model())


def test_statistics_instead_of_their_function():
    model = of.optim.swa_utils.AveragedModel(P)
    with pytest.raises(TypeError, match="statistics_fn must be a function, found"):
        of.optim.swa_utils.update_bn([1.0], model, jnp.ones(2))


def test_a_loss_with_its_gradients():
    optimizer = of.optim.AdamW(P)
    pair = jax.value_and_grad(quadratic)(P)
    with pytest.raises(ValueError, match=r"grads is a pair, like \(loss, grads\)"):
        optimizer.step(grads=pair)


# --- hyperparameters of another kind -------------------------------------------------


@pytest.mark.parametrize("value", [True, np.True_, jnp.array(True)])
def test_a_bool_for_a_number(value):
    message = "^{} must be a number, found .*; pass flags by name"
    with pytest.raises(TypeError, match=message.format("dampening")):
        of.optim.SGD(P, 1e-2, 0.9, value)
    for cls in (of.optim.AdamW, of.optim.Lion, of.optim.RMSprop, of.optim.Muon):
        for name in ("lr", "weight_decay"):
            with pytest.raises(TypeError, match=message.format(name)):
                cls(P, **{name: value})
    optimizer = of.optim.AdamW(P)
    optimizer.param_groups[0]["eps"] = value
    with pytest.raises(TypeError, match=message.format("eps")):
        optimizer.step(grads=P)
    assert values(optimizer) == {"w": [1.0] * 3, "b": [0.0] * 2}


@pytest.mark.torch
def test_a_tensor_for_a_number():
    torch = pytest.importorskip("torch")
    message = r"^lr must be .* found a torch tensor; pass float\(lr\)"
    for cls in (of.optim.AdamW, of.optim.SGD, of.optim.Lion, of.optim.LBFGS):
        with pytest.raises(TypeError, match=message):
            cls(P, lr=torch.tensor(0.1))
    optimizer = of.optim.AdamW(P)
    optimizer.param_groups[0]["lr"] = torch.tensor(0.1)
    with pytest.raises(TypeError, match=message):
        optimizer.step(grads=P)


# --- checkpoints ---------------------------------------------------------------------


def stepped(cls, **kwargs):
    optimizer = cls(P, **kwargs)
    optimizer.step(grads=P)
    return optimizer


def test_a_state_that_is_no_state_dict():
    optimizer = stepped(of.optim.AdamW)
    _, state, _ = optimizer.functional()
    before = values(optimizer)
    schedulers = (
        of.optim.lr_scheduler.StepLR(optimizer, 3),
        of.optim.lr_scheduler.ReduceLROnPlateau(optimizer),
    )
    others = (*schedulers, of.optim.swa_utils.AveragedModel(P), of.optim.SOAP(P))
    for found in (state, of.scale_by_adam().init(P), None):
        name = type(found).__name__
        message = f"state_dict must be a dict, found {name}; give what state_dict"
        with pytest.raises(TypeError, match=f"{message}.* to load_functional"):
            optimizer.load_state_dict(found)
        for other in others:
            with pytest.raises(TypeError, match=message):
                other.load_state_dict(found)
    assert values(optimizer) == before


@pytest.mark.parametrize("cls", [of.optim.AdamW, of.optim.SOAP, of.optim.Lion])
def test_a_whole_checkpoint(cls):
    optimizer = cls(P)
    averaged = of.optim.swa_utils.AveragedModel(P)
    scheduler = of.optim.lr_scheduler.StepLR(optimizer, 3)
    whole = {
        "epoch": 3,
        "opt": optimizer.state_dict(),
        "ema": averaged.state_dict(),
        "scheduler": scheduler.state_dict(),
    }
    no_state = r"no 'state', 'param_groups', found the keys 'epoch', .*\['opt'\]\?"
    with pytest.raises(KeyError, match=no_state):
        optimizer.load_state_dict(whole)
    with pytest.raises(KeyError, match=r"no 'param_groups', found the keys 'state'; "):
        optimizer.load_state_dict({"state": {}})
    with pytest.raises(ValueError, match=r"it lacks .*; did you mean state_dict.'ema'"):
        averaged.load_state_dict(whole)
    with pytest.raises(ValueError, match=r"StepLR: it has no .*mean state_dict.'sch"):
        scheduler.load_state_dict(whole)
    targets = (None, optimizer, averaged, scheduler)
    for name, target in zip(whole, targets, strict=True):
        if target is not None:
            target.load_state_dict(whole[name])


def test_the_checkpoint_of_a_class_with_the_same_state():
    """As in torch: what the checkpoint holds counts, and its hyperparameters win."""
    source = stepped(of.optim.Adam, lr=0.5, weight_decay=0.25)
    target = of.optim.AdamW(P, lr=0.1, weight_decay=0.1)
    target.load_state_dict(source.state_dict())
    assert target.param_groups[0]["lr"] == 0.5
    assert target.param_groups[0]["weight_decay"] == 0.25
    back = of.optim.Adam(P)
    back.load_state_dict(stepped(of.optim.AdamW, weight_decay=0.5).state_dict())
    assert back.param_groups[0]["weight_decay"] == 0.5
    with pytest.raises(ValueError, match="not one of AdamW: its groups lack"):
        target.load_state_dict(stepped(of.optim.SGD).state_dict())
    assert target.param_groups[0]["weight_decay"] == 0.25


# --- schedulers ----------------------------------------------------------------------


def test_arguments_and_names_of_schedulers():
    scheduler = of.optim.lr_scheduler
    optimizer = of.optim.AdamW(P)
    with pytest.raises(TypeError, match=r"StepLR\(\) has .* mean 'step_size'"):
        scheduler.StepLR(optimizer, step=3)
    with pytest.raises(TypeError, match=r"LR\(\) has no argument 'decay_steps'.*T_max"):
        scheduler.CosineAnnealingLR(optimizer, decay_steps=3)
    with pytest.raises(TypeError, match=r"argument 'total_steps'; .* 'total_iters'"):
        scheduler.LinearLR(optimizer, total_steps=3)
    with pytest.raises(AttributeError, match=r"mean lr_scheduler\.CosineAnnealingLR"):
        _ = scheduler.CosineLR
    with pytest.raises(AttributeError, match=r"did you mean lr_scheduler\.StepLR\?"):
        _ = scheduler.StepLr
    assert "initial_lr" not in optimizer.param_groups[0]


def test_a_scheduler_of_something_else():
    build = of.optim.lr_scheduler.StepLR
    with pytest.raises(TypeError, match=r"chain is not an Op.* optim.AdamW\(params"):
        build(of.adamw(), 3)
    with pytest.raises(TypeError, match=r"build one first: AdamW\(params\)"):
        build(of.optim.AdamW, 3)


def test_a_model_with_functions():
    with pytest.raises(TypeError, match=r"one of the params is .*eqx\.filter\(model"):
        of.optim.AdamW({"w": jnp.ones(2), "activation": jax.nn.relu})
