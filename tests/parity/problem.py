"""One small problem, run by torch and by optifunc, and how the two are compared.

The gradients depend on the parameters, so that an error in one step shows in all later
ones. They are written once, for NumPy-like functions of either library.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO

import optifunc as of

STEPS = 50
LBFGS_STEPS = 4  # each of up to 25 evaluations; after that, rounding decides

SHAPES = {"matrix": (3, 2), "vector": (4,), "tensor": (2, 3, 4), "scalar": ()}
MATRICES = {"tall": (6, 3), "wide": (3, 5), "square": (4, 4), "wide_too": (3, 5)}
ROWS = np.array([0, 2, 3])  # of the leaves that get sparse gradients


@dataclasses.dataclass(frozen=True)
class Case:
    """One run: a configuration, and what is done to it."""

    optimizer: str  # torch's class name
    kwargs: dict[str, Any]
    scale: float = 1.0  # of the gradients
    halved: bool = False  # the learning rate, after half of the steps
    dtype: str = "float32"

    @property
    def name(self) -> str:
        arguments = ",".join(f"{k}={v}" for k, v in self.kwargs.items()) or "default"
        what = "halved" if self.halved else f"{self.scale:g}"
        return f"{self.optimizer}({arguments})/{what}/{self.dtype}"


FACTORIES: dict[str, Callable[..., of.GradientTransformation]] = {
    "SGD": of.sgd,
    "Adam": of.adam,
    "AdamW": of.adamw,
    "NAdam": of.nadam,
    "RAdam": of.radam,
    "Adamax": of.adamax,
    "Adagrad": of.adagrad,
    "Adadelta": of.adadelta,
    "RMSprop": of.rmsprop,
    "Rprop": of.rprop,
    "ASGD": of.asgd,
    "Adafactor": of.adafactor,
    "Muon": of.muon,
    "SparseAdam": of.sparse_adam,
    "LBFGS": of.lbfgs,
}


def start(optimizer: str, dtype: str) -> dict[str, np.ndarray]:
    """The parameters at the start."""
    shapes = MATRICES if optimizer == "Muon" else SHAPES
    if optimizer == "SparseAdam":
        shapes = {"embedding": (5, 2), "bias": (4,)}
    rng = np.random.default_rng(0)
    return {k: rng.uniform(-0.5, 0.5, s).astype(dtype) for k, s in shapes.items()}


def gradient(param: Any, scale: Any, sin: Callable[[Any], Any]) -> Any:
    """The gradient of `objective`, in each element."""
    return scale * (0.2 * param - 0.1 * sin(2 * param) + 0.07)


def objective(params: Iterable[Any], scale: Any, cos: Callable[[Any], Any]) -> Any:
    """The sum over all elements of ``0.1 p^2 + 0.05 cos(2 p) + 0.07 p``."""
    return sum(
        (scale * (0.1 * p * p + 0.05 * cos(2 * p) + 0.07 * p)).sum() for p in params
    )


# --- torch ---------------------------------------------------------------------------


Run: TypeAlias = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def run_torch(case: Case) -> Run:
    """Parameters after each step ("name": [STEPS, ...]), and the state at the end."""
    import torch

    if case.optimizer == "LBFGS":
        return _run_torch_lbfgs(case)

    params = {
        name: torch.tensor(value, requires_grad=True)
        for name, value in start(case.optimizer, case.dtype).items()
    }
    optimizer = getattr(torch.optim, case.optimizer)(params.values(), **case.kwargs)
    path: dict[str, list[np.ndarray]] = {name: [] for name in params}
    for step in range(STEPS):
        if case.halved and step == STEPS // 2:
            optimizer.param_groups[0]["lr"] *= 0.5
        for param in params.values():
            grad = gradient(param.detach(), case.scale, torch.sin)
            if case.optimizer == "SparseAdam":
                rows = torch.tensor(ROWS)
                grad = torch.sparse_coo_tensor(
                    rows[None], grad[rows], grad.shape, check_invariants=True
                )
            param.grad = grad
        optimizer.step()
        for name, param in params.items():
            path[name].append(param.detach().numpy().copy())
    state = {
        f"{name}.{field}": torch.as_tensor(value).numpy()
        for name, param in params.items()
        for field, value in optimizer.state[param].items()
    }
    return {name: np.stack(values) for name, values in path.items()}, state


def _run_torch_lbfgs(case: Case) -> Run:
    import torch

    params = {
        name: torch.tensor(value, requires_grad=True)
        for name, value in start(case.optimizer, case.dtype).items()
    }
    optimizer = torch.optim.LBFGS(params.values(), **case.kwargs)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = objective(params.values(), case.scale, torch.cos)
        loss.backward()
        return loss

    path: dict[str, list[np.ndarray]] = {name: [] for name in params}
    for step in range(LBFGS_STEPS):
        if case.halved and step == LBFGS_STEPS // 2:
            optimizer.param_groups[0]["lr"] *= 0.5
        optimizer.step(closure)
        for name, param in params.items():
            path[name].append(param.detach().numpy().copy())
    (state,) = optimizer.state.values()
    counts = {name: np.asarray(state[name]) for name in ("func_evals", "n_iter")}
    return {name: np.stack(values) for name, values in path.items()}, counts


# --- optifunc ------------------------------------------------------------------------


@jax.jit
def _half(tx: Any, state: Any, params: Any, scale: Any) -> Any:
    sparse = _is_sparse(state)

    def step(carry: Any, _: Any) -> Any:
        params, state = carry
        grads = jax.tree.map(
            lambda p: gradient(p, scale.astype(p.dtype), jnp.sin), params
        )
        if sparse:
            grads = jax.tree.map(_rows, grads)
        updates, state = tx.update(grads, state, params)
        params = of.apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (params, state), None, STEPS // 2)


def _rows(grad: Any) -> BCOO:
    rows = jnp.asarray(ROWS, jnp.int32)
    return BCOO((grad[rows], rows[:, None]), shape=grad.shape)


def _is_sparse(state: Any) -> bool:
    return any("SparseAdam" in type(s).__name__ for s in named_tuples(state))


def run_optifunc(case: Case) -> Run:
    """The same as `run_torch`; the transformation is an argument of the program."""
    if case.optimizer == "LBFGS":
        return _run_optifunc_lbfgs(case)
    with jax.enable_x64(case.dtype == "float64"):
        tx = FACTORIES[case.optimizer](**case.kwargs)
        params = jax.tree.map(jnp.asarray, start(case.optimizer, case.dtype))
        state = tx.init(params)
        scale = jnp.asarray(case.scale)
        (params, state), first = _half(tx, state, params, scale)
        if case.halved:
            lr = of.current_hyperparameters(tx, state)["lr"]
            tx = of.replace_hyperparameters(tx, lr=0.5 * lr)
        (params, state), second = _half(tx, state, params, scale)
        path = {k: np.concatenate([first[k], second[k]]) for k in params}
        return path, _state_by_parameter(state, params)


@jax.jit
def _lbfgs_step(tx: Any, state: Any, params: Any, scale: Any) -> Any:
    def value_fn(params: Any) -> Any:
        return objective(params.values(), scale.astype(params["vector"].dtype), jnp.cos)

    updates, state = tx.update(params, state, params, value_fn=value_fn)
    return of.apply_updates(params, updates), state


def _run_optifunc_lbfgs(case: Case) -> Run:
    with jax.enable_x64(case.dtype == "float64"):
        tx = of.lbfgs(**case.kwargs)
        params = jax.tree.map(jnp.asarray, start(case.optimizer, case.dtype))
        state, path = tx.init(params), []
        for step in range(LBFGS_STEPS):
            if case.halved and step == LBFGS_STEPS // 2:
                lr = of.current_hyperparameters(tx, state)["lr"]
                tx = of.replace_hyperparameters(tx, lr=0.5 * lr)
            params, state = _lbfgs_step(tx, state, params, jnp.asarray(case.scale))
            path.append(params)
        counts = {k: np.asarray(getattr(state[0], k)) for k in ("func_evals", "n_iter")}
        return {k: np.stack([p[k] for p in path]) for k in params}, counts


def named_tuples(state: Any) -> Iterator[Any]:
    """The states of all transformations inside ``state``."""
    if hasattr(state, "_fields"):
        yield state
    if isinstance(state, tuple | dict):
        for part in state.values() if isinstance(state, dict) else state:
            if isinstance(part, tuple | dict):
                yield from named_tuples(part)


def _state_by_parameter(state: Any, params: Any) -> dict[str, np.ndarray]:
    fields: dict[str, Any] = {}
    for part in named_tuples(state):
        fields |= part._asdict()
    return {
        f"{name}.{field}": np.asarray(value[name] if isinstance(value, dict) else value)
        for field, value in fields.items()
        for name in params
        if not (isinstance(value, dict) and value[name] is None) and value is not None
    }


# --- the comparison ------------------------------------------------------------------


def tolerance(case: Case) -> float:
    """The bars of the project, absolute, on parameters of order 1.

    Muon rounds to bfloat16 inside; another order of summation may flip a rounding.
    """
    if case.optimizer == "Muon":
        return 0.2 * float(case.kwargs.get("lr", 1e-3))
    return {"float32": 1e-5, "float64": 1e-9}[case.dtype]


def assert_parity(
    case: Case,
    ours: Run,
    reference: Run,
) -> None:
    """Every parameter after every step, and every field of torch's state we keep."""
    path, state = ours
    expected_path, expected_state = reference
    atol = tolerance(case)
    for name, expected in expected_path.items():
        assert path[name].dtype == expected.dtype == case.dtype
        np.testing.assert_allclose(
            path[name], expected, rtol=0, atol=atol, err_msg=f"{case.name}: {name}"
        )
    # torch counts steps for some optimizers that never read the count.
    unused = {"Adadelta", "RMSprop", "Rprop"} & {case.optimizer}
    for name, expected in expected_state.items():
        if name.endswith(".step") and unused:
            continue
        np.testing.assert_allclose(
            state[name], expected, rtol=0, atol=atol, err_msg=f"{case.name}: {name}"
        )
