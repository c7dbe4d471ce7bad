"""Sophia with Hutchinson's estimate of the Hessian's diagonal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._checks import check_betas, check_integer, check_range, check_whole
from .._dataclass import static
from .._hyperparameters import Hyperparameter, Value
from .._leafwise import elementwise
from .._numerics import first_moment, increment, one_minus_power
from .._placement import zeros_like
from .._state import Keeps, PerParameter, Shared
from .._transformation import GradientTransformation, require_params, transformation
from .._tree import PyTree
from ..linalg._random_signs import signed_product
from ..wrappers._selection import Mask
from ._assemble import assemble
from ._factory import factory


class ScaleBySophiaState(NamedTuple):
    """State of `scale_by_sophia`.

    **Fields:**

    - ``step``: int32 [], updates done so far.
    - ``key``: uint32 [2], the key of the whole run.
    - ``exp_avg``: the average of each parameter's gradients, from 0 and not debiased.
    - ``hessian``: the same for the estimates of the Hessian's diagonal.
    """

    step: Shared
    key: Shared
    exp_avg: Annotated[PerParameter, Keeps("betas", 0)]
    hessian: Annotated[PerParameter, Keeps("betas", 1)]


@elementwise(outputs=2)
def _sophia(
    updates: Array,
    exp_avg: Array,
    hessian: Array,
    *,
    weight: Array,
    correction: Array,
    gamma: Array,
    eps: Array,
    clip_threshold: Array | None,
) -> tuple[Array, Array]:
    exp_avg = first_moment(exp_avg, updates, weight)
    # Where the curvature is negative, the direction is also the sign.
    direction = exp_avg / correction / jnp.maximum(gamma * hessian, eps)
    if clip_threshold is not None:
        direction = jnp.clip(direction, -clip_threshold, clip_threshold)
    return direction, exp_avg


@elementwise()
def _with_diagonal(
    hessian: Array, product: Array, signs: Array, *, weight: Array
) -> Array:
    return first_moment(hessian, product * signs, weight)


@transformation
class scale_by_sophia(GradientTransformation):
    """Divide the mean of the gradients by the curvature, and clip.

    The rule: see `sophia`.

    **Arguments:**

    - ``betas``, ``gamma``, ``eps``, ``clip_threshold``, ``update_interval``, ``seed``:
      see `sophia`.

    **State:** `ScaleBySophiaState`.

    **Raises:** what `sophia` does.
    """

    betas: tuple[Value, Value] = (0.965, 0.99)
    gamma: Value = 0.01
    eps: Value = 1e-8
    clip_threshold: Value | None = 1.0
    update_interval: int = static(default=10)
    seed: Value = 0

    def __post_init__(self) -> None:
        check_betas(self.betas)
        check_range("gamma", self.gamma, at_least=0)
        check_range("eps", self.eps, above=0)
        if self.clip_threshold is not None:
            check_range("clip_threshold", self.clip_threshold, above=0)
        check_integer("update_interval", self.update_interval, at_least=1)
        check_whole("seed", self.seed, at_least=0)

    def init(self, params: PyTree) -> ScaleBySophiaState:
        # Raw data, not a typed key, so that it can be saved like any other array.
        key = jax.random.key_data(jax.random.key(self.seed, impl="threefry2x32"))
        return ScaleBySophiaState(
            step=jnp.zeros((), jnp.int32),
            key=key,
            exp_avg=zeros_like(params),
            hessian=zeros_like(params),
        )

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: ScaleBySophiaState,
        params: PyTree | None = None,
        *,
        value_fn: Callable[[PyTree], Any],
        **extra: Any,
    ) -> tuple[PyTree, ScaleBySophiaState]:
        params = require_params(params, updates, "sophia")
        beta1, beta2 = self.betas
        step = increment(state.step)
        updates, exp_avg = _sophia(
            updates,
            state.exp_avg,
            state.hessian,
            weight=1 - beta1,
            correction=one_minus_power(beta1, step),
            gamma=self.gamma,
            eps=self.eps,
            clip_threshold=self.clip_threshold,
        )

        def estimated() -> PyTree:
            key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
            key = jax.random.fold_in(key, state.step)
            product, signs = signed_product(value_fn, params, key)
            return _with_diagonal(state.hessian, product, signs, weight=1 - beta2)

        is_due = state.step % self.update_interval == 0
        hessian = lax.cond(is_due, estimated, lambda: state.hessian)
        return updates, ScaleBySophiaState(step, state.key, exp_avg, hessian)


@factory
def sophia(
    lr: Hyperparameter = 1e-4,
    betas: tuple[Hyperparameter, Hyperparameter] = (0.965, 0.99),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 1e-4,
    *,
    gamma: Hyperparameter = 0.01,
    clip_threshold: Hyperparameter | None = 1.0,
    update_interval: int = 10,
    seed: int | Array = 0,
    mask: Mask | None = None,
    maximize: bool = False,
) -> GradientTransformation:
    """Sophia-H: steps divided by the curvature, estimated every few steps, and clipped.

    ::

        m = betas[0] * m + (1 - betas[0]) * g
        d = m / (1 - betas[0]^t) / max(gamma * h, eps)
        d = min(max(d, -clip_threshold), clip_threshold)
        u = -lr * (d + weight_decay * p)
        h = betas[1] * h + (1 - betas[1]) * z * (H z)         (every update_interval
                                                               steps, from the first)

    ``H`` is the Hessian of ``value_fn`` and ``z`` is a tree of random signs. A new
    ``h`` is used from the next step on.

    ``value_fn``, an extra argument of `update`, is the loss as a function of only the
    parameters, on the batch of the gradients or another one::

        def value_fn(params):
            return loss(params, batch)

        updates, state = tx.update(grads, state, params, value_fn=value_fn)

    An estimate costs about as much as two gradients. If ``h`` is not above 0, as before
    the first estimate, an element moves by ``lr`` along its sign. `sophia_g` squares
    the gradients of sampled labels instead. This is optax's form, which corrects the
    mean for its start.

    **Arguments:**

    - ``lr``: the learning rate.
    - ``betas``: decay rates of the mean and of the estimates, each in [0, 1).
    - ``eps``: the smallest divisor, above 0.
    - ``weight_decay``: decoupled decay, in units of ``lr``.
    - ``gamma``: the factor of the curvature. The smaller it is, the more elements are
      clipped; the authors advise a value with which 10% to 50% are not.
    - ``clip_threshold``: the largest size of an element, above 0; None: no bound.
    - ``update_interval``: the number of steps that use one estimate.
    - ``seed``: an integer of at least 0, which `init` reads.
    - ``mask``: which parameters decay, see `assemble`; None: all of them.
    - ``maximize``: climb instead of descending: up the negative of ``value_fn``.

    All numbers except ``update_interval`` may be arrays or schedules.

    **State:** `ScaleBySophiaState`, its trees in the parameters' shapes and dtypes.

    **Complex parameters:** real and imaginary parts are treated as separate parameters;
    pass the conjugate of `jax.grad`'s result.

    **Raises:** `ValueError` for a number out of range, `TypeError` for an
    ``update_interval`` or a ``seed`` that is not an integer; at `update` `TypeError` if
    ``value_fn`` is missing, `ValueError` if ``params`` is.

    **Source:** Liu, Li, Hall, Liang and Ma, "Sophia: A Scalable Stochastic Second-order
    Optimizer for Language Model Pre-training", 2024,
    [arXiv:2305.14342](https://arxiv.org/abs/2305.14342).
    """
    return assemble(
        scale_by_sophia(betas, gamma, eps, clip_threshold, update_interval, seed),
        lr=lr,
        weight_decay=weight_decay,
        mask=mask,
        maximize=maximize,
    )
