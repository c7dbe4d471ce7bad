"""What is measured side by side: one optimizer, driven in each library's ways."""

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optifunc as of

from .optimizers import Optimizer
from .pytorch import torch
from .workloads import Workload

# Leaves of at most as many elements are joined by `optifunc.flatten`.
SMALL_LEAF = 4096

# Those whose numbers decide: measured together, and alone where time is short.
DECISIVE = [
    "optax",
    "optifunc",
    "optax, fused",
    "optifunc, fused",
    "optifunc.flatten, fused",
    "optifunc.optim, donated",
    "torch foreach",
    "torch fused",
]

Arrays = Mapping[str, jax.Array]
T = TypeVar("T")


class Contender(abc.ABC):
    """An optimizer with its parameters, and the gradients that every step is given."""

    @abc.abstractmethod
    def give(self, grads: Arrays) -> None:
        """Other gradients for the steps to come."""

    @abc.abstractmethod
    def step(self) -> None:
        """One step, which may go on after the call returns."""

    @abc.abstractmethod
    def wait(self) -> None:
        """Until all steps are done."""

    @abc.abstractmethod
    def params(self) -> dict[str, np.ndarray]: ...

    @abc.abstractmethod
    def state_bytes(self) -> int:
        """The size of the optimizer's state."""


@dataclass(frozen=True)
class Recipe:
    """A step over pure functions."""

    make: Callable[[], Any]
    apply_updates: Callable[[Any, Any], Any]
    # Whether the transformation is an argument of the step, or part of it.
    as_argument: bool = False
    # Whether new parameters are written over the old ones; the state always is.
    donate_params: bool = True
    # The keyword arguments of `update`, from parameters and gradients.
    extra: Callable[[Any, Any], dict[str, Any]] = lambda params, grads: {}
    # Whether the step is compiled by `optifunc.fuse`.
    fused: bool = False

    def advanced(self, tx: Any, params: Any, state: Any, grads: Any) -> Any:
        """Parameters and state after a step."""

        def step(params: Any, state: Any, grads: Any) -> Any:
            extra = self.extra(params, grads)
            updates, state = tx.update(grads, state, params, **extra)
            return self.apply_updates(params, updates), state

        return (of.fuse(step) if self.fused else step)(params, state, grads)

    def jitted(self) -> Any:
        """The step as a new function, of which nothing has been traced yet."""

        def step(tx: Any, params: Any, state: Any, grads: Any) -> Any:
            return self.advanced(tx, params, state, grads)

        donated = ("params", "state") if self.donate_params else ("state",)
        function = step if self.as_argument else partial(step, self.make())
        return jax.jit(function, donate_argnames=donated)

    def leading(self) -> tuple[Any, ...]:
        """The arguments before parameters, state and gradients."""
        return (self.make(),) if self.as_argument else ()

    def arguments(self, workload: Workload) -> tuple[Any, ...]:
        """All arguments, as shapes."""
        params = {
            name: jax.ShapeDtypeStruct(shape, np.float32)
            for name, shape in workload.shapes.items()
        }
        state = jax.eval_shape(self.make().init, params)
        return (*self.leading(), params, state, params)


def copied(params: Arrays) -> dict[str, jax.Array]:
    """Parameters to donate, which must not be those of another contender."""
    return {name: jnp.array(p, copy=True) for name, p in params.items()}


def wait_for_program(results: Arrays) -> None:
    """Until the program that returned ``results`` is done.

    All results of a program become ready together, and asking each of a thousand takes
    longer than some programs.
    """
    jax.block_until_ready(next(iter(results.values())))


class Program(Contender):
    """A jitted step over pure functions."""

    def __init__(self, recipe: Recipe, params: Arrays, grads: Arrays) -> None:
        own = copied(params)  # donated
        self._carry = (own, recipe.make().init(own))
        self._leading, self._grads = recipe.leading(), dict(grads)
        self._run = recipe.jitted()

    def give(self, grads: Arrays) -> None:
        self._grads = dict(grads)

    def step(self) -> None:
        self._carry = self._run(*self._leading, *self._carry, self._grads)

    def wait(self) -> None:
        wait_for_program(self._carry[0])

    def params(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(p) for name, p in self._carry[0].items()}

    def state_bytes(self) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self._carry[1]))


