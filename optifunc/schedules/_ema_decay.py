"""Decay rates of moving averages that rise during a run."""

from __future__ import annotations

from typing import Any, Literal

import jax.numpy as jnp
from jax import Array

from .._checks import check_choice
from .._dataclass import static
from .._numerics import Scalar, as_scalar
from ._arguments import Count, as_count, check_count, check_number
from ._base import Schedule, as_step, schedule


@schedule
class ema_decay_warmup(Schedule):
    """A decay rate that rises from 0, for an average that forgets its beginning.

    ::

        value(t) = min(max(f(s), min_decay), decay),  s = t - start
        f(s) = 1 - (1 + s / inv_gamma)**-power  for "power"
             = (1 + s) / (10 + s)               for "ratio"

    and 0 for ``t <= start``, where the average is a copy of the parameters. Use it for
    `ema_parameters`, with the same ``start``.

    **Arguments:**

    - ``decay``: the largest value, in [0, 1].
    - ``form``: ``"power"``, as in diffusers with ``use_ema_warmup``, ema-pytorch and
      timm; or ``"ratio"``, as in diffusers without it. TensorFlow's ``num_updates`` is
      the ratio without the initial copy.
    - ``inv_gamma``: the scale of ``t``, above 0.
    - ``power``: how fast it rises, above 0: 2/3 for runs of a million steps, 3/4 for
      shorter ones.
    - ``min_decay``: the smallest value after ``start``, in [0, 1].
    - ``start``: the number of updates to skip first, an integer.

    **Raises:** `ValueError` for a number out of range or an unknown ``form``,
    `TypeError` if ``start`` is not an integer.

    **Source:** `EMAModel` of [diffusers](https://github.com/huggingface/diffusers).
    """

    decay: Scalar = 0.9999
    form: Literal["power", "ratio"] = static(default="power")
    inv_gamma: Scalar = 1.0
    power: Scalar = 2 / 3
    min_decay: Scalar = 0.0
    start: Count = 0

    def __post_init__(self) -> None:
        check_number("decay", self.decay, at_least=0, at_most=1)
        check_choice("form", self.form, ("power", "ratio"))
        check_number("inv_gamma", self.inv_gamma, above=0)
        check_number("power", self.power, above=0)
        check_number("min_decay", self.min_decay, at_least=0, at_most=1)
        check_count("start", self.start, at_least=0)

    def __call__(self, step: Any) -> Array:
        s = as_scalar(jnp.maximum(as_step(step) - as_count(self.start), 0))
        if self.form == "power":
            growth = jnp.log1p(s / as_scalar(self.inv_gamma))
            value = -jnp.expm1(-as_scalar(self.power) * growth)
        else:
            value = (1 + s) / (10 + s)
        value = jnp.maximum(value, as_scalar(self.min_decay))
        value = jnp.minimum(value, as_scalar(self.decay))
        return jnp.where(s > 0, value, 0)


@schedule
class ema_half_life(Schedule):
    """The decay rate of an average with a given half-life.

    ::

        value(t) = 0.5**(batch_size / min(half_life, rampup_ratio * seen))
        seen = (t + 1) * batch_size

    In units of examples, the half-life does not depend on the batch size. Early in a
    run, it is a fraction of the examples seen so far, so the average forgets its
    beginning. Use it for `ema_parameters`.

    **Arguments:**

    - ``half_life``: the number of examples after which a parameter counts half, above
      0.
    - ``batch_size``: the number of examples per update, above 0; with 1, ``half_life``
      is a number of updates.
    - ``rampup_ratio``: the largest half-life as a fraction of the examples seen, above
      0; infinite: ``half_life`` from the beginning.

    **Raises:** `ValueError` for a number out of range.

    **Source:** `TraditionalEMA` of [edm2](https://github.com/NVlabs/edm2); Karras et
    al., "Elucidating the Design Space of Diffusion-Based Generative Models", 2022,
    [arXiv:2206.00364](https://arxiv.org/abs/2206.00364).
    """

    half_life: Scalar
    batch_size: Scalar = 1.0
    rampup_ratio: Scalar = 0.09

    def __post_init__(self) -> None:
        check_number("half_life", self.half_life, above=0)
        check_number("batch_size", self.batch_size, above=0)
        check_number("rampup_ratio", self.rampup_ratio, above=0)

    def __call__(self, step: Any) -> Array:
        seen = as_scalar(as_step(step)) + 1
        # In updates: a product with the batch size could be infinite.
        updates = as_scalar(self.half_life) / as_scalar(self.batch_size)
        updates = jnp.minimum(updates, as_scalar(self.rampup_ratio) * seen)
        return jnp.exp2(-1 / updates)


@schedule
class power_ema_decay(Schedule):
    """The decay rate of a power-function average: ``(1 - 1/(t+1))**(gamma+1)``.

    The average's weights are proportional to ``(step / t)**gamma``, so it always covers
    the same fraction of the run. Use it for `ema_parameters`; `post_hoc_ema` computes
    any other such average from a few.

    **Arguments:**

    - ``gamma``: the exponent of the weights, at least 0; `power_ema_gamma` computes it
      from a relative width.

    **Raises:** `ValueError` if ``gamma`` is negative.

    **Source:** Karras et al., "Analyzing and improving the training dynamics of
    diffusion models", 2024, [arXiv:2312.02696](https://arxiv.org/abs/2312.02696).
    """

    gamma: Scalar

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, at_least=0)

    def __call__(self, step: Any) -> Array:
        t = as_scalar(as_step(step))
        # log(1 - 1/(t + 1)), accurate to rounding even for a large t.
        shrinkage = -jnp.log1p(1 / jnp.maximum(t, 1))
        value = jnp.exp((as_scalar(self.gamma) + 1) * shrinkage)
        return jnp.where(t > 0, value, 0)


@schedule
class polynomial_ema_decay(Schedule):
    """The decay rate of a polynomial average: ``1 - (gamma+1) / (t+1 + gamma)``.

    With ``gamma=0``, the average is the plain mean; the larger ``gamma``, the more the
    latest parameters count. Use it for `ema_parameters`.

    **Arguments:**

    - ``gamma``: the degree, at least 0; for `dog`, use 8.

    **Raises:** `ValueError` if ``gamma`` is negative.

    **Source:** Shamir and Zhang, "Stochastic gradient descent for non-smooth
    optimization", 2013, [arXiv:1212.1824](https://arxiv.org/abs/1212.1824).
    """

    gamma: Scalar = 8.0

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, at_least=0)

    def __call__(self, step: Any) -> Array:
        t, gamma = as_scalar(as_step(step)), as_scalar(self.gamma)
        return t / (t + 1 + gamma)
