"""The direction of L-BFGS, one step at a time."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_integer
from .._dataclass import static
from .._gradients import dense_gradient, strongly_typed
from .._numerics import increment, sqrt
from .._placement import laid_like, whole, zeros_of_vectors
from .._state import Concatenated, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree, leaf_dtype
from ._flat import check_pairs_fit, flat_dtype, flat_sizes, flat_vector, unflattened
from ._lbfgs_pairs import Pairs, dot, remember, two_loops


class ScaleByLbfgsState(NamedTuple):
    """State of `scale_by_lbfgs`.

    The vectors hold all N numbers of the parameters, leaf after leaf, and a complex
    number as its real and imaginary parts. The pairs are in a ring buffer, like those
    of `StepByLbfgsState`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``old_dirs``: [memory_size, N], changes of the gradient.
    - ``old_stps``: [memory_size, N], changes of the parameters.
    - ``ro``: [memory_size], 1 / their products.
    - ``H_diag``: [], scale of the initial inverse Hessian.
    - ``prev_flat_params``: [N], parameters at the last update.
    - ``prev_flat_grad``: [N], gradient there.
    - ``num_pairs``: int32 [], pairs stored so far.
    """

    step: Shared
    old_dirs: Concatenated
    old_stps: Concatenated
    ro: Shared
    H_diag: Shared
    prev_flat_params: Concatenated
    prev_flat_grad: Concatenated
    num_pairs: Shared


@transformation
class scale_by_lbfgs(GradientTransformation):
    """The direction of L-BFGS, for a learning rate or a line search of your choice.

    ::

        s = p - p_prev,  y = g - g_prev                       stored as a pair, if
                                                              y.s > eps * |y| * |s|
        u = H g,  where H starts as (y.s / y.y) I of the last pair and takes in each
                  pair, the oldest first:
                  H = (I - s y^T / y.s) H (I - y s^T / y.s) + s s^T / y.s

    Without a pair, as at the first update, ``u = min(1, 1 / |g|) * g``. ``eps`` is the
    spacing of the dtype's numbers near 1. With ``pairs="all"``, as in optax, pairs with
    negative curvature are also kept, after which the direction may point uphill; steps
    that meet the Wolfe conditions produce none.

    With a line search, an update is one iteration; `lbfgs`, as in torch, does many::

        search = of.scale_by_zoom_linesearch(initial_guess_strategy="one")
        tx = of.chain(of.scale_by_lbfgs(), search)

    It must be the first member of a chain, so that it sees gradients, and the loss must
    be the same function in each update.

    **Arguments:**

    - ``memory_size``: the maximum number of pairs to keep, at least 1.
    - ``scale_init_precond``: whether ``H`` starts as above; False: as ``I``, even
      without a pair.
    - ``pairs``: ``"curved"``, those that the rule above stores; ``"all"``: that of each
      step. A pair whose product is 0 then has no effect, but replaces an older one, and
      ``H`` starts as ``I`` where ``y`` is 0.

    **State:** `ScaleByLbfgsState`: vectors in the parameters' widest real dtype and at
    least float32, and ``2 * memory_size`` such vectors.

    **Complex parameters:** real and imaginary parts are separate parameters; pass the
    conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` or `TypeError` for a ``memory_size`` that is not a whole
    number above 0, `ValueError` for other ``pairs``; at `update` `ValueError` if
    ``params`` is missing, if ``updates`` differs from it in structure or shape, or if
    the state is that of other parameters.

    **Source:** Liu and Nocedal, "On the limited memory BFGS method for large scale
    optimization", Math. Programming 45, 1989,
    [doi:10.1007/BF01589116](https://doi.org/10.1007/BF01589116).
    """

    memory_size: int = static(default=10)
    scale_init_precond: bool = static(default=True)
    pairs: Literal["curved", "all"] = static(default="curved")

    def __post_init__(self) -> None:
        check_choice("pairs", self.pairs, ("curved", "all"))
        check_integer("memory_size", self.memory_size, at_least=1)

    def init(self, params: PyTree) -> ScaleByLbfgsState:
        dtype, length = flat_dtype(params), sum(flat_sizes(params))
        # Each field is a separate array, so that the state can be donated.
        return ScaleByLbfgsState(
            step=jnp.zeros((), jnp.int32),
            old_dirs=zeros_of_vectors(params, (self.memory_size, length), dtype),
            old_stps=zeros_of_vectors(params, (self.memory_size, length), dtype),
            ro=jnp.zeros(self.memory_size, dtype),
            H_diag=jnp.ones((), dtype),
            prev_flat_params=zeros_of_vectors(params, (length,), dtype),
            prev_flat_grad=zeros_of_vectors(params, (length,), dtype),
            num_pairs=jnp.zeros((), jnp.int32),
        )

    def update(
        self,
        updates: PyTree,
        state: ScaleByLbfgsState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByLbfgsState]:
        params = require_params(params, params, "scale_by_lbfgs")
        params = jax.tree.map(strongly_typed, params)
        gradient = dense_gradient(updates, params)
        check_pairs_fit(state.old_dirs, params, self.memory_size)
        given, state = state, jax.tree.map(whole, state)
        dtype = state.old_dirs.dtype
        point, grad = flat_vector(params, dtype), flat_vector(gradient, dtype)

        pairs, scale = self._learned(state, point, grad)
        direction, _ = two_loops(
            pairs,
            grad,
            self._scale(pairs, scale, grad),
            jnp.zeros_like(pairs.ro),
        )
        new = jax.tree.map(
            lambda u, g: lax.convert_element_type(u, leaf_dtype(g)),
            unflattened(direction, params),
            gradient,
        )
        found = ScaleByLbfgsState(
            step=increment(state.step),
            H_diag=scale,
            prev_flat_params=point,
            prev_flat_grad=grad,
            **pairs._asdict(),
        )
        return new, jax.tree.map(laid_like, found, given)

    def _learned(
        self, state: ScaleByLbfgsState, point: Array, grad: Array
    ) -> tuple[Pairs, Array]:
        """The pairs including that of the last step, and their scale."""
        y, s = grad - state.prev_flat_grad, point - state.prev_flat_params
        product = dot(y, s)
        least = jnp.finfo(y.dtype).eps * jnp.sqrt(dot(y, y)) * jnp.sqrt(dot(s, s))
        stored = state.step > 0
        if self.pairs == "curved":
            stored &= product > least
        pairs = Pairs(state.old_dirs, state.old_stps, state.ro, state.num_pairs)
        pairs, scale = remember(pairs, y, s, product, stored)
        return pairs, jnp.where(stored, scale, state.H_diag)

    def _scale(self, pairs: Pairs, scale: Array, grad: Array) -> Array:
        """The scale of the initial inverse Hessian."""
        if not self.scale_init_precond:
            return jnp.ones_like(scale)
        # Without a pair, the length of the step is at most 1.
        length = sqrt(dot(grad, grad))
        return jnp.where(pairs.num_pairs > 0, scale, 1 / jnp.maximum(length, 1))
