"""Adam-mini."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, TypeAlias

import jax.numpy as jnp
from jax import Array

from .._checks import check_betas, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import first_moment, increment, one_minus_power, second_moment, sqrt
from .._placement import zeros_like, zeros_of_shape
from .._state import Keeps, NonNegative, PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, check_shapes, leaves_with_names
from ..wrappers._selection import Mask, like
from ._assemble import assemble
from ._factory import factory

# The number of blocks along each axis of a leaf, from its path and the leaf.
Blocks: TypeAlias = Callable[[str, Any], Sequence[int]]
# What the paths of queries and keys contain.
_QUERIES = ("query", "q_proj", "wq")
_KEYS = ("key", "k_proj", "wk")


class ScaleByAdamMiniState(NamedTuple):
    """State of `scale_by_adam_mini`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``exp_avg_sq``: for each parameter, an array with one number per block: the
      average of the mean squares, from 0 and not debiased.
    """

    step: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    exp_avg_sq: Annotated[NonNegative, Keeps("betas", 1)]


@leafwise(outputs=3)
def _adam_mini(
    updates: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    weight1: Array,
    weight2: Array,
    scale: Array,
    eps: Array,
) -> tuple[Array, Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight1)
    blocks = exp_avg_sq.shape
    sizes = [n // max(b, 1) for n, b in zip(updates.shape, blocks, strict=True)]
    split = [n for pair in zip(blocks, sizes, strict=True) for n in pair]
    inside = tuple(range(1, 2 * updates.ndim, 2))
    total = jnp.sum((updates * updates).reshape(split), axis=inside)
    root_mean_square = sqrt(total / max(updates.size // max(total.size, 1), 1))
    exp_avg_sq = second_moment(exp_avg_sq, root_mean_square, weight2)
    factor = jnp.expand_dims(scale / (sqrt(exp_avg_sq) + eps), inside)
    direction = jnp.broadcast_to(factor, split).reshape(updates.shape) * exp_avg
    return direction, exp_avg, exp_avg_sq


@transformation
class scale_by_adam_mini(GradientTransformation):
    """Adam's direction with one second moment for each block of a parameter.

    The rule: see `adam_mini`.

    **Arguments:**

    - ``betas``, ``eps``, ``blocks``, ``n_heads``, ``n_kv_heads``, ``output_axis``: see
      `adam_mini`.

    **State:** `ScaleByAdamMiniState`.

    **Raises:** what `adam_mini` does.
    """

    betas: tuple[Value, Value] = (0.9, 0.999)
    eps: Value = 1e-8
    blocks: Blocks | None = static(default=None)
    n_heads: int | None = static(default=None)
    n_kv_heads: int | None = static(default=None)
    output_axis: int = static(default=-1)

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("eps", self.eps, at_least=0)
        if self.blocks is not None and not callable(self.blocks):
            raise TypeError(
                f"blocks must be a function of (path, leaf), found {self.blocks!r}"
            )
        for name in ("n_heads", "n_kv_heads"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), at_least=1)
        check_integer("output_axis", self.output_axis, at_least=-32)

    def init(self, params: PyTree) -> ScaleByAdamMiniState:
        check_real(params, ("adam_mini", "parameters"))
        return ScaleByAdamMiniState(
            step=jnp.zeros((), jnp.int32),
            exp_avg=zeros_like(params),
            exp_avg_sq=like(
                params,
                [
                    zeros_of_shape(leaf, self._counts(name, leaf))
                    for name, leaf in leaves_with_names(params)
                ],
            ),
        )

    def _counts(self, name: str, leaf: Any) -> tuple[int, ...]:
        """How many blocks a leaf has along each axis, checked."""
        shape = jnp.shape(leaf)
        counts = tuple((self.blocks or self._by_name)(name, leaf))
        divide = len(counts) == len(shape) and all(
            b == n or (b > 0 and n % b == 0)
            for b, n in zip(counts, shape, strict=False)
        )
        if not divide:
            raise ValueError(
                f"blocks along the axes of {name!r} must divide its shape {shape}, "
                f"found {counts}"
            )
        return counts

    def _by_name(self, name: str, leaf: Any) -> tuple[int, ...]:
        """The blocks of the paper, based on the usual names of layers."""
        shape, name = jnp.shape(leaf), name.lower()
        if "bias" in name:
            return shape
        if len(shape) < 2:
            return (1,) * len(shape)
        if not -len(shape) <= self.output_axis < len(shape):
            raise ValueError(
                f"output_axis is {self.output_axis}, which {name!r} of shape {shape} "
                "does not have"
            )
        axis, count = self.output_axis, shape[self.output_axis]
        if "embed" in name:
            axis, count = 0, shape[0]
        elif self.n_heads is not None and any(x in name for x in _QUERIES):
            count = self.n_heads
        elif self.n_heads is not None and any(x in name for x in _KEYS):
            count = self.n_kv_heads or self.n_heads
        counts = [1] * len(shape)
        counts[axis] = count
        return tuple(counts)

    def update(
        self,
        updates: PyTree,
        state: ScaleByAdamMiniState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByAdamMiniState]:
        beta1, beta2 = self.betas
        step = increment(state.step)
        root_correction2 = jnp.sqrt(one_minus_power(beta2, step))
        # A gradient with another shape could not be divided into the blocks.
        check_shapes(updates, state.exp_avg, ("updates", "exp_avg"))
        updates, *trees = _adam_mini(
            updates,
            state.exp_avg,
            state.exp_avg_sq,
            weight1=1 - beta1,
            weight2=1 - beta2,
            scale=root_correction2 / one_minus_power(beta1, step),
            eps=root_correction2 * self.eps,
        )
        return updates, ScaleByAdamMiniState(step, *trees)


@factory
def adam_mini(
    lr: Hyperparameter = 1e-3,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    blocks: Blocks | None = None,
    n_heads: int | None = None,
    n_kv_heads: int | None = None,
    output_axis: int = -1,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Adam-mini: AdamW with one second moment for each block of a parameter.

    ::

        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * mean(g^2)         (of each block)
        d = (m / (1 - betas[0]^t)) / (sqrt(v / (1 - betas[1]^t)) + eps)
        u = -lr * (d + weight_decay * p)

    It has half of the state of AdamW. A block corresponds to a dense block of the
    Hessian. By default, the parameter's path determines the blocks:

    - each element, if the path contains ``bias``;
    - the whole of any other vector, such as a normalization scale;
    - a row, that is, a token, if the path contains ``embed``;
    - with ``n_heads``, the weights of a head, if it contains ``query``, ``q_proj``,
      ``wq``, ``key``, ``k_proj`` or ``wk``;
    - the weights of one output of any other matrix or kernel.

    To use other blocks, pass a function that returns their number along each axis of a
    leaf. In Flax's attention, heads are an axis::

        def blocks(path, leaf):
            if "query" in path or "key" in path:
                return (1, leaf.shape[1], 1)     # [inputs, heads, features]
            return leaf.shape if leaf.ndim < 2 else (1, leaf.shape[-1])

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the two moments, each in [0, 1).
    - ``eps``: added to the root, after its correction.
    - ``weight_decay``: decoupled decay, in units of ``lr``. The authors leave out
      biases and normalizations; use ``mask`` for that.
    - ``blocks``: a function of ``(path, leaf)``; None: as above. The counts that it
      returns must divide the leaf's shape; if they equal it, each element is a block.
    - ``n_heads``: the number of query heads; None: treat them like other matrices.
    - ``n_kv_heads``: the number of key heads; None: ``n_heads``.
    - ``output_axis``: the axis of a kernel's outputs, along which heads are arranged.
      It is the last in JAX's libraries; use 0 for torch's layout.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending.

    All numbers except the counts may be arrays or schedules.

    **State:** `ScaleByAdamMiniState`, in the parameters' dtypes.

    **Raises:** `ValueError` for a number out of range, at `init` for blocks that do not
    divide a leaf, and at `update` if there is decay and ``params`` is missing;
    `TypeError` for complex parameters and for sparse gradients.

    **Source:** Zhang, Chen, Li and others, "Adam-mini: Use Fewer Learning Rates To Gain
    More", 2024, [arXiv:2406.16793](https://arxiv.org/abs/2406.16793).
    """
    return assemble(
        scale_by_adam_mini(betas, eps, blocks, n_heads, n_kv_heads, output_axis),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
