"""Sophia-H."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .._tree import PyTree
from ..optimizers._sophia import sophia
from . import _programs as programs
from ._hooks import hooked
from ._layouts import TorchLayout
from ._optimizer import Optimizer


class Sophia(Optimizer):
    """Steps divided by an estimate of the curvature; `optifunc.sophia`, stateful.

    In addition to the gradients, a step needs the loss as a function, whose Hessian it
    multiplies by a vector from time to time. `compile_step` already has it.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `sophia`.

    **Raises:** `ValueError` for a number out of range.
    """

    factory = sophia
    layout = TorchLayout("step", "key", "exp_avg", "hessian", step_type=int)

    @hooked
    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        grads: PyTree = None,
        value_fn: Callable[..., Any] | None = None,
        args: tuple[Any, ...] = (),
    ) -> Any:
        """Update the parameters.

        ::

            loss = optimizer.backward(loss_fn, batch)
            optimizer.step(value_fn=loss_fn, args=(batch,))

        **Arguments:**

        - ``closure``, ``grads``: as in `Optimizer.step`.
        - ``value_fn``: a function of the parameters and ``args`` that returns the loss.
          It is compiled into the step, so a new function triggers recompilation; pass a
          batch in ``args``.
        - ``args``: further arguments of ``value_fn``, pytrees of arrays.

        **Returns:** what ``closure`` returned.

        **Raises:** `TypeError` without ``value_fn``; otherwise what `Optimizer.step`
        does.
        """
        if not callable(value_fn):
            raise TypeError(
                f"{type(self).__name__} needs the loss as a function, found "
                f"value_fn={value_fn!r}: call step(value_fn=loss_fn, args=(batch,)), "
                "or use compile_step(loss_fn)"
            )
        loss = self._called(closure)
        compiled = programs.apply_with_loss
        bound = {names: partial(run, value_fn) for names, run in compiled.items()}
        self._update(grads, {"args": args}, bound)
        return loss
