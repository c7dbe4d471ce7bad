"""Whole training steps: forward, backward and update."""

import abc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optifunc.losses import cross_entropy

from .agreement import check_agreement
from .contenders import Recipe, chosen, recipes, wait_for_program
from .networks import Network
from .optimizers import Optimizer
from .pytorch import torch
from .results import Group
from .timing import Budget, interleaved, no_collection, step_time

AGREEMENT_STEPS = 3


class Trainer(abc.ABC):
    """A network and its optimizer, on one batch."""

    @abc.abstractmethod
    def step(self) -> Any:
        """A step; returns the loss before it, which may still be computed."""

    @abc.abstractmethod
    def wait(self) -> None: ...


class PureTrainer(Trainer):
    def __init__(self, recipe: Recipe, network: Network) -> None:
        params = {name: jnp.array(p) for name, p in network.params().items()}
        self._carry = (params, recipe.make().init(params))
        self._batch = tuple(map(jnp.array, network.batch()))

        def train(
            tx: Any, params: Any, state: Any, images: jax.Array, labels: jax.Array
        ) -> Any:
            def loss_fn(params: Any) -> jax.Array:
                return cross_entropy(network.jax(params, images), labels)

            loss, grads = jax.value_and_grad(loss_fn)(params)
            return recipe.advanced(tx, params, state, grads), loss

        self._leading = recipe.leading()
        function = train if self._leading else partial(train, recipe.make())
        self._run = jax.jit(function, donate_argnames=("params", "state"))

    def step(self) -> Any:
        self._carry, loss = self._run(*self._leading, *self._carry, *self._batch)
        return loss

    def wait(self) -> None:
        wait_for_program(self._carry[0])


class StatefulTrainer(Trainer):
    def __init__(self, make: Callable[[Any], Any], network: Network) -> None:
        params = {name: jnp.array(p) for name, p in network.params().items()}
        self._optimizer = make(params)
        self._batch = tuple(map(jnp.array, network.batch()))

        def loss_fn(params: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
            return cross_entropy(network.jax(params, images), labels)

        self._run = self._optimizer.compile_step(loss_fn)

    def step(self) -> Any:
        return self._run(*self._batch)

    def wait(self) -> None:
        wait_for_program(self._optimizer.params)


class TorchTrainer(Trainer):
    def __init__(self, make: Callable[[Any], Any], network: Network) -> None:
        self._device = "cuda" if jax.devices()[0].platform == "gpu" else "cpu"
        images, labels = network.batch()
        self._images = network.torch_images(images).to(self._device)
        self._labels = torch.tensor(labels, dtype=torch.int64, device=self._device)
        self._params = {
            name: network.torch_weight(p).to(self._device).requires_grad_()
            for name, p in network.params().items()
        }
        self._forward = network.torch
        self._optimizer = make(list(self._params.values()))

    def step(self) -> Any:
        self._optimizer.zero_grad()
        logits = self._forward(self._params, self._images)
        loss = torch.nn.functional.cross_entropy(logits, self._labels)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


def trainers(optimizer: Optimizer) -> dict[str, Callable[[Network], Trainer]]:
    found: dict[str, Callable[[Network], Trainer]] = {
        name: partial(PureTrainer, recipe)
        for name, recipe in recipes(optimizer).items()
        if recipe.donate_params
    }
    found["optifunc.optim"] = partial(StatefulTrainer, optimizer.stateful)
    if optimizer.torch is not None:
        for name, flags in optimizer.variants.items():
            found[name] = partial(TorchTrainer, partial(optimizer.torch, **flags))
    return found


def training(
    network: Network,
    optimizer: Optimizer,
    budget: Budget,
    names: list[str] | None = None,
) -> Iterator[Group]:
    """The time of a training step; all contenders must see the same losses."""
    expected = None
    turns = {}
    for name, make in chosen(trainers(optimizer), names).items():
        trainer = make(network)
        # The last loss depends on all the steps before.
        losses = [float(trainer.step()) for _ in range(AGREEMENT_STEPS)]
        found = {"loss": np.array(losses)}
        expected = expected or found
        check_agreement(name, found, expected)
        turns[name] = partial(step_time, trainer)
    if not turns:
        return
    with no_collection():
        samples = interleaved(turns, budget)
    yield Group("training step", network.name, optimizer.name, "s", samples)
