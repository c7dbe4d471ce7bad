"""Averages of parameters over a run: stochastic weight averaging, moving averages.

Like `torch.optim.swa_utils`, over pytrees; the pure transformations are
`optifunc.average_parameters` and `optifunc.ema_parameters`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_function
from .._hyperparameters import Hyperparameter
from .._tree import (
    PyTree,
    check_shapes,
    compute_dtype,
    flatten_like,
    leaves_with_names,
    listed,
)
from ..transforms._averaging import moved_average, update_ema
from ._arrays import as_numpy, is_readable, unused_name
from ._checks import check_is_state_dict, entry_with
from .lr_scheduler._base import LRScheduler
from .lr_scheduler._groups import check_optimizer, get_number, one_for_each_group

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def __dir__() -> list[str]:
    return __all__


AverageFn: TypeAlias = Callable[[Array, Array, Any], Array]
MultiAverageFn: TypeAlias = Callable[[list[Array], list[Array], Any], list[Array]]


def get_ema_avg_fn(decay: Hyperparameter = 0.999) -> AverageFn:
    """An exponential moving average: ``decay * average + (1 - decay) * current``.

    **Arguments:**

    - ``decay``: the weight of the average, in [0, 1]; or a schedule, which is given the
      number of averaged models.

    **Returns:** a function of one averaged leaf, the current one and the number of
    averaged models.

    **Raises:** `ValueError` if ``decay`` is not in [0, 1].
    """
    return _ema(decay)


def get_swa_avg_fn() -> AverageFn:
    """The mean of all: ``average + (current - average) / (num_averaged + 1)``.

    **Returns:** a function of one averaged leaf, the current one and the number of
    averaged models.
    """
    return _mean_with


def get_ema_multi_avg_fn(decay: Hyperparameter = 0.999) -> MultiAverageFn:
    """Like `get_ema_avg_fn`, for lists of leaves.

    **Arguments:**

    - ``decay``: the weight of the average, in [0, 1]; or a schedule, which is given the
      number of averaged models.

    **Returns:** a function of the averaged leaves, the current ones and the number of
    averaged models, that returns the new averages.

    **Raises:** `ValueError` if ``decay`` is not in [0, 1].
    """
    return _ema(decay)


def get_swa_multi_avg_fn() -> MultiAverageFn:
    """Like `get_swa_avg_fn`, for lists of leaves.

    **Returns:** a function of the averaged leaves, the current ones and the number of
    averaged models, that returns the new averages.
    """
    return _mean_with


def _ema(decay: Hyperparameter) -> Callable[[Any, Any, Any], Any]:
    """`update_ema` as an averaging function for arrays and for lists."""
    _check_decay(decay)

    def average(averaged: Any, current: Any, num_averaged: Any) -> Any:
        kept = decay(num_averaged) if callable(decay) else decay
        return update_ema(current, averaged, kept)

    return average


def _check_decay(decay: Hyperparameter) -> None:
    if not callable(decay) and not 0 <= decay <= 1:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] "
            "range."
        )


def _mean_with(averaged: Any, current: Any, num_averaged: Any) -> Any:
    """The mean of all, as in `average_parameters`, for arrays and for lists."""
    return moved_average(averaged, current, weight=1 / (num_averaged + 1))


@partial(jax.jit, static_argnames=("avg_fn", "multi_avg_fn"))
def _averaged(
    averaged: list[Array],
    current: list[Array],
    num_averaged: int,
    avg_fn: AverageFn | None,
    multi_avg_fn: MultiAverageFn,
) -> list[Array]:
    """Average in at least float32, and round to the dtypes of the averages."""
    dtypes = [a.dtype for a in averaged]
    wide = [compute_dtype(dtype) for dtype in dtypes]
    averaged = list(map(lax.convert_element_type, averaged, wide))
    current = list(map(lax.convert_element_type, current, wide))
    if avg_fn is None:
        new = multi_avg_fn(averaged, current, num_averaged)
    else:
        pairs = zip(averaged, current, strict=True)
        new = [avg_fn(a, c, num_averaged) for a, c in pairs]
    return list(map(lax.convert_element_type, new, dtypes))


def _copied(tree: PyTree, device: Any) -> PyTree:
    return jax.tree.map(lambda x: jax.device_put(jnp.array(x, copy=True), device), tree)


def _placed_like(array: Any, like: Array) -> Array:
    """``array`` placed like ``like`` if that is bound to a device, else unchanged."""
    placed: Array = (
        jax.device_put(array, like.sharding) if like.committed else jnp.asarray(array)
    )
    return placed


def _check_like(tree: PyTree, reference: PyTree, names: tuple[str, str]) -> None:
    flatten_like(tree, reference, names)
    check_shapes(tree, reference, names)


class AveragedModel:
    """An average of a model's parameters, updated on request.

    The first update copies the parameters, and each later one applies the averaging
    function: by default the mean of all, which is stochastic weight averaging::

        averaged = AveragedModel(optimizer.params)
        for epoch in range(epochs):
            ...
            averaged.update_parameters(optimizer.params)
        predictions = apply(averaged.params, x)

    Averages are computed in at least float32 and kept in the original dtypes of
    ``params``.

    **Arguments:**

    - ``params``: a pytree of arrays, which is copied.
    - ``device``: a device or sharding to keep the averages on. By default, each average
      is placed like its parameter, and committed to that place only if the parameter
      is.
    - ``avg_fn``: ``(averaged leaf, current leaf, num_averaged) -> averaged leaf``.
    - ``multi_avg_fn``: the same for lists of leaves on the same devices.
    - ``use_buffers``: whether to average the buffers, too; otherwise the latest are
      kept.
    - ``buffers``: a pytree of a model's other arrays, such as the statistics of batch
      normalization.

    An averaging function is compiled: it must be pure, and ``num_averaged`` is traced.

    **Raises:** `AssertionError` (as in torch) if both functions are given.

    **Source:** Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
    Generalization", 2018, arXiv:1803.05407.
    """

    def __init__(
        self,
        params: PyTree,
        device: Any = None,
        avg_fn: AverageFn | None = None,
        multi_avg_fn: MultiAverageFn | None = None,
        use_buffers: bool = False,
        *,
        buffers: PyTree = None,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError(
                "Only one of avg_fn and multi_avg_fn should be provided"
            )
        self.params = _copied(params, device)
        self.buffers = _copied(buffers, device)
        self.n_averaged = 0
        self.use_buffers = use_buffers
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn

    def update_parameters(self, params: PyTree, buffers: PyTree = None) -> None:
        """Add ``params`` (and ``buffers``) to the average.

        **Arguments:**

        - ``params``: the current parameters, a pytree like that of the average.
        - ``buffers``: the current buffers, in the same form.

        **Raises:** `ValueError` if they differ in structure or shape from the average,
        which is then unchanged.
        """
        new_params = self._next(self.params, params, "params", True)
        self.buffers = self._next(self.buffers, buffers, "buffers", self.use_buffers)
        self.params = new_params
        self.n_averaged += 1

    def _next(
        self, averaged: PyTree, current: PyTree, name: str, is_average: bool
    ) -> PyTree:
        _check_like(current, averaged, (name, f"the averaged {name}"))
        structure: Any
        old, structure = jax.tree.flatten(averaged)
        pairs = zip(jax.tree.leaves(current), old, strict=True)
        new = [_placed_like(x, a) for x, a in pairs]
        if is_average and self.n_averaged:
            new = self._average(old, new)
        else:
            # Copies: the parameters may be donated to a compiled step.
            pairs = zip(new, old, strict=True)
            new = [jnp.array(x, a.dtype, copy=True) for x, a in pairs]
        return structure.unflatten(new)

    def _average(self, averaged: list[Array], current: list[Array]) -> list[Array]:
        # One program for the leaves on the same devices, because it runs only on those.
        groups: dict[Any, list[int]] = {}
        for i, x in enumerate(current):
            groups.setdefault(frozenset(x.sharding.device_set), []).append(i)
        averages: dict[int, Array] = {}
        for numbers in groups.values():
            new = _averaged(
                [averaged[i] for i in numbers],
                [current[i] for i in numbers],
                self.n_averaged,
                self.avg_fn,
                self.multi_avg_fn or _mean_with,
            )
            averages.update(zip(numbers, new, strict=True))
        return [averages[i] for i in range(len(current))]

    def state_dict(self, *, gather: bool = False) -> dict[str, Any]:
        """A dict with ``n_averaged``, ``module.<path>`` and ``buffers.<path>``.

        If two paths are written in the same way (``("a.b",)`` and ``("a", "b")``), a
        number is appended.

        **Arguments:**

        - ``gather``: whether to fetch the parts of arrays that other processes hold.
          All processes must then call this, and all get the whole arrays.
        """
        named = self._named_leaves()
        if gather:
            named = {
                name: x if is_readable(x) else as_numpy(x, gather=True)
                for name, x in named.items()
            }
        return {"n_averaged": np.array(self.n_averaged), **named}

    def _named_leaves(self) -> dict[str, Any]:
        named: dict[str, Any] = {}
        for prefix, tree in (("module", self.params), ("buffers", self.buffers)):
            for path, leaf in leaves_with_names(tree):
                name = f"{prefix}.{path}" if path else prefix
                named[unused_name(name, named)] = leaf
        return named

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`; its arrays may be NumPy, JAX or torch arrays.

        **Arguments:**

        - ``state_dict``: the result of `state_dict`, or a dict with the same keys.

        **Raises:** `ValueError` for a missing or unknown key, another shape, or an
        ``n_averaged`` that is not a count, `TypeError` if it is not a dict; nothing
        changes in that case.
        """
        check_is_state_dict(state_dict)
        own = self._named_leaves()
        known = {"n_averaged", *own}
        missing, surplus = known - set(state_dict), set(state_dict) - known
        if missing or surplus:
            faults = {"lacks": sorted(missing), "also has": sorted(surplus, key=str)}
            found = [
                f"{what} [{listed(keys)}]" for what, keys in faults.items() if keys
            ]
            raise ValueError(
                "state_dict must have the keys of this model: it "
                f"{' and '.join(found)}{entry_with(state_dict, known)}"
            )
        leaves = [_loaded(key, state_dict[key], old) for key, old in own.items()]
        n_averaged = as_numpy(state_dict["n_averaged"])
        if n_averaged.size != 1 or n_averaged.dtype.kind not in "iu" or n_averaged < 0:
            raise ValueError(
                "n_averaged must be the number of averaged models, found "
                f"{state_dict['n_averaged']!r}"
            )
        structure: Any = jax.tree.structure((self.params, self.buffers))
        self.params, self.buffers = structure.unflatten(leaves)
        self.n_averaged = int(n_averaged.item())


