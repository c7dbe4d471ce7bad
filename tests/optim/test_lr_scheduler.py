"""Schedulers in use: in training, copied, written by users; their warnings."""

import copy
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc.optim as optim

from .scheduler_harness import optimizers, ours, sgd, step, theirs, torch

pytestmark = pytest.mark.torch


def test_a_scheduler_written_by_a_user():
    class Halving(ours.LRScheduler):
        def get_lr(self):
            return [lr / 2**self.last_epoch for lr in self.base_lrs]

    optimizer = sgd()
    scheduler = Halving(optimizer)
    step(optimizer)
    for _ in range(3):
        scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.0125, 0.0125]
    assert scheduler.get_last_lr() == [0.0125, 0.0125]
    with pytest.raises(NotImplementedError, match="get_lr"):
        ours.LRScheduler(optimizer)


def test_the_learning_rate_reaches_the_step():
    optimizer = optim.SGD([jnp.ones(2)], lr=1.0)
    scheduler = ours.ExponentialLR(optimizer, 0.5)
    for _ in range(3):
        optimizer.step(grads=[jnp.ones(2)])
        scheduler.step()
    # 1 - (1 + 1/2 + 1/4), exact in float32
    assert optimizer.params[0].tolist() == [-0.75, -0.75]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_training_with_cycled_momentum_follows_torch_and_compiles_once(kind, caplog):
    mine, reference = optimizers((0.1, 0.2), kind)
    runs = [(ours, mine), (theirs, reference)]
    schedulers = [library.OneCycleLR(o, [0.1, 0.2], 12) for library, o in runs]
    compiled = []
    for i in range(12):
        grads = [[math.cos(i), -1.0], [0.5, math.sin(i)]]
        caplog.clear()
        with jax.log_compiles():
            mine.step(grads=[[jnp.array(g)] for g in grads])
        compiled.append(sum("Compiling" in r.message for r in caplog.records))
        for group, grad in zip(reference.param_groups, grads, strict=True):
            group["params"][0].grad = torch.tensor(grad)
        reference.step()
        for scheduler in schedulers:
            scheduler.step()
    # State is made at the first step and only read and written from the second on.
    assert compiled[2:] == [0] * 10
    for found, expected in zip(mine.params, reference.param_groups, strict=True):
        # Twelve updates in float32.
        expected = expected["params"][0].detach().numpy()
        np.testing.assert_allclose(found[0], expected, rtol=2e-6)


def test_an_array_stays_an_array():
    optimizer = sgd(lr=jnp.asarray(0.5, jnp.float32))
    scheduler = ours.ExponentialLR(optimizer, 0.5)
    step(optimizer)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"].dtype == jnp.float32
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert scheduler.base_lrs == [0.5, 0.5]
    state = scheduler.state_dict() | {"base_lrs": [torch.tensor(0.5), jnp.ones(())]}
    scheduler.load_state_dict(state)
    assert [type(lr) for lr in scheduler.base_lrs] == [float, float]


def test_pickling_and_copying():
    optimizer = sgd(momentum=0.9)
    scheduler = ours.OneCycleLR(optimizer, 0.5, 20)
    step(optimizer)
    copied, other = copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))
    for each in (scheduler, copied, other):
        step(each.optimizer)
        each.step()
    assert copied.optimizer is not optimizer
    assert copied.get_last_lr() == other.get_last_lr() == scheduler.get_last_lr()


def test_warnings():
    optimizer = sgd()
    scheduler = ours.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="before `optimizer.step\\(\\)`"):
        scheduler.step()
    scheduler.step()  # said once
    step(optimizer)
    with pytest.warns(UserWarning, match="get_last_lr\\(\\)"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match="The epoch parameter"):
        scheduler.step(3)
    with pytest.warns(UserWarning, match="The epoch parameter"):
        ours.ReduceLROnPlateau(optimizer).step(1.0, epoch=3)
    for make in (
        lambda o: ours.StepLR(o, 1),
        lambda o: ours.ChainedScheduler([ours.StepLR(o, 1)]),
        lambda o: ours.SequentialLR(o, [ours.StepLR(o, 1)], []),
        lambda o: ours.CosineAnnealingWarmRestarts(o, 2),  # as torch's, never
    ):
        optimizer = sgd()
        scheduler = make(optimizer)
        step(optimizer)
        scheduler.step()


def test_a_scheduler_shows_its_settings_and_where_it_is():
    optimizer = optim.SGD([jnp.ones(2)], lr=1.0)
    scheduler = ours.StepLR(optimizer, step_size=2, gamma=0.5)
    for _ in range(2):
        optimizer.step(grads=[jnp.ones(2)])
        scheduler.step()
    shown = "StepLR(step_size=2, gamma=0.5, last_epoch=2, last_lr=[0.5])"
    assert repr(scheduler) == shown
    chained = ours.ChainedScheduler([scheduler])
    assert repr(chained) == f"ChainedScheduler(schedulers=[{shown}], last_lr=[0.5])"
