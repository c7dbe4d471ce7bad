"""Parameters in groups, and their gradients."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._suggestions import check_group_keys
from .._tree import PyTree, flatten_like, is_sparse, leaves_with_names
from . import _programs as programs
from ._checks import check_loss_fn
from ._groups import Group, check_new_group, parameter_groups, parameters_of
from ._hooks import Hooks

# Keys of groups that are not hyperparameters: names, and what schedulers keep there.
OTHER_KEYS = frozenset(
    {"param_names", "initial_lr", "swa_lr", "max_lr", "min_lr", "max_momentum"}
    | {"base_momentum"}
)


class Parameters(Hooks):
    """The parameters of an optimizer, their groups and their gradients.

    **Arguments:**

    - ``params``, ``defaults``: see `Optimizer`.
    """

    # Keys of groups that came from a checkpoint, perhaps of another package.
    _loaded_keys: frozenset[str] = frozenset()

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        super().__init__()
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self._gradients: list[Any] = []
        groups, self._in_groups = parameter_groups(params)
        for group in groups:
            self._append(self._checked_group(group))

    @property
    def params(self) -> PyTree:
        """The current parameters, in the structure that was passed in.

        Assign a tree with the same structure and shapes to load other parameters; they
        get the dtypes of the current ones. The state does not change.
        """
        if self._in_groups:
            return [group["params"] for group in self.param_groups]
        return self.param_groups[0]["params"]

    @params.setter
    def params(self, params: PyTree) -> None:
        programs.refuse_tracing("an assignment to params")
        old = self.params
        check_like("params", params, old)
        structure: Any
        leaves, structure = jax.tree.flatten(old)
        new = flatten_like(params, old, ("params", "the optimizer's params"))
        pairs = zip(new, leaves, strict=True)
        # Copies, so that the arrays passed here outlive a step that donates.
        self._put(
            structure.unflatten(jnp.array(x, p.dtype, copy=True) for x, p in pairs)
        )

    @property
    def grads(self) -> PyTree:
        """The gradients, in the structure of `params`; None where there is none.

        Assign to it to replace them (assigning None works like `zero_grad`).
        """
        structure: Any = jax.tree.structure(self.params)
        return structure.unflatten(self._gradients)

    @grads.setter
    def grads(self, grads: PyTree) -> None:
        if grads is None:
            self.zero_grad()
        else:
            self._gradients = self._gradient_leaves(grads)

    def parameter_names(self) -> list[list[str]]:
        """The names of each group's parameters: their dotted paths."""
        return [
            [name for name, _ in leaves_with_names(group["params"])]
            for group in self.param_groups
        ]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients.

        **Arguments:**

        - ``set_to_none``: if False, set existing gradients to zero instead.
        """
        self._gradients = [
            None if set_to_none or g is None else _zeroed(g) for g in self._gradients
        ]

    def backward(
        self, loss_fn: Callable[..., Any], *args: Any, has_aux: bool = False
    ) -> Any:
        """Add the gradient of ``loss_fn(params, *args)`` to `grads`.

        With `dynamic_loss_scale`, it is that of the loss times the scale, by which
        `step` divides; the returned loss is not scaled.

        **Arguments:**

        - ``loss_fn``: a function of the parameters, in the structure of `params`, that
          returns a real scalar, or with ``has_aux`` a pair of one and anything else. It
          is compiled once for each function and shape of ``args``; a function that is
          newly created for each call is compiled for each call.
        - ``args``: its other arguments, such as a batch.
        - ``has_aux``: whether ``loss_fn`` returns a pair.

        **Returns:** what ``loss_fn`` returned.

        **Raises:** `TypeError` if ``loss_fn`` is not a function, or not hashable.
        """
        check_loss_fn(loss_fn, "optimizer.backward(loss_fn, *batch)")
        programs.refuse_tracing("backward")
        scales = programs.scales_by_leaf(self._loss_scales(), len(self._gradients))
        value, grads = programs.value_and_grad(
            loss_fn, has_aux, self.params, args, scales
        )
        new = self._gradient_leaves(grads)
        both = [i for i, g in enumerate(self._gradients) if g is not None]
        if both:
            sums = programs.add(
                [self._gradients[i] for i in both], [new[i] for i in both]
            )
            for i, total in zip(both, sums, strict=True):
                new[i] = total
        self._gradients = new
        return value

    def _loss_scales(self) -> dict[int, Any]:
        """The loss scale for each parameter whose step uses one."""
        return {}

    def _gradient_leaves(self, grads: PyTree) -> list[Any]:
        params = self.params
        if (
            isinstance(params, OrderedDict)
            and isinstance(grads, Mapping)
            and set(grads) == set(params)
        ):
            grads = OrderedDict((name, grads[name]) for name in params)
        leaves = flatten_like(grads, params, ("grads", "params"))
        for i, (grad, param) in enumerate(
            zip(leaves, jax.tree.leaves(params), strict=True)
        ):
            if grad is not None and getattr(grad, "shape", None) != param.shape:
                raise _gradient_error(params, i, grad)
        return leaves

    def group_of(self) -> list[int]:
        """The number of each parameter's group."""
        return [
            number
            for number, group in enumerate(self.param_groups)
            for _ in jax.tree.leaves(group["params"], is_leaf=is_sparse)
        ]

    def _put(self, params: PyTree) -> None:
        values = params if self._in_groups else [params]
        for group, value in zip(self.param_groups, values, strict=True):
            group["params"] = value

    def _append(self, group: Group) -> None:
        self.param_groups.append(group)
        self._gradients += [None] * len(jax.tree.leaves(group["params"]))

    def _check_keys(self, group: Group) -> None:
        """Check that no key of a group is a misspelled hyperparameter."""
        kept = {"params", *OTHER_KEYS, *self._loaded_keys}
        keys = [key for key in group if key not in kept]
        check_group_keys(type(self).__name__, keys, self.defaults)

    def _checked_group(self, given: Group) -> Group:
        self._check_keys(given)
        params, names = parameters_of(given["params"])
        group = {**given, "params": params}
        if names is not None:
            group["param_names"] = names
        for key, value in self.defaults.items():
            group.setdefault(key, value)
        check_new_group(group, self.param_groups, given["params"])
        return group


def _gradient_error(params: PyTree, number: int, grad: Any) -> Exception:
    """What is wrong with the gradient of parameter ``number``."""
    name, param = list(leaves_with_names(params))[number]
    if not hasattr(grad, "shape"):
        return TypeError(
            f"grads must hold arrays, found {type(grad).__name__} at {name!r}"
        )
    return ValueError(
        f"grads and params differ in shape at {name!r}: {grad.shape} and {param.shape}"
    )


def _zeroed(grad: Any) -> Any:
    """Zeros of the kind of ``grad``; a sparse gradient loses its entries."""
    if is_sparse(grad):
        return type(grad)((grad.data[:0], grad.indices[:0]), shape=grad.shape)
    return jnp.zeros(grad.shape, grad.dtype)


def check_like(name: str, found: PyTree, wanted: PyTree) -> None:
    """Check that ``found`` has the structure and the shapes of ``wanted``.

    **Raises:** `ValueError` that names the tree and the leaf.
    """
    leaves = flatten_like(found, wanted, (name, f"the optimizer's {name}"))
    pairs = zip(leaves_with_names(wanted), leaves, strict=True)
    for (path, leaf), new in pairs:
        if np.shape(new) != np.shape(leaf):
            raise ValueError(
                f"{name} has shape {np.shape(new)} at {path!r}, "
                f"expected {np.shape(leaf)}"
            )
