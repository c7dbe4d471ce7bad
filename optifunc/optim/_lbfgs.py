"""LBFGS."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from .._checks import shown
from .._gradients import dense_gradient, value_and_gradient
from .._numerics import as_scalar
from .._state import Role, declared_roles
from .._transformation import GradientTransformation, State, apply_updates
from .._tree import PyTree
from ..optimizers._flat import flat_vector
from ..optimizers._lbfgs import StepByLbfgsState, lbfgs, step_by_lbfgs
from . import _programs as programs
from ._checks import check_loss_fn, check_lr, require, takes_arguments
from ._cohorts import Cohort, CohortStates
from ._hooks import hooked
from ._layouts import Entries, StateLayout
from ._optimizer import Optimizer
from ._signatures import given


def _minimize(
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
                "the closure passed to LBFGS must return the loss, found None"
            )
        return loss

    value, grads = value_and_gradient(value_fn)(params)
    updates, state = tx.update(grads, state, params, value_fn=value_fn, value=value)
    return apply_updates(params, updates), state, value


_COMPILED = programs.donating(_minimize, static=(0,))


class LbfgsLayout(StateLayout):
    """torch's layout: one state, under the number of the first parameter.

    Histories are lists, oldest entry first.
    """

    def entries(
        self, cohorts: Sequence[Cohort], states: CohortStates, *, gather: bool = False
    ) -> Entries:
        if not cohorts:
            return {}
        fields = self.exported(states.columns(cohorts[0]).shared, gather)
        return {0: _as_torch(StepByLbfgsState(**fields))}

    def cohorts(
        self,
        entries: Mapping[int, Mapping[str, Any]],
        group_of: Sequence[int],
        transformations: Sequence[GradientTransformation],
        states: CohortStates,
    ) -> list[Cohort]:
        if not entries.get(0):
            return []
        members = tuple(range(len(group_of)))
        new = states.new(0, members, transformations[0])
        return [dataclasses.replace(new, state=(_from_torch(entries[0], *new.state),))]

    def in_own_order(
        self, entries: Entries, before: Sequence[int], params: PyTree
    ) -> Entries:
        # The checkpoint's first parameter has the only state, and its vectors contain
        # all parameters, one after the other.
        first = before[0]
        if first not in entries:
            return {}
        sizes = [
            leaf.size * (2 if jnp.iscomplexobj(leaf) else 1)
            for leaf in jax.tree.leaves(params)
        ]
        starts = dict.fromkeys(before, 0)
        end = 0
        for i in before:
            starts[i] = end
            end += sizes[i]
        order = np.concatenate([starts[i] + np.arange(n) for i, n in enumerate(sizes)])

        def ordered(value: Any) -> Any:
            if isinstance(value, list):
                return [ordered(x) for x in value]
            # A vector of another length is rejected later.
            return value[order] if np.shape(value) == order.shape else value

        roles = declared_roles(StepByLbfgsState)
        return {
            0: {
                name: ordered(x) if roles.get(name) is Role.CONCATENATED else x
                for name, x in entries[first].items()
            }
        }


class LBFGS(Optimizer):
    """`torch.optim.LBFGS`: limited-memory BFGS; `optifunc.lbfgs`, stateful.

    `step` takes torch's closure, or a function of the parameters, which is evaluated as
    often as needed within one compiled program.

    **Arguments:**

    - ``params``: see `Optimizer`.
    - the others: see `lbfgs`.

    **Raises:** `ValueError` for a learning rate out of range and for several groups; at
    the step, `RuntimeError` for an unknown ``line_search_fn``.
    """

    factory = lbfgs
    layout = LbfgsLayout()

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
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        values = given(locals())
        check_lr(lr)
        super().__init__(params, values)
        self._check_one_group(len(self.param_groups))

    @staticmethod
    def _check_one_group(count: int) -> None:
        require(
            count == 1,
            "LBFGS doesn't support per-parameter options (parameter groups)",
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Not supported: the parameters are one vector.

        **Arguments:**

        - ``param_group``: any group.

        **Raises:** `ValueError`.
        """
        self._check_one_group(len(self.param_groups) + 1)

    def wrap(self, wrapper: Callable[[GradientTransformation], Any]) -> NoReturn:
        """Not supported: a step searches along the loss and has no updates to wrap.

        **Arguments:**

        - ``wrapper``: any function.

        **Raises:** `TypeError`.
        """
        raise TypeError(
            "LBFGS cannot be wrapped: its step evaluates the loss at its own trial "
            "parameters; keep the parameters in float32"
        )

    def build(self, values: Mapping[str, Any]) -> GradientTransformation:
        require(
            values["line_search_fn"] in (None, "strong_wolfe"),
            "only 'strong_wolfe' is supported",
            RuntimeError,
        )
        return super().build(values)

    @hooked
    def step(self, closure: Callable[..., Any], *args: Any) -> Any:
        """Minimize by up to ``max_iter`` iterations.

        ::

            def closure():                                     # torch's
                optimizer.zero_grad()
                return optimizer.backward(loss_fn, inputs, targets)

            loss = optimizer.step(closure)
            loss = optimizer.step(loss_fn, inputs, targets)    # compiled

        The second form is compiled once for each function and shape of ``args`` and is
        faster. The first is called from Python at each evaluation, reads the gradients
        from `grads`, and may do anything.

        **Arguments:**

        - ``closure``: a function without arguments that computes the gradients and
          returns the loss; or a pure function of the parameters and ``args`` that
          returns the loss.
        - ``args``: arguments of the second form.

        **Returns:** the loss before the first iteration.

        **Raises:** `TypeError` for a closure that is missing, has neither form, or
        returns no loss; `RuntimeError` for one that computes no gradients. The
        optimizer is then unchanged.
        """
        programs.refuse_tracing("step")
        if not callable(closure):
            raise TypeError(f"{_FORMS}; found {shown(closure)}")
        takes_params = takes_arguments(closure)
        if args and not takes_params:
            raise TypeError(
                f"{_FORMS}; found {closure!r}, which takes no parameters, with "
                f"{len(args)} arguments"
            )

        def run(tx: Any, state: Any, params: Any) -> Any:
            if not takes_params:
                return self._minimize_by_closure(closure, tx, state, params)
            minimize = _COMPILED[programs.donated(self.donate_params)]
            return minimize(closure, tx, state, params, args)

        return self._advance([True] * len(self._gradients), run)

    def _minimize_by_closure(
        self,
        closure: Callable[[], Any],
        tx: GradientTransformation,
        state: State,
        params: PyTree,
    ) -> tuple[PyTree, State, Any]:
        """The same iterations, with evaluations by the user's Python."""
        grads, first = self._gradients, None
        progress = _started(tx, state[0], params)
        try:
            while not progress.stopped:
                self._put(progress.trial)
                loss = closure()
                if loss is None:
                    raise TypeError(f"{_FORMS}; found one that returned None")
                first = loss if first is None else first
                progress = _advanced(tx, progress, loss, self._gathered_gradients())
        except BaseException:
            self._put(params)
            self._gradients = grads
            raise
        return progress.params, (progress.state,), first

    def _gathered_gradients(self) -> PyTree:
        missing = [i for i, g in enumerate(self._gradients) if g is None]
        if len(missing) == len(self._gradients):
            raise RuntimeError(
                "the closure passed to LBFGS must compute the gradients: "
                "optimizer.zero_grad(), then optimizer.backward(loss_fn, ...)"
            )
        return self.grads

    def compile_step(
        self, loss_fn: Callable[..., Any], *, has_aux: bool = False
    ) -> Callable[..., Any]:
        """`step` with a function of the parameters.

        **Arguments:**

        - ``loss_fn``: a pure function of the parameters and a batch.
        - ``has_aux``: must be False, because there are several evaluations.

        **Returns:** ``train_step(*batch) -> loss``.

        **Raises:** `ValueError` with ``has_aux``, `TypeError` if ``loss_fn`` is not a
        function, or not hashable.
        """
        check_loss_fn(loss_fn, "optimizer.compile_step(loss_fn)")
        require(not has_aux, "LBFGS evaluates several times and can return no aux")
        return partial(self.step, loss_fn)


_FORMS = (
    "LBFGS needs a closure: a function without arguments that calls zero_grad() and "
    "backward(loss_fn, ...) and returns the loss, or a function of the parameters that "
    "returns the loss, followed by its other arguments"
)


@jax.jit
def _started(tx: GradientTransformation, state: Any, params: PyTree) -> Any:
    return _step_of(tx).start(state, params)


@jax.jit
def _advanced(
    tx: GradientTransformation, progress: Any, loss: Any, grads: PyTree
) -> Any:
    gradient = dense_gradient(grads, progress.trial)
    flat = flat_vector(gradient, progress.state.d.dtype)
    return _step_of(tx).advance(progress, as_scalar(loss), flat)


def _step_of(tx: GradientTransformation) -> step_by_lbfgs:
    """The one member of `lbfgs`."""
    (member,) = tx.children()
    assert isinstance(member.transformation, step_by_lbfgs)
    return member.transformation


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
