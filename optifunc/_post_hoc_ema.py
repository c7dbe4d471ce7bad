"""Averages of parameters, chosen after training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._soups import weighted_sum
from ._tree import PyTree


def power_ema_gamma(std: float) -> float:
    """The exponent ``gamma`` of a power-function average of a relative width.

    The largest root of ``std**2 = (gamma + 1) / ((gamma + 2)**2 * (gamma + 3))``.

    **Arguments:**

    - ``std``: the standard deviation of the average's weights over the steps, as a
      fraction of the steps so far; above 0 and at most ``12**-0.5``, that of the plain
      mean.

    **Returns:** ``gamma``, for `schedules.power_ema_decay`.

    **Raises:** `ValueError` if ``std`` is out of range.

    **Source:** see `post_hoc_ema`.
    """
    if not 0 < std <= 12**-0.5 * (1 + 1e-12):
        raise ValueError(f"std must be above 0 and at most 12**-0.5, found {std!r}")
    s = float(std) ** -2
    roots = np.roots([1, 7, 16 - s, 12 - s])
    return max(float(np.real(roots).max()), 0.0)


def post_hoc_ema_weights(
    stds: Sequence[float], steps: Sequence[int], std: float, step: int
) -> np.ndarray:
    """The weights that combine stored averages into another average.

    **Arguments:**

    - ``stds``: the relative width of each stored average.
    - ``steps``: the number of updates after which each was stored.
    - ``std``: the desired relative width.
    - ``step``: the number of updates for which the average is wanted, at most the
      largest of ``steps``.

    **Returns:** float64 [number of averages], with sum 1: the weights that minimize the
    squared distance between the two profiles.

    **Raises:** `ValueError` for sequences of different or no length, and for numbers
    out of range.

    **Source:** that of `post_hoc_ema`.
    """
    if len(stds) != len(steps) or not len(stds):
        raise ValueError(
            "stds and steps must have one number for each average, found "
            f"{len(stds)} and {len(steps)}"
        )
    if min(*steps, step) < 1 or step > max(steps):
        raise ValueError(
            f"step must be at least 1 and at most the last of steps, found {step!r} "
            f"with steps {list(steps)}"
        )
    gammas = np.array([power_ema_gamma(x) for x in stds])
    times = np.asarray(steps, np.float64)
    products = _profile_product(
        gammas[:, None], times[:, None], gammas[None], times[None]
    )
    wanted = _profile_product(gammas, times, power_ema_gamma(std), float(step))
    weights = np.linalg.lstsq(products, wanted, rcond=None)[0]
    return np.asarray(weights / weights.sum())


def _profile_product(
    gamma_a: np.ndarray,
    t_a: np.ndarray,
    gamma_b: np.ndarray | float,
    t_b: np.ndarray | float,
) -> np.ndarray:
    """The integral of the product of two profiles."""
    exponent = np.where(t_a < t_b, gamma_b, -gamma_a)
    scale = (gamma_a + 1) * (gamma_b + 1) * (t_a / t_b) ** exponent
    return np.asarray(scale / ((gamma_a + gamma_b + 1) * np.maximum(t_a, t_b)))


def post_hoc_ema(
    averages: Sequence[PyTree],
    stds: Sequence[float],
    steps: Sequence[int],
    std: float,
    step: int | None = None,
) -> PyTree:
    """A power-function average of any width, from a few stored during training.

    ::

        sum_i w_i * averages[i],   w = post_hoc_ema_weights(stds, steps, std, step)

    Keep two averages during training, and store them every few thousand updates::

        def average(std):
            gamma = of.power_ema_gamma(std)
            return of.ema_parameters(of.schedules.power_ema_decay(gamma))

        tx = of.chain(adam=of.adam(), narrow=average(0.05), wide=average(0.1))
        ...
        stored.append((state["narrow"], state["wide"]))

    **Arguments:**

    - ``averages``: trees with the same structure and shapes.
    - ``stds``: the relative width of each of them (0.05 and 0.1 above).
    - ``steps``: the number of updates after which each was stored.
    - ``std``: the desired relative width.
    - ``step``: the number of updates for which the average is wanted, by default the
      largest of ``steps``.

    **Returns:** a tree in the dtypes of ``averages[0]``, summed in at least float32.

    **Raises:** `ValueError` if the trees differ; also see `post_hoc_ema_weights`.

    **Source:** Karras et al., "Analyzing and improving the training dynamics of
    diffusion models", 2024, [arXiv:2312.02696](https://arxiv.org/abs/2312.02696).
    """
    if len(averages) != len(stds):
        raise ValueError(
            "averages and stds must have one entry for each average, found "
            f"{len(averages)} and {len(stds)}"
        )
    last = max(steps, default=0) if step is None else step
    weights = post_hoc_ema_weights(stds, steps, std, last)
    return weighted_sum(averages, weights.tolist(), "averages")
