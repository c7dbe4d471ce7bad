"""A transformation as a row of the table: what it needs and supports."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCOO

import optifunc as of


@dataclasses.dataclass(frozen=True)
class Row:
    """A transformation and its needs, as columns."""

    name: str
    build: Callable[[], of.GradientTransformation]
    optimizer: bool = False  # made by an optimizer's factory: updates descend
    matrices: bool = False  # parameters must have two axes
    sparse: bool = False  # gradients are sparse rows
    shapes: bool = False  # reads the shapes of leaves
    complex: bool = True  # complex parameters are supported
    magnitudes: bool = False  # complex elements count by their magnitudes
    noise: bool = False  # draws noise, which depends on dtype and shape
    bases: bool = False  # the state has eigenvectors, some of them of no eigenvalue
    one_vector: bool = False  # the state is of all parameters as one vector
    lossy: bool = False  # rounds its state
    wide: bool = False  # updates of narrow parameters are in float32
    float16: bool = True  # parameters of float16 are supported
    needs_params: bool = False  # update raises without params
    max_logits: bool = False  # needs the logits of attention
    value: bool = False  # needs the loss
    value_fn: bool = False  # needs the loss function
    sampled_grad: bool = False  # takes a second gradient
    grad_fn: bool = False  # needs a function for the gradient
    empty: bool = True  # a tree without leaves is accepted

    def extra(self, params: Any) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if self.value:
            extra["value"] = loss(params)
        if self.max_logits:
            extra["max_logits"] = {}
        if self.value_fn:
            extra["value_fn"] = loss
        if self.sampled_grad:
            extra["sampled_grad"] = self.gradient(params)
        if self.grad_fn:
            extra["grad_fn"] = lambda params, i: self.gradient(params)
        return extra

    def gradient(self, params: Any) -> Any:
        grads = jax.tree.map(lambda p: 0.5 * p + 0.1, params)
        if self.sparse:
            grads = jax.tree.map(sparse_rows, grads)
        return grads


def sparse_rows(grad: jax.Array) -> BCOO:
    """All rows but the last, as a sparse array."""
    rows = max(grad.shape[0] - 1, 0)
    indices = jnp.arange(rows, dtype=jnp.int32)[:, None]
    return BCOO((grad[:rows], indices), shape=grad.shape)


def loss(params: Any) -> jax.Array:
    """A function whose gradient is `Row.gradient`'s (of real parameters)."""
    total = jnp.zeros(())
    for p in jax.tree.leaves(params):
        square = jnp.real(0.25 * p * jnp.conj(p) + 0.1 * p)
        total = total + jnp.sum(square.astype(total.dtype))
    return total
