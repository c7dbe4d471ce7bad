"""LBFGS."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._transformation import GradientTransformation, State, apply_updates
from .._tree import PyTree
from ..optimizers._lbfgs import StepByLbfgsState, lbfgs
from ._checks import check_lr, require
from ._cohorts import Cohort
from ._optimizer import Optimizer, hooked
from ._parameters import Group


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _minimise(
    closure: Callable[..., Any],
    tx: GradientTransformation,
    state: State,
    params: PyTree,
    args: tuple[Any, ...],
) -> tuple[PyTree, State, Any]:
    def value_fn(params: PyTree) -> Any:
        loss = closure(params, *args)
        if loss is None:
            raise TypeError(
                "the closure given to LBFGS must return the loss, found None"
            )
        return loss

    value, grads = jax.value_and_grad(value_fn)(params)
    grads = jax.tree.map(jnp.conj, grads)
    updates, state = tx.update(grads, state, params, value_fn=value_fn, value=value)
    return apply_updates(params, updates), state, value


class LBFGS(Optimizer):
    """`torch.optim.LBFGS`: limited-memory BFGS; `optifunc.lbfgs`, stateful.

    The closure is a pure function of the parameters, which one compiled program
    evaluates as often as it needs to::

        loss = optimizer.step(loss_fn, inputs, targets)    # loss_fn(params, ...)

    It is compiled once for each function and shape of the arguments after it.

    **Arguments:** ``params``, and the flags that choose an implementation: as of
    `Optimizer`; the others: as of `lbfgs`.

    **Raises:** `ValueError` for a learning rate out of range and for several groups;
    at the step `RuntimeError` for an unknown ``line_search_fn``, `TypeError` for a
    closure that is missing or returns nothing.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        self._check_one_group(len(self.param_groups))

    @staticmethod
    def _check_one_group(count: int) -> None:
        require(
            count == 1,
            "LBFGS doesn't support per-parameter options (parameter groups)",
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Not supported: the parameters are one vector."""
        self._check_one_group(len(self.param_groups) + 1)

    def _transformation(self, group: Group) -> GradientTransformation:
        require(
            group["line_search_fn"] in (None, "strong_wolfe"),
            "only 'strong_wolfe' is supported",
            RuntimeError,
        )
        return lbfgs(
            group["lr"],
            group["max_iter"],
            group["max_eval"],
            group["tolerance_grad"],
            group["tolerance_change"],
            group["history_size"],
            group["line_search_fn"],
        )

    @hooked
    def step(self, closure: Callable[..., Any], *args: Any) -> Any:
        """Minimise ``closure(params, *args)`` by up to ``max_iter`` iterations.

        **Returns:** the loss before the first of them.
        """
        if not callable(closure):
            raise TypeError(
                "LBFGS needs a closure, a function of the parameters that returns the "
                f"loss; found {closure!r}"
            )

        def run(tx: Any, state: Any, params: Any) -> Any:
            return _minimise(closure, tx, state, params, args)

        return self._advance([True] * len(self._gradients), run)

    def compile_step(
        self, loss_fn: Callable[..., Any], *, has_aux: bool = False
    ) -> Callable[..., Any]:
        """``train_step(*batch) -> loss``: `step` with this closure.

        **Raises:** `ValueError` with ``has_aux``: there are several evaluations.
        """
        require(not has_aux, "LBFGS evaluates several times and can return no aux")
        return partial(self.step, loss_fn)

    @property
    def state(self) -> dict[int, dict[str, Any]]:
        """The one state, under the number of the first parameter, in torch's layout.

        Histories are lists, the oldest first: copies, as NumPy arrays.
        """
        if not self._cohorts:
            return {}
        (cohort,) = self._cohorts
        if cohort.tx is None:
            tx = self._transformations()[0]
            cohort = self._fitted(cohort, tx, self.params)
        (state,) = jax.tree.map(np.array, cohort.state)
        return {0: _as_torch(state)}

    def _in_own_order(
        self, state: dict[int, Any], before: Sequence[int]
    ) -> dict[int, Any]:
        # The one state is that of the checkpoint's first parameter, and its vectors are
        # all parameters', one after the other.
        first = before[0]
        if first not in state:
            return {}
        numbers = [
            np.arange(leaf.size * (2 if jnp.iscomplexobj(leaf) else 1))
            for leaf in jax.tree.leaves(self.params)
        ]
        starts = dict.fromkeys(before, 0)
        end = 0
        for i in before:
            starts[i] = end
            end += len(numbers[i])
        order = np.concatenate([starts[i] + part for i, part in enumerate(numbers)])

        def ordered(value: Any) -> Any:
            if isinstance(value, list):
                return [ordered(x) for x in value]
            # One of another length is refused later.
            return value[order] if np.shape(value) == order.shape else value

        vectors = ("d", "old_dirs", "old_stps", "prev_flat_grad")
        return {
            0: {k: ordered(x) if k in vectors else x for k, x in state[first].items()}
        }

    def _loaded_cohorts(
        self,
        state: Mapping[int, Mapping[str, Any]],
        transformations: Sequence[GradientTransformation],
    ) -> list[Cohort]:
        if not state.get(0):
            return []
        (template,) = transformations[0].init(self.params)
        loaded = (_from_torch(state[0], template),)
        members = tuple(range(len(self._gradients)))
        return [Cohort(0, members, 0, transformations[0], loaded)]

    def _plan(
        self, present: Sequence[bool]
    ) -> tuple[list[Cohort], list[Cohort], list[int]]:
        # All parameters share the state of the first.
        if self._cohorts:
            self._order = list(range(len(present)))
        return super()._plan(present)


def _as_torch(state: StepByLbfgsState) -> dict[str, Any]:
    """The state as torch keeps it."""
    entry: dict[str, Any] = {
        "func_evals": int(state.func_evals),
        "n_iter": int(state.n_iter),
    }
    if not state.n_iter:
        return entry
    size = len(state.ro)
    pairs = int(state.num_pairs)
    used = min(pairs, size)
    rows = [i % size for i in range(pairs - used, pairs)]
    if state.n_iter > 1:
        unused: list[Any] = [None] * (size - used)
        entry["al"] = [state.al[i, ...] for i in rows] + unused
    return entry | {
        "d": state.d,
        "t": float(state.t),
        "old_dirs": [state.old_dirs[i] for i in rows],
        "old_stps": [state.old_stps[i] for i in rows],
        "ro": [state.ro[i, ...] for i in rows],
        "H_diag": state.H_diag if pairs else 1,
        "prev_flat_grad": state.prev_flat_grad,
        "prev_loss": float(state.prev_loss),
    }


def _from_torch(
    entry: Mapping[str, Any], template: StepByLbfgsState
) -> StepByLbfgsState:
    """torch's state as ours, in the shapes and dtypes of ``template``."""
    size = len(template.ro)
    changes: dict[str, Any] = {
        name: entry[name]
        for name in ("func_evals", "n_iter", "d", "t", "H_diag", "prev_flat_grad")
        if name in entry
    }
    if "prev_loss" in entry:
        changes["prev_loss"] = entry["prev_loss"]
    for name in ("old_dirs", "old_stps", "ro", "al"):
        history = [x for x in entry.get(name, []) if x is not None]
        buffer = np.array(getattr(template, name))
        for row, value in enumerate(history[-size:]):
            buffer[row] = value
        changes[name] = buffer
    changes["num_pairs"] = min(len(entry.get("old_dirs", [])), size)
    for name, value in changes.items():
        expected = getattr(template, name)
        if np.shape(value) != expected.shape:
            raise ValueError(
                f"the state {name} has shape {np.shape(value)}, "
                f"expected {expected.shape}"
            )
        changes[name] = jnp.array(value, expected.dtype, copy=True)
    return template._replace(**changes)