def _loaded(key: str, value: Any, old: Array) -> Array:
    """An array of a checkpoint in place of the average ``old``."""
    # An array that is partly on other processes' devices stays a JAX array.
    new: Any = as_numpy(value) if is_readable(value) else jnp.array(value, copy=True)
    if new.shape != old.shape:
        raise ValueError(
            f"state_dict has shape {new.shape} at {key!r}, expected {old.shape}"
        )
    return _placed_like(new.astype(old.dtype), old)


def update_bn(
    loader: Iterable[Any],
    model: AveragedModel,
    statistics_fn: Callable[[PyTree, Any], PyTree],
    device: Any = None,
) -> None:
    """Recompute the statistics of batch normalization for averaged parameters.

    ``model.buffers`` becomes the mean over all batches of ``statistics_fn(model.params,
    batch)``. Without batches, nothing changes.

    **Arguments:**

    - ``loader``: batches. If one is a tuple or list, its first entry is used, because
      torch's data loaders return inputs and targets.
    - ``model``: the averages, whose ``buffers`` are replaced.
    - ``statistics_fn``: ``(params, batch) -> statistics`` for one batch, a pytree of
      floating-point arrays like ``model.buffers``, if there are any yet. It is compiled
      once for each shape of batch.
    - ``device``: where to put each batch.

    **Raises:** `ValueError` if the statistics are not like ``model.buffers``,
    `TypeError` if ``statistics_fn`` is not a function.
    """
    check_function(
        "statistics_fn", statistics_fn, "update_bn(loader, model, statistics_fn)"
    )
    compiled = jax.jit(statistics_fn)
    mean: PyTree = None
    structure: Any
    for number, batch in enumerate(loader):
        if isinstance(batch, list | tuple):
            batch = batch[0]
        if device is not None:
            batch = jax.device_put(batch, device)
        statistics = compiled(model.params, batch)
        if number == 0:
            if model.buffers is not None:
                names = ("statistics", "model.buffers")
                _check_like(statistics, model.buffers, names)
            mean = statistics
        else:
            leaves, structure = jax.tree.flatten(mean)
            new = jax.tree.leaves(statistics)
            mean = structure.unflatten(_averaged(leaves, new, number, None, _mean_with))
    if mean is not None:
        model.buffers = mean