class Stateful(Contender):
    """An optimizer of `optifunc.optim`."""

    def __init__(
        self,
        make: Callable[[Any], Any],
        params: Arrays,
        grads: Arrays,
        donate_params: bool = False,
    ) -> None:
        own = copied(params) if donate_params else dict(params)
        self._optimizer, self._grads = make(own), dict(grads)
        self._optimizer.donate_params = donate_params

    def give(self, grads: Arrays) -> None:
        self._grads = dict(grads)

    def step(self) -> None:
        self._optimizer.step(grads=self._grads)

    def wait(self) -> None:
        wait_for_program(self._optimizer.params)

    def params(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(p) for name, p in self._optimizer.params.items()}

    def state_bytes(self) -> int:
        states = self._optimizer.state.values()
        return sum(x.nbytes for state in states for x in jax.tree.leaves(state))


class Torch(Contender):
    """An optimizer of `torch.optim`, on the device that JAX uses."""

    def __init__(
        self,
        make: Callable[[Any], Any],
        params: Arrays,
        grads: Arrays,
        writes_grads: bool = False,
    ) -> None:
        self._names, self._writes_grads = list(params), writes_grads
        self._params = [torch.from_dlpack(params[name]).clone() for name in params]
        self.give(grads)
        self._optimizer = make(self._params)

    def give(self, grads: Arrays) -> None:
        for name, p in zip(self._names, self._params, strict=True):
            grad = torch.from_dlpack(grads[name])
            # The other contenders read the same memory.
            p.grad = grad.clone() if self._writes_grads else grad

    def step(self) -> None:
        self._optimizer.step()

    def wait(self) -> None:
        if self._params[0].is_cuda:
            torch.cuda.synchronize()

    def params(self) -> dict[str, np.ndarray]:
        params = (p.detach().cpu().numpy() for p in self._params)
        return dict(zip(self._names, params, strict=True))

    def state_bytes(self) -> int:
        states = self._optimizer.state.values()
        tensors = (x for state in states for x in state.values() if x is not None)
        return sum(x.nbytes for x in tensors)


def chosen(contenders: Mapping[str, T], names: list[str] | None) -> dict[str, T]:
    """Those requested by name; all if ``names`` is None."""
    return {k: v for k, v in contenders.items() if names is None or k in names}


def can_fuse() -> bool:
    """Whether `optifunc.fuse` changes anything here."""
    return jax.default_backend() == "cpu" and find_spec("llvmlite") is not None


def recipes(optimizer: Optimizer) -> dict[str, Recipe]:
    """The contenders that are compiled by JAX, by name."""
    found = {}
    make_optax = optimizer.optax
    if make_optax is not None:
        found["optax"] = Recipe(make_optax, optax.apply_updates)
    found["optifunc"] = Recipe(optimizer.pure, of.apply_updates)
    found["optifunc, argument"] = replace(found["optifunc"], as_argument=True)
    # What the stateful API does, which leaves the old parameters alone.
    found["optifunc, params kept"] = replace(
        found["optifunc, argument"], donate_params=False
    )
    if can_fuse():
        for name in ("optax", "optifunc"):
            if name in found:
                found[f"{name}, fused"] = replace(found[name], fused=True)
    # In one vector there are no rows and columns, and no leaves of their own.
    if optimizer.accesses is not None:
        found["optifunc.flatten"] = Recipe(
            lambda: of.flatten(optimizer.pure(), SMALL_LEAF), of.apply_updates
        )
        if can_fuse():
            found["optifunc.flatten, fused"] = replace(
                found["optifunc.flatten"], fused=True
            )
        if make_optax is not None:
            found["optax.flatten"] = Recipe(
                lambda: optax.flatten(make_optax()), optax.apply_updates
            )
    return found


def makers(optimizer: Optimizer) -> dict[str, Callable[[Arrays, Arrays], Contender]]:
    """By name how to make each contender from parameters and gradients.

    The first is the one the others are compared with.
    """
    found: dict[str, Callable[[Arrays, Arrays], Contender]] = {
        name: partial(Program, recipe) for name, recipe in recipes(optimizer).items()
    }
    found["optifunc.optim"] = partial(Stateful, optimizer.stateful)
    found["optifunc.optim, donated"] = partial(
        Stateful, optimizer.stateful, donate_params=True
    )
    if optimizer.torch is not None:
        for name, flags in optimizer.variants.items():
            found[name] = partial(
                Torch,
                partial(optimizer.torch, **flags),
                writes_grads=optimizer.writes_grads,
            )
    return found
