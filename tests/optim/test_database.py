"""PyTorch's own optimizer test database, through the stateful classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .harness import (
    OPTIMIZERS,
    assert_same,
    loss,
    ours,
    start,
    step_ours,
    step_theirs,
    tensors,
    theirs,
    tolerance,
    torch,
)

pytest.importorskip("expecttest", reason="torch's test database needs expecttest")

from ..parity.database import configurations

pytestmark = pytest.mark.torch

STEPS = 50
CONFIGURATIONS = configurations()


def identify(value):
    if isinstance(value, dict):
        return ",".join(f"{k}={v}" for k, v in value.items()) or "default"
    return str(value)


@pytest.mark.parametrize(
    ("name", "kwargs"), [c for c in CONFIGURATIONS if c[0] != "LBFGS"], ids=identify
)
def test_same_parameters_and_state_dict_as_torch(name, kwargs):
    values = start(name)
    optimizer = ours(name, list(map(jnp.asarray, values)), **kwargs)
    reference = theirs(name, tensors(values), **kwargs)
    assert_same(optimizer, reference, 0.0)
    for _ in range(STEPS):
        step_ours(optimizer)
        step_theirs(reference)
    assert_same(optimizer, reference, tolerance(name, kwargs.get("lr", 1e-3)))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float64(name, x64):
    values = start(name, "float64")
    optimizer = ours(name, list(map(jnp.asarray, values)), **OPTIMIZERS[name])
    reference = theirs(name, tensors(values), **OPTIMIZERS[name])
    for _ in range(5):
        step_ours(optimizer)
        step_theirs(reference)
    # Both keep some scalars in float32, which the updates then follow.
    float32 = {"ASGD": 1e-8, "NAdam": 1e-8, "Muon": tolerance("Muon")}
    assert_same(optimizer, reference, float32.get(name, 1e-9))


@pytest.mark.parametrize(
    "name", [x for x in OPTIMIZERS if x not in ("Adafactor", "Muon", "SparseAdam")]
)
def test_complex_parameters(name):
    values = start(name, "complex64", count=2)
    values = [value * np.complex64(0.6 + 0.8j) for value in values]
    optimizer = ours(name, list(map(jnp.asarray, values)), **OPTIMIZERS[name])
    params = tensors(values)
    reference = theirs(name, params, **OPTIMIZERS[name])
    for _ in range(5):
        for p in params:
            # Not the gradient of `loss`: its imaginary part almost vanishes, and an
            # optimizer that divides by it magnifies rounding.
            p.grad = 0.2 * p.detach() + (0.07 + 0.05j)
        optimizer.step(grads=[jnp.asarray(p.grad.numpy()) for p in params])
        reference.step()
    # RMSprop's variance of an almost constant gradient cancels.
    assert_same(optimizer, reference, 1e-3 if name == "RMSprop" else 1e-5)


@pytest.mark.parametrize(
    ("name", "kwargs"), [c for c in CONFIGURATIONS if c[0] == "LBFGS"], ids=identify
)
def test_lbfgs_as_torch(name, kwargs, x64):
    values = start(name, "float64", count=2)
    optimizer = ours(name, list(map(jnp.asarray, values)), **kwargs)
    params = tensors(values)
    reference = theirs(name, params, **kwargs)

    def closure():
        reference.zero_grad()
        total = sum(
            (0.1 * p * p + 0.05 * torch.cos(2 * p) + 0.07 * p).sum() for p in params
        )
        total.backward()
        return total

    for step in range(STEPS):
        found, expected = optimizer.step(loss), reference.step(closure)
        np.testing.assert_allclose(found, expected.item(), rtol=1e-9)
        if step < 2:
            entry, wanted = (o.state_dict()["state"][0] for o in (optimizer, reference))
            assert set(entry) == set(wanted)
            assert entry["func_evals"] == wanted["func_evals"]
            assert entry["n_iter"] == wanted["n_iter"]
            for key in ("d", "prev_flat_grad", "old_dirs", "old_stps", "ro", "H_diag"):
                # Near the minimum the last digits of differences are noise.
                jax.tree.map(
                    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-9),
                    entry[key],
                    wanted[key]
                    if isinstance(wanted[key], int)
                    else _arrays(wanted[key]),
                )
    for p, expected in zip(optimizer.params, params, strict=True):
        np.testing.assert_allclose(p, expected.detach(), atol=1e-9)


def _arrays(value):
    return [x.numpy() for x in value] if isinstance(value, list) else value.numpy()
