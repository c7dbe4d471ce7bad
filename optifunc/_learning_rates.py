"""What a search for a learning rate has found, and the picture of it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from ._plotting import require_pyplot

# Above the best rate, a run that gains less than this share of what the best one gains
# is not stable: it has diverged, or broken the model.
LEAST_SHARE = 0.5
# In a range test the loss is lowest shortly before it rises: Smith's advice.
BELOW_THE_LOWEST = 10.0


class LearningRateSearch(NamedTuple):
    """What `find_learning_rate` has found.

    It prints as the suggestion and its reason.

    **Fields:**

    - ``suggestion``: the learning rate to take; NaN if none lowers the loss.
    - ``reason``: why, in a sentence.
    - ``best``: the rate with the lowest final loss.
    - ``edge``: the stability edge: between the last stable rate and the next one, in
      their geometric middle. Infinite if all rates are stable, and 0 if none is.
    - ``rates``: [n], the rates tried, ascending.
    - ``losses``: the losses before each update: [n, steps] of a sweep, [n] of a range
      test.
    - ``final_losses``: [n], the means of the last tenth of each run, infinite for one
      that was not finite; of a range test, the smoothed losses.
    - ``start``: the loss of the parameters as they were, over the same batches.
    - ``stable``: bool [n]: a rate above the best one is stable if training with it
      lowers the loss by half of what the best one does, or more; a smaller one, if its
      losses are finite. If no rate lowers the loss, none is stable.
    - ``mode``: ``"sweep"`` or ``"range"``.
    """

    suggestion: float
    reason: str
    best: float
    edge: float
    rates: np.ndarray[Any, Any]
    losses: np.ndarray[Any, Any]
    final_losses: np.ndarray[Any, Any]
    start: float
    stable: np.ndarray[Any, Any]
    mode: Literal["sweep", "range"]

    def __str__(self) -> str:
        return f"learning rate {self.suggestion:.3g}: {self.reason}"

    def plot(self) -> Any:
        """Draw the losses over the learning rates, and over the steps of a sweep.

        **Returns:** a `matplotlib.figure.Figure`, with one or two axes.

        **Raises:** `ImportError` if matplotlib is not installed.
        """
        pyplot = require_pyplot("LearningRateSearch.plot")
        panels = 2 if self.mode == "sweep" else 1
        figure, axes = pyplot.subplots(
            1, panels, figsize=(5 * panels, 4), layout="constrained", squeeze=False
        )
        _draw_losses(axes[0, 0], self)
        if self.mode == "sweep":
            _draw_curves(pyplot, axes[0, 1], self)
        return figure


def _draw_losses(ax: Any, found: LearningRateSearch) -> None:
    """The final (or smoothed) losses over the rates, with what they tell."""
    if found.mode == "range":
        ax.plot(found.rates, found.losses, color="tab:blue", alpha=0.3)
    shown = np.where(np.isfinite(found.final_losses), found.final_losses, np.nan)
    marker = "o" if found.mode == "sweep" else ""
    ax.plot(found.rates, shown, marker=marker, markersize=4, color="tab:blue")
    ax.axhline(found.start, color="gray", linestyle=":", label="at the start")
    if 0 < found.edge < np.inf:
        ax.axvspan(found.edge, found.rates[-1], color="tab:red", alpha=0.12)
        ax.axvline(found.edge, color="tab:red", label=f"edge: {found.edge:.2g}")
    if np.isfinite(found.suggestion):
        label = f"suggestion: {found.suggestion:.2g}"
        ax.axvline(found.suggestion, color="tab:green", label=label)
    _limit_losses(ax, found)
    ax.set(xscale="log", xlim=(found.rates[0], found.rates[-1]))
    title = "loss at the end" if found.mode == "sweep" else "loss, smoothed"
    ax.set(xlabel="learning rate", ylabel=title)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)


def _draw_curves(pyplot: Any, ax: Any, found: LearningRateSearch) -> None:
    """The losses over the steps, a line a run."""
    from matplotlib.colors import LogNorm

    norm = LogNorm(found.rates[0], found.rates[-1])
    colors = pyplot.get_cmap("viridis")
    for rate, losses in zip(found.rates, found.losses, strict=True):
        window = max(1, len(losses) // 50)  # losses of single batches flicker
        means = np.convolve(losses, np.ones(window) / window, "valid")
        steps = np.arange(len(means)) + window
        ax.plot(steps, means, color=colors(norm(rate)), linewidth=1)
    _limit_losses(ax, found)
    ax.set(xlabel="step", ylabel="loss")
    mappable = pyplot.cm.ScalarMappable(norm, colors)
    ax.figure.colorbar(mappable, ax=ax, label="learning rate")


def _limit_losses(ax: Any, found: LearningRateSearch) -> None:
    """Show the losses from the lowest to a little above the start."""
    if np.isfinite(found.start):
        lowest = min(found.final_losses.min(), found.start)
        room = max(found.start - lowest, 1e-3 * abs(found.start))
        ax.set_ylim(lowest - 0.05 * room, found.start + 0.3 * room)


def judge_sweep(
    rates: np.ndarray[Any, Any],
    losses: np.ndarray[Any, Any],
    before: np.ndarray[Any, Any],
    safety: float,
) -> LearningRateSearch:
    """What the runs with constant rates say.

    **Arguments:**

    - ``rates``: [n], ascending.
    - ``losses``: [n, steps].
    - ``before``: [steps], the losses without training.
    - ``safety``: see `find_learning_rate`.
    """
    window = max(1, losses.shape[1] // 10)
    start = float(before[-window:].mean())
    finite = np.isfinite(losses).all(axis=1)
    # Zeros where the mean would warn.
    tails = np.where(finite[:, None], losses[:, -window:], 0).mean(axis=1)
    finals = np.where(finite, tails, np.inf)
    gains = start - finals
    i = int(np.argmin(finals))
    best, final, gain = float(rates[i]), float(finals[i]), float(gains[i])
    stable = _stable(gains, i)
    edge = _edge(rates, stable)
    if not gain > 0:
        suggestion, reason = np.nan, _no_gain(rates, start)
    elif best <= edge / safety:
        suggestion = best
        reason = f"the lowest loss at the end, {final:.3g} from {start:.3g}"
        if edge < np.inf:
            reason += f"; training is stable up to {edge:.3g}"
        if i in (0, len(rates) - 1):
            which = "smallest" if i == 0 else "largest"
            reason += f"; it is the {which} rate tried, so others may be better"
    else:
        suggestion = edge / safety
        reason = (
            f"the lowest loss at the end, {final:.3g} from {start:.3g}, is at "
            f"{best:.3g}, too close to the stability edge at {edge:.3g}; this is the "
            f"edge divided by {safety:g}"
        )
    return LearningRateSearch(
        float(suggestion),
        reason,
        best,
        edge,
        rates,
        losses,
        finals,
        start,
        stable,
        "sweep",
    )


def judge_range(
    rates: np.ndarray[Any, Any],
    losses: np.ndarray[Any, Any],
    before: np.ndarray[Any, Any],
) -> LearningRateSearch:
    """What one run with a growing rate says; arguments as those of `judge_sweep`."""
    start = float(before.mean())
    # Without what the batches differ by themselves.
    changes = _smoothed(losses - before)
    smoothed = np.where(np.isfinite(changes), start + changes, np.inf)
    i = int(np.argmin(smoothed))
    best, gain = float(rates[i]), start - smoothed[i]
    stable = _stable(start - smoothed, i)
    edge = _edge(rates, stable)
    if gain > 0:
        suggestion = best / BELOW_THE_LOWEST
        reason = (
            f"a tenth of {best:.3g}, where the loss is lowest, {smoothed[i]:.3g} from "
            f"{start:.3g}"
        )
    else:
        suggestion, reason = np.nan, _no_gain(rates, start)
    return LearningRateSearch(
        float(suggestion),
        reason,
        best,
        edge,
        rates,
        losses,
        smoothed,
        start,
        stable,
        "range",
    )


def _no_gain(rates: np.ndarray[Any, Any], start: float) -> str:
    if not np.isfinite(start):
        return f"the loss is {start} before any update"
    return (
        f"no rate from {rates[0]:.3g} to {rates[-1]:.3g} lowers the loss; try smaller "
        "ones or more steps, and check that the updates descend"
    )


def _stable(gains: np.ndarray[Any, Any], best: int) -> np.ndarray[Any, Any]:
    """Which rates are stable, by how much they lower the loss."""
    if not gains[best] > 0:
        return np.zeros(len(gains), bool)
    stable: np.ndarray[Any, Any] = gains >= LEAST_SHARE * gains[best]
    # Smaller rates are slow, if anything.
    stable[:best] = np.isfinite(gains[:best])
    return stable


def _edge(rates: np.ndarray[Any, Any], stable: np.ndarray[Any, Any]) -> float:
    """Between the last rate before the first one that is not stable, and that one."""
    if stable.all():
        return np.inf
    first = int(np.argmin(stable))
    return float(np.sqrt(rates[first - 1] * rates[first])) if first else 0.0


def _smoothed(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Exponential averages over about a twentieth of the values, without bias."""
    weight = min(1.0, 20 / len(values))
    averages, average, total = [], 0.0, 0.0
    for value in values.tolist():
        average += weight * (value - average)
        total += weight * (1 - total)
        averages.append(average / total)
    return np.array(averages)
