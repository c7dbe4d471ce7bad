"""Muon."""

import math
from collections import defaultdict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_choice, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import first_moment, lerp
from .._state import PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, leaves_with_names, zeros_like
from ..linalg._newton_schulz import (
    NS_COEFFICIENTS,
    newton_schulz_together,
    oriented_like,
    wide,
)
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleByMuonState(NamedTuple):
    """State of `scale_by_muon`.

    **Fields:**

    - ``momentum_buffer``: for each parameter the average of the gradients, from 0 and
      without correction.
    """

    momentum_buffer: PerParameter


@elementwise(outputs=2, static=("nesterov",))
def _momentum_averaged(
    updates: Array,
    momentum_buffer: Array,
    *,
    momentum: Array,
    weight: Array,
    nesterov: bool,
) -> tuple[Array, Array]:
    momentum_buffer = first_moment(momentum_buffer, updates, weight)
    if nesterov:
        return lerp(updates, momentum_buffer, momentum), momentum_buffer
    return momentum_buffer, momentum_buffer


def _shape_factor(shape: tuple[int, ...], adjust_lr_fn: str | None) -> float:
    rows, columns = shape
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / max(columns, 1)))


@transformation
class scale_by_muon(GradientTransformation):
    """Average the gradients, orthogonalize the averages, scale them by their shape.

    The rule: see `muon`. All matrices of one shape and dtype, and those of the
    transposed shape, are orthogonalized together: as one batch or, on a CPU, in one
    loop.

    **Arguments:**

    - ``momentum``, ``nesterov``, ``ns_coefficients``, ``eps``, ``ns_steps``,
      ``adjust_lr_fn``, ``ns_dtype``: see `muon`.

    **State:** `ScaleByMuonState`.

    **Raises:** what `muon` does.
    """

    momentum: Value = 0.95
    nesterov: bool = static(default=True)
    ns_coefficients: tuple[Value, Value, Value] = NS_COEFFICIENTS
    eps: Value = 1e-7
    ns_steps: int = static(default=5)
    adjust_lr_fn: str | None = static(default=None)
    ns_dtype: Any = static(default=jnp.bfloat16)

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, at_least=0)
        if len(self.ns_coefficients) != 3:
            raise ValueError(
                f"ns_coefficients must be three numbers, found {self.ns_coefficients!r}"
            )
        for i, coefficient in enumerate(self.ns_coefficients):
            check_range(f"ns_coefficients[{i}]", coefficient)
        check_range("eps", self.eps, at_least=0)
        check_integer("ns_steps", self.ns_steps, at_least=0)
        # As in torch: a sensible number is below 10.
        check_range("ns_steps", self.ns_steps, below=100)
        check_choice(
            "adjust_lr_fn", self.adjust_lr_fn, (None, "original", "match_rms_adamw")
        )
        if not jnp.issubdtype(self.ns_dtype, jnp.floating):
            raise ValueError(
                f"ns_dtype must be a real floating point dtype, found {self.ns_dtype!r}"
            )
        # One form of each dtype, so that equal transformations compile once.
        object.__setattr__(self, "ns_dtype", jnp.dtype(self.ns_dtype))

    def init(self, params: PyTree) -> ScaleByMuonState:
        check_real(params, ("muon", "parameters"))
        for name, leaf in leaves_with_names(params):
            if jnp.ndim(leaf) != 2:
                raise ValueError(
                    f"muon takes only matrices, found shape {jnp.shape(leaf)} at "
                    f"{name!r}; give the others to another optimizer: "
                    "partition({'matrix': muon(), 'other': adamw()}, "
                    "lambda path, leaf: 'matrix' if leaf.ndim == 2 else 'other')"
                )
        return ScaleByMuonState(zeros_like(params))

    def update(
        self,
        updates: PyTree,
        state: ScaleByMuonState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByMuonState]:
        averages, momentum_buffer = _momentum_averaged(
            updates,
            state.momentum_buffer,
            momentum=self.momentum,
            weight=1 - self.momentum,
            nesterov=self.nesterov,
        )
        treedef: Any
        leaves, treedef = jax.tree.flatten(averages)
        updates = treedef.unflatten(self._orthogonalized(leaves))
        return updates, ScaleByMuonState(momentum_buffer)

    def _orthogonalized(self, matrices: list[Array]) -> list[Array]:
        batches = defaultdict(list)
        for i, matrix in enumerate(matrices):
            batches[tuple(sorted(matrix.shape)), matrix.dtype].append(i)
        results = list(matrices)
        for members in batches.values():
            batch = self._orthogonalized_alike([wide(matrices[i]) for i in members])
            for i, result in zip(members, batch, strict=True):
                factor = _shape_factor(matrices[i].shape, self.adjust_lr_fn)
                results[i] = factor * oriented_like(matrices[i], result)
        return results

    def _orthogonalized_alike(self, matrices: list[Array]) -> tuple[Array, ...]:
        """Wide matrices of one shape, as one batch."""

        def newton_schulz(*arrays: Array) -> tuple[Array, ...]:
            results: tuple[Array, ...] = newton_schulz_together(
                arrays,
                tuple(self.ns_coefficients),
                self.eps,
                steps=self.ns_steps,
                dtype=self.ns_dtype,
            )
            return results

        def stacked(*matrices: Array) -> tuple[Array, ...]:
            return tuple(newton_schulz(jnp.stack(matrices))[0])

        # For a CPU XLA compiles each slice of a batch by itself, and takes longer for
        # it than for all the rest; there single products fill the machine as well.
        results: tuple[Array, ...] = lax.platform_dependent(
            *matrices, cpu=newton_schulz, default=stacked
        )
        return results


