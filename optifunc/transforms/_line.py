"""A function along the line of an update, for searches, and their stored results."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_loss
from .._gradients import dense_gradient, strongly_typed, value_and_gradient
from .._numerics import as_scalar
from .._transformation import apply_updates, require_params
from .._tree import PyTree, inner_product
from ._scaling import _scaled


class Point(NamedTuple):
    """What is known at one step along the line."""

    step_size: Array
    value: Array  # phi
    slope: Array  # phi'
    grad: Any  # of the function; None if not needed


@dataclasses.dataclass(frozen=True)
class Line:
    """``phi(t) = f(params + t * sign * updates)``, which falls at 0."""

    function: Callable[[PyTree], Any]
    params: PyTree
    updates: PyTree
    sign: Array  # -1 if the updates point uphill
    start: Point  # step 0

    def update(self, step_size: Array) -> PyTree:
        """The updates that lead to a step."""
        return _scaled(self.updates, factor=self.sign * step_size)

    def at(self, step_size: Array) -> PyTree:
        """The parameters at a step, rounded as `apply_updates` does."""
        return apply_updates(self.params, self.update(step_size))

    def value(self, step_size: Array) -> Array:
        """``phi``."""
        return as_scalar(self.function(self.at(step_size)))

    def evaluate(self, step_size: Array) -> Point:
        """``phi``, its slope, and the gradient."""
        value, grad = value_and_gradient(self.function)(self.at(step_size))
        dense = dense_gradient(self.updates, self.params)
        slope = self.sign * inner_product(grad, dense)
        return Point(step_size, as_scalar(value), slope, grad)


def line_along(
    updates: PyTree,
    params: PyTree | None,
    value_fn: Callable[..., Any],
    value: Any,
    grad: PyTree | None,
    extra: dict[str, Any],
    name: str,
) -> Line:
    """The line downhill along ``updates``.

    The value or gradient at ``params`` is computed if it is not known. Arguments of
    ``value_fn`` other than the parameters are taken from ``extra`` by name.
    """
    params = jax.tree.map(strongly_typed, require_params(params, params, name))
    function = partial(value_fn, **_own_arguments(value_fn, extra))
    dense = dense_gradient(updates, params)
    if value is None or grad is None:
        found = value_and_gradient(function)(params)
        value = found[0] if value is None else value
        grad = found[1] if grad is None else grad
    check_loss(value)
    grad = jax.tree.map(
        lambda g, p: lax.convert_element_type(g, p.dtype),
        dense_gradient(grad, params, "grad"),
        params,
    )
    slope = inner_product(grad, dense)
    sign = jnp.where(slope > 0, -1, jnp.ones_like(slope))
    start = Point(as_scalar(0), as_scalar(value), sign * slope, grad)
    return Line(function, params, updates, sign, start)


def _own_arguments(
    value_fn: Callable[..., Any], extra: dict[str, Any]
) -> dict[str, Any]:
    """Those of the extra arguments that ``value_fn`` names after the parameters."""
    try:
        parameters = list(inspect.signature(value_fn).parameters.values())[1:]
    except ValueError:  # of a function that is not written in Python
        return {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = {p.name for p in parameters if p.kind in kinds}
    return {name: extra[name] for name in extra.keys() & names}


def value_and_grad_from_state(
    value_fn: Callable[..., Any],
) -> Callable[..., tuple[Array, PyTree]]:
    """`jax.value_and_grad` that reuses the results of a line search from the state.

    A search ends at a point where it has evaluated the function, so the next step need
    not repeat that::

        tx = of.chain(of.scale_by_lbfgs(), of.scale_by_zoom_linesearch())
        value_and_grad = of.value_and_grad_from_state(loss)

        value, grad = value_and_grad(params, state=state)
        updates, state = tx.update(
            grad, state, params, value=value, grad=grad, value_fn=loss
        )
        params = of.apply_updates(params, updates)

    This is correct only if the loss is the same function in each step, without batches,
    and the search is the last member of the chain. If the state has no finite value, as
    before the first step, ``value_fn`` is evaluated. This also works with the state of
    optax's searches, if the parameters are real.

    **Arguments:**

    - ``value_fn``: the loss, a function of the parameters that returns a real scalar.

    **Returns:** a function ``(params, *args, state, **kwargs)`` that returns the value
    and the gradient; ``args`` and ``kwargs`` go to ``value_fn``. The gradient of a
    complex parameter is the conjugate of `jax.grad`'s, as transformations expect. The
    function raises `ValueError` for a state that does not contain exactly one search,
    or if the search keeps no gradient or only that of some of the parameters.

    **Source:** the function of the same name in optax.
    """

    def value_and_grad(
        params: PyTree, *args: Any, state: PyTree, **kwargs: Any
    ) -> tuple[Array, PyTree]:
        search = _search_in(state, params)
        is_known: Array = jnp.isfinite(search.value)

        def stored() -> tuple[Array, PyTree]:
            return search.value, search.grad

        def computed() -> tuple[Array, PyTree]:
            found = value_and_gradient(value_fn)(params, *args, **kwargs)
            value, grad = jax.tree.map(
                lambda new, old: lax.convert_element_type(new, old.dtype),
                found,
                stored(),
            )
            return value, grad

        result: tuple[Array, PyTree] = lax.cond(is_known, stored, computed)
        return result

    return value_and_grad


def _is_search(node: Any) -> bool:
    """Whether a node is the state of a line search, ours or optax's."""
    fields = getattr(node, "_fields", ())
    return {"learning_rate", "value", "grad", "info"} <= {*fields}


def _search_in(state: PyTree, params: PyTree) -> Any:
    """The state of the one search in ``state``, which must have the whole gradient."""
    nodes = jax.tree.leaves(state, is_leaf=_is_search)
    found = [node for node in nodes if _is_search(node)]
    if len(found) != 1:
        raise ValueError(
            "value_and_grad_from_state needs the state of one line search, found "
            f"{len(found)} in the state; without one call jax.value_and_grad"
        )
    if found[0].grad is None:
        raise ValueError(
            "the line search keeps no gradient; build it with store_grad=True"
        )
    kept: Any = jax.tree.structure(found[0].grad)
    if kept != jax.tree.structure(params):
        raise ValueError(
            "the line search keeps the gradient of only some of the parameters, but "
            "the whole gradient is needed; call jax.value_and_grad"
        )
    return found[0]