class SWALR(LRScheduler):
    """Anneal each group's learning rate to ``swa_lr``, and stay there.

    ::

        a_t  = (1 - cos(pi * p)) / 2 for "cos", p for "linear",  p = t / anneal_epochs
        lr_t = swa_lr * a_t + (lr_{t-1} - swa_lr * a_{t-1}) / (1 - a_{t-1}) * (1 - a_t)

    **Arguments:**

    - ``optimizer``: the optimizer whose groups' learning rates are set.
    - ``swa_lr``: the final learning rate: a number, or a list with one for each group.
    - ``anneal_epochs``: the number of epochs to get there; with 0, the first epoch
      already has ``swa_lr``.
    - ``anneal_strategy``: ``"cos"`` or ``"linear"``.
    - ``last_epoch``: the number of epochs done, or -1 to start.

    **Raises:** `ValueError` if ``swa_lr`` has another length, ``anneal_strategy`` is
    unknown, or ``anneal_epochs`` is not an integer of at least 0.
    """

    _anneal_strategy: str

    def __init__(
        self,
        optimizer: Any,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        swa_lrs = one_for_each_group("swa_lr", optimizer, swa_lr)
        _check_strategy(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(
                f"anneal_epochs must be equal or greater than 0, got {anneal_epochs!r}"
            )
        for group, value in zip(optimizer.param_groups, swa_lrs, strict=True):
            group["swa_lr"] = value
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """The share of ``swa_lr`` in the learning rate of a step."""
        fraction = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        if self._anneal_strategy == "linear":
            return fraction
        return (1 - math.cos(math.pi * fraction)) / 2

    def _next_lrs(self) -> list[float]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        lrs = []
        for group in self.optimizer.param_groups:
            end = get_number(group, "swa_lr")
            start = end
            if before != 1:
                start = (get_number(group, "lr") - before * end) / (1 - before)
            lrs.append(end * now + start * (1 - now))
        return lrs

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        _check_strategy(state_dict["_anneal_strategy"])


def _check_strategy(strategy: Any) -> None:
    if strategy not in ("cos", "linear"):
        raise ValueError(
            f"anneal_strategy must be one of 'cos' or 'linear', instead got {strategy}"
        )