@factory
def muon(
    lr: Hyperparameter = 1e-3,
    weight_decay: Hyperparameter = 0.1,
    momentum: Hyperparameter = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[Hyperparameter, Hyperparameter, Hyperparameter] = (
        NS_COEFFICIENTS
    ),
    eps: Hyperparameter = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
    *,
    mask: Mask | None = None,
    ns_dtype: Any = jnp.bfloat16,
) -> GradientTransformation:
    """`torch.optim.Muon`: momentum whose singular values are all brought near 1.

    ::

        b = momentum * b + (1 - momentum) * g
        X = (1 - momentum) * g + momentum * b  if nesterov,  else  b
        X = X / max(||X||_F, eps)
        A = X X^T,  X = a * X + (b * A + c * A A) X          (``ns_steps`` times)
        u = -lr * (factor * X + weight_decay * p)

    where ``a, b, c = ns_coefficients`` and, for a matrix of shape ``[rows, columns]``,
    ``factor`` is ``sqrt(max(1, rows / columns))``, or with
    ``adjust_lr_fn="match_rms_adamw"`` it is ``0.2 * sqrt(max(rows, columns))``, which
    lets a learning rate found for `adamw` serve here. Layers in torch keep their
    weights as ``[outputs, inputs]``, most layers in JAX the other way round, for which
    the first factor is another one: give those a learning rate of their own or the
    second factor, which does not depend on the order.

    Muon is for the matrices inside a network; embeddings, the last layer, biases and
    scales are better left to `adamw`::

        tx = of.partition(
            {"matrix": of.muon(0.02), "other": of.adamw(3e-4)},
            lambda path, leaf: "matrix" if leaf.ndim == 2 else "other",
        )

    **Arguments:**

    - ``lr``: the learning rate.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``momentum``: the share of the old average in the new one, which is not corrected
      for starting at 0.
    - ``nesterov``: average once more with the gradient.
    - ``ns_coefficients``, ``eps``, ``ns_steps``: of the orthogonalization, see
      `linalg.orthogonalize`.
    - ``adjust_lr_fn``: None, ``"original"`` (the same) or ``"match_rms_adamw"``.
    - ``mask``: which parameters decay, as `assemble` takes it; None: all of them.
    - ``ns_dtype``: the dtype of the orthogonalization, bfloat16 in torch.

    Each number but ``ns_steps`` may be an array or a schedule.

    **State:** `ScaleByMuonState`, in the parameters' shapes and dtypes.

    **Raises:** `ValueError` for a number out of range, at `init` for a parameter that
    is not a matrix, and at `update` if ``params`` is missing (unless ``weight_decay``
    is 0); `TypeError` for complex parameters and for sparse gradients.

    **Source:** Jordan et al., "Muon: An optimizer for hidden layers in neural
    networks", [2024](https://kellerjordan.github.io/posts/muon/); the second factor:
    Liu et al., "Muon is Scalable for LLM Training", 2025,
    [arXiv:2502.16982](https://arxiv.org/abs/2502.16982).
    """
    direction = scale_by_muon(
        momentum, nesterov, ns_coefficients, eps, ns_steps, adjust_lr_fn, ns_dtype
    )
    return assemble(
        direction, lr=lr, weight_decay=weight_decay, decay="decoupled", mask=mask
    )
