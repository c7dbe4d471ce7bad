"""One problem for optimizers of torch and of optifunc, and how they are compared."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO

import optifunc as of

torch = __import__("pytest").importorskip("torch", reason="needs the extra `parity`")

FLAGS = ("foreach", "fused", "capturable", "differentiable")
SHAPES = [(3, 2), (4,), (2, 3, 4), ()]
MATRICES = [(6, 3), (3, 5), (4, 4), (3, 5)]
ROWS = np.array([0, 2])  # of the leaves that get sparse gradients

# Every optimizer, in a configuration with all of its state.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-2, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1},
    "Adam": {"lr": 1e-2, "amsgrad": True, "weight_decay": 0.1},
    "AdamW": {"lr": 1e-2},
    "NAdam": {"lr": 1e-2, "weight_decay": 0.1, "decoupled_weight_decay": True},
    "RAdam": {"lr": 1e-2},
    "Adamax": {"lr": 1e-2},
    "Adagrad": {"lr": 1e-2, "lr_decay": 0.1, "initial_accumulator_value": 0.1},
    "Adadelta": {"lr": 1.0},
    "RMSprop": {"lr": 1e-3, "momentum": 0.9, "centered": True},
    "Rprop": {"lr": 1e-2},
    "ASGD": {"lr": 1e-2, "t0": 3, "lambd": 0.1},
    "Adafactor": {"lr": 1e-2, "weight_decay": 0.1},
    "SparseAdam": {"lr": 1e-2},
    "Muon": {"lr": 1e-2},
}


def start(name: str, dtype: str = "float32", count: int = 4) -> list[np.ndarray]:
    """Parameters for the optimizer called ``name``."""
    rng = np.random.default_rng(0)
    shapes = (MATRICES if name == "Muon" else SHAPES)[:count]
    if name == "SparseAdam":
        shapes = [(4, 2), (3,), (5, 1), (4,)][:count]
    return [rng.uniform(-0.5, 0.5, s).astype(dtype) for s in shapes]


def loss(params: Any) -> Any:
    """The sum of ``0.1 p^2 + 0.05 cos(2 p) + 0.07 p`` over all elements."""
    return sum(
        jnp.sum(0.1 * p * p + 0.05 * jnp.cos(2 * p) + 0.07 * p)
        for p in jax.tree.leaves(params)
    )


@jax.jit
def gradients(params: Any) -> Any:
    """The gradients of `loss`, written as in `step_theirs`, to round alike."""
    return jax.tree.map(lambda p: 0.2 * p - 0.1 * jnp.sin(2 * p) + 0.07, params)


@jax.jit
def sparse(grad: Any) -> BCOO:
    """Some rows of a gradient."""
    rows = jnp.asarray(ROWS, jnp.int32)
    return BCOO((grad[rows], rows[:, None]), shape=grad.shape)


def tensors(values: Sequence[np.ndarray]) -> list[Any]:
    return [torch.tensor(value, requires_grad=True) for value in values]


def ours(name: str, params: Any, **kwargs: Any) -> of.optim.Optimizer:
    """An optimizer of optifunc; one that gets a flag without effect must say so."""
    build: Callable[..., Any] = getattr(of.optim, name)
    if not any(kwargs.get(flag) for flag in FLAGS):
        return build(params, **kwargs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimizer = build(params, **kwargs)
    assert [w.category for w in caught] == [UserWarning]
    assert "ignored" in str(caught[0].message)
    return optimizer


def theirs(name: str, params: Any, **kwargs: Any) -> Any:
    """An optimizer of torch, without the implementations that need a GPU."""
    kwargs = {key: False if key == "capturable" else x for key, x in kwargs.items()}
    return getattr(torch.optim, name)(params, **kwargs)


def torch_params(optimizer: Any) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def step_ours(optimizer: Any, present: Sequence[bool] | None = None) -> None:
    """One step with the gradients of `loss`, or None where not ``present``."""
    params = optimizer.params
    leaves, treedef = jax.tree.flatten(gradients(params))
    if isinstance(optimizer, of.optim.SparseAdam):
        leaves = list(map(sparse, leaves))
    if present is not None:
        leaves = [g if here else None for g, here in zip(leaves, present, strict=True)]
    optimizer.step(grads=treedef.unflatten(leaves))


def step_theirs(optimizer: Any, present: Sequence[bool] | None = None) -> None:
    params = torch_params(optimizer)
    for i, p in enumerate(params):
        value = p.detach()
        grad = 0.2 * value - 0.1 * torch.sin(2 * value) + 0.07
        if type(optimizer).__name__ == "SparseAdam":
            rows = torch.tensor(ROWS)
            grad = torch.sparse_coo_tensor(
                rows[None], grad[rows], grad.shape, check_invariants=False
            )
        p.grad = grad if present is None or present[i] else None
    optimizer.step()


def values_of(optimizer):
    if isinstance(optimizer, of.optim.Optimizer):
        return list(map(np.asarray, jax.tree.leaves(optimizer.params)))
    return [p.detach().numpy().copy() for p in torch_params(optimizer)]


def assert_same(
    optimizer: Any, reference: Any, atol: float, *, values: bool = True
) -> None:
    """The same parameters and the same ``state_dict``: keys, order, shapes, dtypes.

    Not the values of the flags that choose an implementation.
    """
    params = torch_params(reference)
    for p, expected in zip(jax.tree.leaves(optimizer.params), params, strict=True):
        assert p.dtype == expected.detach().numpy().dtype
        np.testing.assert_allclose(p, expected.detach().numpy(), rtol=0, atol=atol)
    state_dict, expected = optimizer.state_dict(), reference.state_dict()
    assert list(state_dict) == list(expected)
    groups = zip(state_dict["param_groups"], expected["param_groups"], strict=True)
    for group, wanted in groups:
        assert list(group) == list(wanted)
        for key, value in wanted.items():
            if key not in FLAGS:
                np.testing.assert_equal(_plain(group[key]), _plain(value), key)
    assert list(state_dict["state"]) == list(expected["state"])
    for number, wanted in expected["state"].items():
        entry = state_dict["state"][number]
        assert list(entry) == list(wanted)
        for key, value in wanted.items():
            assert_same_value(entry[key], value, atol if values else np.inf, key)


def assert_same_value(found: Any, wanted: Any, atol: float, key: str) -> None:
    if isinstance(wanted, torch.Tensor):
        wanted = wanted.numpy()
        assert found.dtype == wanted.dtype, key
        assert found.shape == wanted.shape, key
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=atol, err_msg=key)
    else:
        assert type(found) is type(wanted), key
        assert found == wanted, key


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy()
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    return np.asarray(value) if isinstance(value, jax.Array) else value


def tolerance(name: str, lr: float = 1e-2) -> float:
    """Absolute, on parameters of order 1.

    Muon rounds to bfloat16 inside; another order of summation may flip a rounding.
    """
    return 0.2 * lr if name == "Muon" else 1e-5
