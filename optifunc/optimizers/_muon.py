"""Muon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from .._checks import check_choice, check_range
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._numerics import increment, one_minus_power
from .._placement import zeros_like
from .._state import PerParameter, Shared
from .._transformation import GradientTransformation, transformation
from .._tree import PyTree, compute_dtype
from ..linalg._newton_schulz import NS_COEFFICIENTS, check_orthogonalization
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._averages import average_gradients
from ._factory import factory
from ._matrices import (
    OutputAxis,
    as_matrix,
    check_axes,
    check_matrices,
    from_matrix,
)
from ._options import check_option
from ._orthogonal import (
    adam_factor,
    bounded_factor,
    orthogonal_matrices,
    spectral_factor,
)

# Three numbers, or three for each iteration.
Coefficients: TypeAlias = (
    tuple[Hyperparameter, Hyperparameter, Hyperparameter]
    | tuple[tuple[float, float, float], ...]
)
ShapeFactor: TypeAlias = Callable[[int, int], float]

_FACTORS: dict[str | None, ShapeFactor] = {
    None: bounded_factor,
    "original": bounded_factor,
    "match_rms_adamw": adam_factor,
    "spectral_norm": spectral_factor,
}


class ScaleByMuonState(NamedTuple):
    """State of `scale_by_muon`.

    **Fields:**

    - ``momentum_buffer``: the average of each parameter's gradients, from 0 and not
      debiased.
    - ``step``: with ``bias_correction``, int32 [], updates done so far; else None.
    """

    momentum_buffer: PerParameter
    step: Shared | None = None


@transformation
class scale_by_muon(GradientTransformation):
    """Average the gradients, orthogonalize the averages, scale them by their shape.

    The rule: see `muon`. All matrices of one shape and dtype, and those of the
    transposed shape, are orthogonalized together: as one batch or, on a CPU, in one
    loop.

    **Arguments:**

    - ``momentum``, ``nesterov``, ``ns_coefficients``, ``eps``, ``ns_steps``,
      ``adjust_lr_fn``, ``ns_dtype``, ``output_axis``, ``batch_axes``,
      ``preconditioning``, ``bias_correction``, ``adaptive``: see `muon`.

    **State:** `ScaleByMuonState`.

    **Raises:** what `muon` does.
    """

    momentum: Value = 0.95
    nesterov: bool = static(default=True)
    ns_coefficients: Any = NS_COEFFICIENTS
    eps: Value = 1e-7
    ns_steps: int = static(default=5)
    adjust_lr_fn: str | ShapeFactor | None = static(default=None)
    ns_dtype: Any = static(default=jnp.bfloat16)
    output_axis: OutputAxis | None = static(default=None)
    batch_axes: int = static(default=0)
    preconditioning: str = static(default="frobenius")
    bias_correction: bool = static(default=False)
    adaptive: bool = static(default=False)

    def __post_init__(self) -> None:
        check_range("momentum", self.momentum, at_least=0)
        check_orthogonalization(
            self.ns_coefficients,
            self.eps,
            self.ns_steps,
            self.ns_dtype,
            self.preconditioning,
        )
        if not callable(self.adjust_lr_fn):
            check_choice("adjust_lr_fn", self.adjust_lr_fn, tuple(_FACTORS))
        check_axes(self.output_axis, self.batch_axes)
        # A canonical form of each dtype, so that equal transformations compile once.
        object.__setattr__(self, "ns_dtype", jnp.dtype(self.ns_dtype))

    def init(self, params: PyTree) -> ScaleByMuonState:
        check_matrices("muon", params, self.output_axis, self.batch_axes)
        step = jnp.zeros((), jnp.int32) if self.bias_correction else None
        return ScaleByMuonState(zeros_like(params), step)

    def update(
        self,
        updates: PyTree,
        state: ScaleByMuonState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, ScaleByMuonState]:
        check_option(self, "bias_correction", state.step, state.momentum_buffer)
        step = None
        shares: tuple[Any, Any] = (
            (self.momentum if self.nesterov else 1.0),
            (1 - self.momentum),
        )
        if state.step is not None:
            step = increment(state.step)
            # Nesterov's average is that of the next step.
            ahead = increment(step) if self.nesterov else step
            shares = (
                shares[0] / one_minus_power(self.momentum, ahead),
                shares[1] / one_minus_power(self.momentum, step),
            )
        averages, momentum_buffer = average_gradients(
            updates,
            state.momentum_buffer,
            weight=1 - self.momentum,
            average_share=shares[0],
            gradient_share=shares[1],
            nesterov=self.nesterov,
        )
        treedef: Any
        leaves, treedef = jax.tree.flatten(averages)
        orthogonal = orthogonal_matrices(
            leaves,
            self.output_axis,
            self.batch_axes,
            self.ns_coefficients,
            self.eps,
            steps=self.ns_steps,
            dtype=self.ns_dtype,
            preconditioning=self.preconditioning,
        )
        updates = treedef.unflatten(map(self._scaled, leaves, orthogonal))
        return updates, ScaleByMuonState(momentum_buffer, step)

    def _scaled(self, average: Array, orthogonal: Array) -> Array:
        if self.adaptive:
            wide = compute_dtype(average.dtype)
            matrix = as_matrix(average, self.output_axis, self.batch_axes)
            products = matrix.astype(wide) * orthogonal.astype(wide)
            dual_norm = jnp.sum(products, axis=(-2, -1), keepdims=True)
            orthogonal = (dual_norm * orthogonal.astype(wide)).astype(average.dtype)
        *_, outputs, inputs = orthogonal.shape
        choice = self.adjust_lr_fn
        factor = choice if callable(choice) else _FACTORS[choice]
        return from_matrix(
            factor(outputs, inputs) * orthogonal,
            average.shape,
            self.output_axis,
            self.batch_axes,
        )


@factory
def muon(
    lr: Hyperparameter = 1e-3,
    weight_decay: Hyperparameter = 0.1,
    momentum: Hyperparameter = 0.95,
    nesterov: bool = True,
    ns_coefficients: Coefficients = NS_COEFFICIENTS,
    eps: Hyperparameter = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | ShapeFactor | None = None,
    *,
    mask: Mask | None = None,
    ns_dtype: Any = jnp.bfloat16,
    output_axis: OutputAxis | None = None,
    batch_axes: int = 0,
    preconditioning: str = "frobenius",
    bias_correction: bool = False,
    adaptive: bool = False,
) -> GradientTransformation:
    """`torch.optim.Muon`: momentum with all singular values brought close to 1.

    ::

        b = momentum * b + (1 - momentum) * g
        X = (1 - momentum) * g + momentum * b  if nesterov,  else  b
        X = X / max(||X||_F, eps)
        A = X X^T,  X = a * X + (b * A + c * A A) X          (``ns_steps`` times)
        u = -lr * (factor * X + weight_decay * p)

    where ``a, b, c = ns_coefficients``, for a matrix of ``outputs`` rows and ``inputs``
    columns, and ``factor`` is

    - ``sqrt(max(1, outputs / inputs))`` by default, Keller Jordan's;
    - ``0.2 * sqrt(max(outputs, inputs))`` with ``adjust_lr_fn="match_rms_adamw"``,
      Moonlight's, with which you can use a learning rate found for `adamw`;
    - ``sqrt(outputs / inputs)`` with ``"spectral_norm"``, microsoft/dion's;
    - ``adjust_lr_fn(outputs, inputs)`` if it is a function, such as
      ``lambda outputs, inputs: 1.0``.

    **The layout of a kernel** affects only the factor. Torch keeps weights as
    ``[outputs, inputs]``, which is what ``output_axis=None`` assumes. Most layers in
    JAX have their outputs last: use ``output_axis=-1``. Kernels with more axes also
    need it. All axes that are neither outputs nor ``batch_axes`` are inputs.

    Muon is for the matrices inside a network. Use `adamw` for embeddings, the last
    layer, biases and scales; `label_matrices` selects by shape and name::

        tx = of.partition(
            {"matrix": of.muon(0.02, output_axis=-1), "other": of.adamw(3e-4)},
            of.label_matrices("*embed*", "head"),
        )

    **Other versions of Muon:** Keller Jordan's is ``muon(0.02, weight_decay=0)``,
    Moonlight's is ``muon(adjust_lr_fn="match_rms_adamw")``, that of microsoft/dion is
    ``muon(0.01, 0.01, nesterov=False, adjust_lr_fn="spectral_norm")``, and optax's is
    ``muon(weight_decay=0, output_axis=-1, bias_correction=True)``. Where they add
    ``eps`` to the norm, it is a floor of the norm here.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``momentum``: the decay rate of the average, which is not debiased.
    - ``nesterov``: average once more with the gradient.
    - ``ns_coefficients``, ``eps``, ``ns_steps``: those of the orthogonalization, see
      `linalg.orthogonalize`. `linalg.polar_express_coefficients` returns different ones
      for each iteration.
    - ``adjust_lr_fn``: the factor: None, ``"original"`` (the same),
      ``"match_rms_adamw"``, ``"spectral_norm"``, or a function.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``ns_dtype``: the dtype of the orthogonalization, bfloat16 in torch.
    - ``output_axis``: the axis of the outputs, or a tuple of axes. None: the first one,
      only for matrices.
    - ``batch_axes``: the number of leading axes that index separate matrices, such as
      layers stacked for a scan, or experts.
    - ``preconditioning``: see `linalg.orthogonalize`.
    - ``bias_correction``: debias ``b`` and ``g``, which shifts Nesterov's average
      toward ``b`` in the first steps.
    - ``adaptive``: multiply ``X`` by its inner product with the matrix that was
      orthogonalized, so that the step has the size of the gradient (use it with
      ``bias_correction``).

    All numbers except ``ns_steps`` may be arrays or schedules.

    **State:** `ScaleByMuonState`, in the parameters' shapes and dtypes. On a mesh with
    explicit axes the matrices must not be sharded (`jax.sharding.reshard` first).

    **Raises:** `ValueError` for a number out of range, at `init` for a parameter that
    is not a matrix, and at `update` if ``params`` is missing (unless ``weight_decay``
    is 0); `TypeError` for complex parameters and for sparse gradients.

    **Source:** Jordan et al., "Muon: An optimizer for hidden layers in neural
    networks", [2024](https://kellerjordan.github.io/posts/muon/); the second factor:
    Liu et al., "Muon is Scalable for LLM Training", 2025,
    [arXiv:2502.16982](https://arxiv.org/abs/2502.16982); ``adaptive``: Bernstein and
    Newhouse, "Old Optimizer, New Norm", 2024,
    [arXiv:2409.20325](https://arxiv.org/abs/2409.20325).
    """
    direction = scale_by_muon(
        momentum,
        nesterov,
        ns_coefficients,
        eps,
        ns_steps,
        adjust_lr_fn,
        ns_dtype,
        output_axis,
        batch_axes,
        preconditioning,
        bias_correction,
        adaptive,
    )
    return assemble(
        direction, lr=lr, weight_decay=weight_decay, decay="decoupled", mask=mask
    )
