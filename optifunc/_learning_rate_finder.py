"""Find a learning rate by training with many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ._checks import check_choice, check_function, check_integer, check_range
from ._gradients import value_and_gradient
from ._hyperparameters import replace_hyperparameters
from ._learning_rates import LearningRateSearch, judge_range, judge_sweep
from ._numerics import as_scalar
from ._transformation import GradientTransformation, apply_updates
from ._tree import PyTree, leaves_with_names
from .wrappers._scheduled import as_transformation

# Makes the transformation with a learning rate.
Build: TypeAlias = Callable[[Array], GradientTransformation]
RATES = tuple(np.geomspace(1e-6, 10, 29).tolist())  # four a decade


def find_learning_rate(
    tx: Any,
    loss_fn: Callable[[PyTree, Any], Any],
    params: PyTree,
    batches: PyTree,
    *,
    rates: Sequence[float] | Array | None = None,
    mode: Literal["sweep", "range"] = "sweep",
    steps: int | None = None,
    chunk_size: int | None = None,
    name: str = "lr",
    safety: float = 2.0,
) -> LearningRateSearch:
    """Train with many learning rates at once, and suggest one.

    A sweep trains from ``params`` once with each rate, all in one compiled program: a
    `jax.vmap` over the rates of a `jax.lax.scan` over the batches::

        found = of.find_learning_rate(of.adamw(), loss_fn, params, batches)
        print(found)
        tx = of.adamw(lr=found.suggestion)
        found.plot()

    The suggestion is the rate with the lowest loss at the end of its run, but at
    most the stability edge divided by ``safety``. The edge is the rate, above the best
    one, at which training begins to gain less than half as much as the best rate does.
    For gradient descent on a quadratic function whose largest curvature is L, it is 2 /
    L, and 2 * (1 + momentum) / L with momentum, if the runs are long enough.

    A range test is one run in which the rate grows from the first to the last of
    ``rates`` by the same factor in each step. It is as cheap as a single training run,
    but cruder. It suggests a tenth of the rate at which the smoothed loss is lowest;
    the edge that it reports is too high, because divergence takes a while to show.

    A short run favors larger rates than a long one, and no schedule is applied.

    **Arguments:**

    - ``tx``: a transformation with a learning rate; or a function of the learning
      rate that returns one, ours or optax's: ``lambda lr: optax.adam(lr)``. optax's
      transformations hide their learning rate, so they need the function.
    - ``loss_fn``: a function of the parameters and a batch; returns a scalar. It is
      also given to ``tx`` as ``value_fn``, with its ``value`` and ``grad``.
    - ``params``: the initial parameters of each run.
    - ``batches``: a pytree whose leaves have the batches along their first axis; or an
      iterator of batches, such as a generator, which is exhausted.
    - ``rates``: the rates to try, positive and ascending, at least two; by default 29
      from 1e-6 to 10.
    - ``mode``: ``"sweep"`` or ``"range"``.
    - ``steps``: updates of each run; by default the number of batches. If there are
      more, the batches are used again, in order.
    - ``chunk_size``: how many runs of a sweep are trained at once; None: all. Memory
      for parameters, state and differentiating the loss grows with it.
    - ``name``: the name of the learning rate, as in `replace_hyperparameters`:
      ``"decoder.lr"`` for one of several. To sweep several together, pass a function.
    - ``safety``: how far below the edge to stay, at least 1.

    **Returns:** a `LearningRateSearch`.

    **Raises:** `ValueError` for an argument out of range, for batches of different
    numbers, and for a ``name`` that ``tx`` does not have; `TypeError` for a ``tx`` of
    optax, or one that is neither a transformation nor a function, and for a
    ``loss_fn`` that is not a function.

    **Source:** the range test: Smith, "Cyclical Learning Rates for Training Neural
    Networks", 2017, [arXiv:1506.01186](https://arxiv.org/abs/1506.01186).
    """
    call = "find_learning_rate(tx, loss_fn, params, batches)"
    check_function("loss_fn", loss_fn, call)
    check_choice("mode", mode, ("sweep", "range"))
    check_range("safety", safety, at_least=1)
    if chunk_size is not None:
        check_integer("chunk_size", chunk_size, at_least=1)
    tried = _checked_rates(RATES if rates is None else rates)
    build = _build(tx, name)
    # Check now, so that a wrong name is reported here and not deep inside the sweep.
    jax.eval_shape(lambda rate: build(rate).init(params), as_scalar(tried[0]))
    batches = _stacked(batches)
    number = _number_of_batches(batches)
    steps = number if steps is None else steps
    check_integer("steps", steps, at_least=1)
    if mode == "range":
        check_integer("steps", steps, at_least=2)
        tried = np.geomspace(tried[0], tried[-1], steps)
        each = tried[None]
    else:
        each = np.broadcast_to(tried[:, None], (len(tried), steps))

    program = jax.jit(partial(_losses_of_all, build, loss_fn, chunk_size))
    order = jnp.arange(steps) % number
    found = program(params, batches, order, as_scalar(each))
    before, losses = (np.asarray(x, np.float64) for x in found)
    if mode == "range":
        return judge_range(tried, losses[0], before)
    return judge_sweep(tried, losses, before, float(safety))


def _losses_of_all(
    build: Build,
    loss_fn: Callable[[PyTree, Any], Any],
    chunk_size: int | None,
    params: PyTree,
    batches: PyTree,
    order: Array,
    rates: Array,
) -> tuple[Array, Array]:
    """The losses without training, and those of each row of ``rates``."""
    before = lax.map(lambda batch: as_scalar(loss_fn(params, batch)), batches)
    run = partial(_losses_of_run, build, loss_fn, params, batches, order)
    if chunk_size is None or chunk_size >= len(rates):
        return before[order], jax.vmap(run)(rates)
    return before[order], lax.map(run, rates, batch_size=chunk_size)


def _losses_of_run(
    build: Build,
    loss_fn: Callable[[PyTree, Any], Any],
    params: PyTree,
    batches: PyTree,
    order: Array,
    rates: Array,
) -> Array:
    """The loss before each update of one training run."""

    def step(carry: tuple[PyTree, PyTree], now: tuple[Array, Array]) -> Any:
        params, state = carry
        batch = jax.tree.map(lambda leaf: leaf[now[0]], batches)

        def value_fn(params: PyTree) -> Any:
            return loss_fn(params, batch)

        value, grads = value_and_gradient(value_fn)(params)
        extra = {"value": value, "grad": grads, "value_fn": value_fn}
        updates, state = build(now[1]).update(grads, state, params, **extra)
        return (apply_updates(params, updates), state), as_scalar(value)

    start = params, build(rates[0]).init(params)
    losses: Array = lax.scan(step, start, (order, rates))[1]
    return losses


def _build(tx: Any, name: str) -> Build:
    """A function that makes ``tx`` with a learning rate."""
    if isinstance(tx, GradientTransformation):
        return lambda rate: replace_hyperparameters(tx, **{name: rate})
    if callable(getattr(tx, "update", None)):
        raise TypeError(
            "find_learning_rate cannot see the learning rate inside a transformation "
            "from elsewhere, such as optax's; pass a function of the learning rate: "
            "lambda lr: optax.adam(lr)"
        )
    if not callable(tx):
        raise TypeError(
            "tx must be a transformation or a function of the learning rate that "
            f"returns one, found {tx!r}"
        )
    return lambda rate: as_transformation(tx(rate))


def _checked_rates(rates: Any) -> np.ndarray[Any, Any]:
    found = np.asarray(rates, np.float64)
    is_ascending = found.ndim == 1 and found.size > 1 and (np.diff(found) > 0).all()
    if not is_ascending or not (found > 0).all() or not np.isfinite(found).all():
        raise ValueError(
            "rates must be two or more numbers above 0, ascending; found "
            f"{np.array2string(found, threshold=6)}"
        )
    return found


def _stacked(batches: PyTree) -> PyTree:
    """The batches of an iterator, along a new first axis."""
    if not isinstance(batches, Iterator):
        return batches
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)


def _number_of_batches(batches: PyTree) -> int:
    sizes = {
        path: np.shape(leaf)[0] if np.ndim(leaf) else 0
        for path, leaf in leaves_with_names(batches)
    }
    if len({*sizes.values()}) != 1 or 0 in sizes.values():
        raise ValueError(
            "the leaves of batches must have the batches along their first axis, the "
            f"same number in each and at least one; found {sizes}"
        )
    number: int = next(iter(sizes.values()))
    return number
