"""Scion."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_choice, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import leafwise
from .._numerics import sqrt
from .._placement import zeros_like
from .._state import PerParameter
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, check_real, leaves_with_names
from ..linalg._newton_schulz import (
    NS_COEFFICIENTS,
    check_orthogonalization,
    orthogonalize_each,
)
from ._assemble import assemble
from ._averages import average_gradients
from ._factory import factory
from ._matrices import as_matrix, from_matrix
from ._muon import Coefficients
from ._orthogonal import spectral_factor

NORMS = ("Auto", "Spectral", "SpectralConv", "Sign", "ColNorm", "RowNorm", "BiasRMS")
# The fewest axes that a leaf needs.
_FEWEST = {"Spectral": 2, "SpectralConv": 3, "Sign": 2, "ColNorm": 2, "RowNorm": 2}


class ScaleByScionState(NamedTuple):
    """State of `scale_by_scion`.

    **Fields:**

    - ``momentum_buffer``: the average of each parameter's gradients, from 0 and not
      debiased.
    """

    momentum_buffer: PerParameter


@leafwise(static=("norm",))
def _steepest(matrices: Array, *, scale: Array, norm: str) -> Array:
    """The direction of a leaf, or of its matrix, which is orthogonal if spectral."""
    if norm == "BiasRMS":
        mean = jnp.sum(matrices * matrices, axis=0) / max(len(matrices), 1)
        return scale * matrices / (sqrt(mean) + 1e-8)[None]
    outputs, inputs = matrices.shape
    if norm == "Sign":
        return scale * jnp.sign(matrices) / max(inputs, 1)
    if norm == "ColNorm":
        sizes = sqrt(jnp.sum(matrices * matrices, axis=0, keepdims=True))
        return scale * matrices / (sizes / math.sqrt(max(outputs, 1)) + 1e-8)
    if norm == "RowNorm":
        sizes = sqrt(jnp.sum(matrices * matrices, axis=1, keepdims=True))
        return scale * matrices / (sizes * math.sqrt(inputs) + 1e-8)
    return scale * matrices


@transformation
class scale_by_scion(GradientTransformation):
    """Average the gradients, and find the farthest point of a norm ball along them.

    The rule: see `scion`. All matrices of one shape, and of the transposed shape, are
    orthogonalized together.

    **Arguments:**

    - ``momentum``, ``norm``, ``scale``, ``ns_coefficients``, ``eps``, ``ns_steps``,
      ``ns_dtype``, ``output_axis``: see `scion`.

    **State:** `ScaleByScionState`.

    **Raises:** what `scion` does.
    """

    momentum: Value = 1.0
    norm: str = static(default="Auto")
    scale: Value = 1.0
    ns_coefficients: Any = NS_COEFFICIENTS
    eps: Value = 1e-7
    ns_steps: int = static(default=5)
    ns_dtype: Any = static(default=jnp.bfloat16)
    output_axis: int = static(default=-1)

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, above=0, at_most=1)
        check_choice("norm", self.norm, NORMS)
        check_range("scale", self.scale, at_least=0)
        check_orthogonalization(
            self.ns_coefficients, self.eps, self.ns_steps, self.ns_dtype
        )
        # The input axis of a convolution is known only for these two.
        check_choice("output_axis", self.output_axis, (0, -1))
        object.__setattr__(self, "ns_dtype", jnp.dtype(self.ns_dtype))

    def _norm(self, axes: int) -> str:
        if self.norm != "Auto":
            return self.norm
        return "BiasRMS" if axes < 2 else "Spectral" if axes == 2 else "SpectralConv"

    def init(self, params: PyTree) -> ScaleByScionState:
        check_real(params, ("scion", "parameters"))
        for path, leaf in leaves_with_names(params):
            if jnp.ndim(leaf) < _FEWEST.get(self.norm, 0):
                raise ValueError(
                    f"norm={self.norm!r} is for leaves of {_FEWEST[self.norm]} axes or "
                    f"more, found shape {jnp.shape(leaf)} at {path!r}; use norm='Auto'"
                    ", or other leaves to another scion with partition"
                )
        return ScaleByScionState(zeros_like(params))

    def update(
        self,
        updates: PyTree,
        state: ScaleByScionState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByScionState]:
        averages, buffer = average_gradients(
            updates,
            state.momentum_buffer,
            weight=self.momentum,
            average_share=1.0,
            gradient_share=0.0,
            nesterov=False,
        )
        treedef: Any
        leaves, treedef = jax.tree.flatten(averages)
        norms = [self._norm(leaf.ndim) for leaf in leaves]
        matrices = [
            jnp.atleast_1d(x)
            if norm == "BiasRMS"
            else as_matrix(x, self.output_axis, 0)
            for x, norm in zip(leaves, norms, strict=True)
        ]
        spectral = [i for i, norm in enumerate(norms) if norm.startswith("Spectral")]
        orthogonal = orthogonalize_each(
            [matrices[i] for i in spectral],
            self.ns_coefficients,
            self.eps,
            steps=self.ns_steps,
            dtype=self.ns_dtype,
        )
        for i, matrix in zip(spectral, orthogonal, strict=True):
            matrices[i] = self._factor(leaves[i].shape, norms[i]) * matrix
        result = []
        for leaf, matrix, norm in zip(leaves, matrices, norms, strict=True):
            new = _steepest(matrix, scale=self.scale, norm=norm)
            result.append(
                new.reshape(leaf.shape)
                if norm == "BiasRMS"
                else from_matrix(new, leaf.shape, self.output_axis, 0)
            )
        return treedef.unflatten(result), ScaleByScionState(buffer)

    def _factor(self, shape: tuple[int, ...], norm: str) -> float:
        outputs = shape[self.output_axis]
        if norm == "Spectral":
            return spectral_factor(outputs, math.prod(shape) // max(outputs, 1))
        inputs = shape[1 if self.output_axis == 0 else -2]
        window = math.prod(shape) // max(outputs * inputs, 1)
        return spectral_factor(outputs, inputs) / max(window, 1)


@factory
def scion(
    lr: Hyperparameter = 1e-3,
    momentum: Hyperparameter = 1.0,
    norm: str = "Auto",
    scale: Hyperparameter = 1.0,
    unconstrained: bool = False,
    *,
    ns_coefficients: Coefficients = NS_COEFFICIENTS,
    eps: Hyperparameter = 1e-7,
    ns_steps: int = 5,
    ns_dtype: Any = jnp.bfloat16,
    output_axis: int = -1,
    maximize: bool = False,
) -> GradientTransformation:
    """Steps to the boundary of a norm ball: the Frank-Wolfe method, layer by layer.

    ::

        b = (1 - momentum) * b + momentum * g
        d = scale * lmo(b)
        u = -lr * (d + p)                                (u = -lr * d, unconstrained)

    where ``lmo(b)`` is ``b`` (outputs by inputs) as

    - ``"Spectral"``: ``sqrt(outputs / inputs) * orthogonalize(b)``;
    - ``"SpectralConv"``: the same for a kernel as a matrix, with the numbers of
      channels in the factor, divided by the number of elements of its window;
    - ``"Sign"``: ``sign(b) / inputs``, for the last layer and embeddings;
    - ``"ColNorm"``: columns of norm ``sqrt(outputs)``;
    - ``"RowNorm"``: rows of norm ``1 / sqrt(inputs)``;
    - ``"BiasRMS"``: ``b`` with a root mean square of 1 along the first axis;
    - ``"Auto"``: the first for matrices, the second for more axes, and the last one for
      vectors and scalars.

    Parameters that start in the ball of radius ``scale`` stay there, which replaces
    weight decay: initialize them with ``scale`` times the ``lmo`` of random numbers.
    The layers of a network have different radii::

        tx = of.partition(
            {
                "hidden": of.scion(2**-12, 0.1, scale=50.0),
                "head": of.scion(2**-12, 0.1, norm="Sign", scale=3000.0),
            },
            lambda path, leaf: "head" if path.startswith("head") else "hidden",
        )

    **Arguments:**

    - ``lr``: the learning rate, the fraction of the distance to the ball's surface.
    - ``momentum``: the weight of the **new** gradient in the average, in (0, 1]; 0.1 is
      what other optimizers call a momentum of 0.9.
    - ``norm``: the name of the norm.
    - ``scale``: the radius of the ball.
    - ``unconstrained``: take the steps without pulling the parameters into the ball.
    - ``ns_coefficients``, ``eps``, ``ns_steps``, ``ns_dtype``: those of the
      orthogonalization, see `linalg.orthogonalize`.
    - ``output_axis``: -1, where kernels in JAX's libraries have their outputs (and next
      to it their inputs), or 0 for torch's layout.
    - ``maximize``: climb instead of descending.

    All numbers except ``ns_steps`` may be arrays or schedules.

    **State:** `ScaleByScionState`, in the parameters' shapes and dtypes. On a mesh with
    explicit axes the matrices must not be sharded (`jax.sharding.reshard` first).

    **Raises:** `ValueError` for a number out of range, for an unknown norm, at `init`
    for a leaf with too few axes for it, and at `update` if ``params`` is missing
    (unless ``unconstrained``); `TypeError` for complex parameters and for sparse
    gradients.

    **Source:** Pethick et al., "Training Deep Learning Models with Norm-Constrained
    LMOs", 2025, [arXiv:2502.07529](https://arxiv.org/abs/2502.07529); radii for layers:
    Riabinin et al., "Gluon", 2025,
    [arXiv:2505.13416](https://arxiv.org/abs/2505.13416).
    """
    direction = scale_by_scion(
        momentum, norm, scale, ns_coefficients, eps, ns_steps, ns_dtype, output_axis
    )
    return assemble(
        direction,
        lr=lr,
        weight_decay=0.0 if unconstrained else 1.0,
        maximize=maximize,
    )
