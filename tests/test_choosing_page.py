"""The page on choosing an optimizer: its numbers are the library's."""

import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import optifunc as of

from .members import FACTORIES

PAGE = (Path(__file__).parents[1] / "docs" / "choosing.md").read_text()
ROWS = re.findall(r"^\| `of\.(\w+)` \| ([\d.]+) \| ([\d.e-]+) \|", PAGE, re.MULTILINE)


def numbers_per_parameter(tx):
    params = {"kernel": jax.ShapeDtypeStruct((256, 256), jnp.float32)}
    leaves = jax.tree.leaves(jax.eval_shape(tx.init, params))
    return sum(leaf.size for leaf in leaves) / 256**2


def test_every_optimizer_is_there():
    assert sorted(name for name, _, _ in ROWS) == sorted(FACTORIES)


@pytest.mark.cheap
@pytest.mark.parametrize(("name", "state", "lr"), ROWS)
def test_state_and_default(name, state, lr):
    factory = getattr(of, name)
    # Two decimals are shown; step counters do not show in them.
    assert numbers_per_parameter(factory()) == pytest.approx(float(state), abs=0.005)
    assert inspect.signature(factory).parameters["lr"].default == float(lr)


@pytest.mark.parametrize(
    ("name", "kwargs", "state"),
    [
        ("sgd", {"momentum": 0.9}, 1),
        ("adam", {"amsgrad": True}, 3),
        ("rmsprop", {"momentum": 0.9}, 2),
        ("rmsprop", {"centered": True}, 2),
        ("lbfgs", {"history_size": 7}, 2 * 7 + 2),
        ("sm3", {"momentum": 0.0}, 0.01),
    ],
)
def test_state_of_other_arguments(name, kwargs, state):
    tx = getattr(of, name)(**kwargs)
    assert numbers_per_parameter(tx) == pytest.approx(state, abs=0.005)


def test_the_first_step_of_rmsprop():
    grads = {"w": jnp.full((3,), 0.7)}
    tx = of.rmsprop(lr=0.01)
    updates, _ = tx.update(grads, tx.init(grads), grads)
    assert updates["w"] == pytest.approx(-10 * 0.01, rel=1e-5)
