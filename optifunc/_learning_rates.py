"""The result of a search for a learning rate, and its plot."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from ._plotting import require_pyplot

# Above the best rate, a run that gains less than this share of the best gain is not
# stable: it has diverged, or broken the model.
LEAST_SHARE = 0.5
# In a range test the loss is lowest shortly before it rises: Smith's advice.
BELOW_THE_LOWEST = 10.0


class LearningRateSearch(NamedTuple):
    """The result of `find_learning_rate`.

    It prints as the suggestion and its reason.

    **Fields:**

    - ``suggestion``: the learning rate to use; NaN if none lowers the loss.
    - ``reason``: a sentence that explains it.
    - ``best``: the rate with the lowest final loss.
    - ``edge``: the stability edge: the geometric mean of the last stable rate and
      the next one. Infinite if all rates are stable, and 0 if none is.
    - ``rates``: [n], the rates tried, ascending.
    - ``losses``: the losses before each update: [n, steps] for a sweep, [n] for a range
      test.
    - ``final_losses``: [n], the mean of the last tenth of each run, infinite if it was
      not finite; for a range test, the smoothed losses.
    - ``start``: the loss of the initial parameters, over the same batches.
    - ``stable``: bool [n]: a rate above the best one is stable if training with it
      lowers the loss by at least half as much as the best one does; a smaller one, if
      its losses are finite. If no rate lowers the loss, none is stable.
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
        """Plot the losses against the learning rates, and against a sweep's steps.

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
            _draw_runs(pyplot, axes[0, 1], self)
        return figure


def _draw_losses(ax: Any, found: LearningRateSearch) -> None:
    """Plot the final (or smoothed) losses against the rates, with the findings."""
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


def _draw_runs(pyplot: Any, ax: Any, found: LearningRateSearch) -> None:
    """Draw the losses over the steps, one column per run, gray if not finite."""
    runs, steps = found.losses.shape
    window = max(1, steps // 50)  # losses of single batches are noisy
    rows = steps // window
    parts = found.losses[:, : rows * window].reshape(runs, rows, window)
    means = np.ma.masked_invalid(parts.mean(axis=2))
    # Each column is about its learning rate, on an axis of logarithms.
    logs = np.log(found.rates)
    inner = (logs[1:] + logs[:-1]) / 2
    edges = np.exp([2 * logs[0] - inner[0], *inner, 2 * logs[-1] - inner[-1]])
    lowest, highest = _limits(found) or (0.0, 1.0)
    colors = pyplot.get_cmap("viridis_r").with_extremes(bad="0.6")
    mesh = ax.pcolormesh(
        edges,
        window * np.arange(rows + 1),
        means.T,
        cmap=colors,
        vmin=lowest,
        vmax=highest,
    )
    ax.grid(visible=False)
    ax.set(xscale="log", xlabel="learning rate", ylabel="step")
    ax.figure.colorbar(mesh, ax=ax, label="loss", extend="max")


def _limit_losses(ax: Any, found: LearningRateSearch) -> None:
    """Show the losses from the lowest to a little above the start."""
    limits = _limits(found)
    if limits is not None:
        ax.set_ylim(limits)


def _limits(found: LearningRateSearch) -> tuple[float, float] | None:
    """The losses to show; None if those at the start are not finite."""
    if not np.isfinite(found.start):
        return None
    lowest = min(found.final_losses.min(), found.start)
    room = max(found.start - lowest, 1e-3 * abs(found.start))
    return lowest - 0.05 * room, found.start + 0.3 * room


def judge_sweep(
    rates: np.ndarray[Any, Any],
    losses: np.ndarray[Any, Any],
    before: np.ndarray[Any, Any],
    safety: float,
) -> LearningRateSearch:
    """Judge runs with constant rates.

    **Arguments:**

    - ``rates``: [n], ascending.
    - ``losses``: [n, steps].
    - ``before``: [steps], the losses without training.
    - ``safety``: see `find_learning_rate`.
    """
    window = max(1, losses.shape[1] // 10)
    start = float(before[-window:].mean())
    finite = np.isfinite(losses).all(axis=1)
    # Zeros where the mean would emit a warning.
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
    """Judge one run with a growing rate; the arguments are those of `judge_sweep`."""
    start = float(before.mean())
    # Subtract the differences between batches.
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
    # Smaller rates can only be slow.
    stable[:best] = np.isfinite(gains[:best])
    return stable


def _edge(rates: np.ndarray[Any, Any], stable: np.ndarray[Any, Any]) -> float:
    """The geometric mean of the last stable rate and the first unstable one."""
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
