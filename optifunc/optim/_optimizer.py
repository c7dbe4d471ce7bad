"""The base class of stateful optimizers: parameters, groups, gradients and steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .._checks import shown
from .._transformation import GradientTransformation, State
from .._tree import PyTree, is_sparse
from . import _programs as programs
from ._checkpoints import StateDict, load, saved_groups
from ._checks import check_is_state_dict, check_loss_fn, takes_arguments, warn_of_flags
from ._cohorts import Cohort, CohortStates, assembled, disassembled
from ._hooks import Hooks, hooked
from ._parameters import check_like
from ._signatures import (
    CLASSES,
    checked_constructor,
    constructor,
)
from ._wrapping import Wrapping


class Optimizer(Wrapping):
    """Parameters, their groups and their state: `torch.optim.Optimizer` over pytrees.

    ::

        optimizer = of.optim.AdamW(params, lr=1e-3)
        for batch in batches:
            optimizer.zero_grad()
            loss = optimizer.backward(loss_fn, batch)
            optimizer.step()
        params = optimizer.params

    **Hyperparameters:** ``param_groups[i]["lr"] = x`` takes effect at the next step and
    does not trigger recompilation. The same holds for other numbers, unless they change
    from or to 0 (a momentum of 0 keeps no buffer). The constructor checks its own
    arguments; a group's overrides are checked at the next step, except its learning
    rate.

    **Gradients** have the structure of `params` and are kept in `grads`, where
    `backward` adds to them; ``step(grads=...)`` uses others instead. A parameter whose
    gradient is None is skipped: no state, no decay, and no step is counted. The
    gradient of a complex parameter is the conjugate of `jax.grad`'s, as in torch;
    `backward` and `compile_step` take care of this.

    **Implementation flags:** ``foreach``, ``fused``, ``capturable`` and
    ``differentiable`` are accepted and ignored, with one `UserWarning`.

    **Memory:** a step overwrites the old state with the new one. The parameters' old
    arrays stay valid, which costs one copy of them and, on a CPU, up to 2.8 times the
    step's time. With ``optimizer.donate_params = True``, a step overwrites them, too;
    use it if the program holds the parameters nowhere else. It is not the default,
    because this cannot be checked: `jax.device_put` returns arrays that share memory
    with the parameters without a visible reference.

    **Speed:** on CPU, with the ``fused`` extra, a step is one pass over memory.

    **Precision:** ``AdamW(params).wrap(of.master_weights)``, and the same for `kahan`,
    `quantized` and the other wrappers; see `wrap`.

    **Failures:** a step that raises leaves parameters, state and groups unchanged. If a
    compiled step fails while it runs, after the state has been overwritten, the error
    says so; use `load_state_dict` or `load_functional` to continue.

    **Threads:** an optimizer can be used by one thread at a time, like torch's. Reading
    `params` is safe in any thread, unless ``donate_params`` is True.

    **Subclasses** contain no arithmetic. They declare the pure transformation of a
    group's values with a ``factory`` that takes them by name::

        class Lion(of.optim.Optimizer):
            factory = lion

    The constructor takes ``params`` and the factory's arguments, unless the class
    defines its own, which calls ``super().__init__(params, defaults)``.

    **Arguments:**

    - ``params``: a pytree of arrays; or a list of groups, dicts whose ``"params"`` is a
      pytree and whose other keys override the defaults; or an iterable of ``(name,
      array)`` pairs, which become an `OrderedDict`. A list contains groups if every
      element is a dict with the key ``"params"``, and named parameters if every element
      is a pair that starts with a string; otherwise it is a pytree. `params` returns
      the current values; for groups, a list of the groups' pytrees.
    - ``defaults``: hyperparameters for groups that do not have them.

    **Raises:** `TypeError` for parameters that are not arrays, for a schedule and for a
    misspelled key of a group; `ValueError` if there are no parameters.
    """

    # The error for gradients that the class does not accept; None: it accepts them.
    no_sparse: ClassVar[str | None] = "{name} does not support sparse gradients"
    no_dense: ClassVar[str | None] = None
    no_complex: ClassVar[str | None] = None
    # Hyperparameters that the class's package does not save: loading keeps them.
    unsaved: ClassVar[frozenset[str]] = frozenset()
    # All keys that a group of another package for this rule may have: a group with no
    # other keys may lack the remaining hyperparameters.
    short_group: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "factory" in cls.__dict__ and "__init__" not in cls.__dict__:
            cls.__init__ = constructor(cls.factory, Optimizer.__init__)  # type: ignore[method-assign]
        if "__init__" in cls.__dict__:
            cls.__init__ = checked_constructor(cls.__init__)  # type: ignore[method-assign]
            CLASSES.append(cls)

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)
        self.donate_params = False
        self._cohorts: list[Cohort] = []
        self._order: list[int] = []  # of the parameters' first gradients
        self._built: list[tuple[Any, GradientTransformation]] = []
        self._lost: str | None = None  # why there is no state
        self._opt_called = False  # read by learning rate schedulers
        warn_of_flags(self.param_groups)

    def _renew_state(self) -> None:
        everything = [bool(self._order)] * len(self._gradients)
        self._cohorts, self._order = [], []
        self._cohorts, _, self._order = self._plan(everything)

    # --- a step ----------------------------------------------------------------------

    @hooked
    def step(
        self, closure: Callable[[], Any] | None = None, *, grads: PyTree = None
    ) -> Any:
        """Update the parameters.

        **Arguments:**

        - ``closure``: a function without arguments, called once, first. It may compute
          the gradients (`zero_grad`, `backward`).
        - ``grads``: the gradients to use instead of `grads`, which does not change.

        **Returns:** what ``closure`` returned.

        **Raises:** `ValueError` for gradients with another structure or shape,
        `RuntimeError` for sparse or dense ones that the optimizer does not accept, and
        inside `jax.jit`; `TypeError` for a closure that takes arguments.
        """
        loss = self._called(closure)
        self._update(grads, {})
        return loss

    def _called(self, closure: Callable[[], Any] | None) -> Any:
        programs.refuse_tracing("step")
        if closure is None:
            return None
        if not callable(closure):
            raise TypeError(
                "closure must be a function without arguments, found "
                f"{shown(closure)}; call step() after backward(loss_fn, ...), or "
                "step(grads=...) with gradients of your own"
            )
        if takes_arguments(closure):
            raise TypeError(
                f"closure must be a function without arguments, found {closure!r}; it "
                "calls zero_grad() and backward(loss_fn, ...) and returns the loss. "
                "For a function of the parameters use compile_step(loss_fn)"
            )
        return closure()

    def _update(
        self,
        grads: PyTree,
        extra: Mapping[str, Any],
        compiled: Mapping[tuple[str, ...], Callable[..., Any]] = programs.apply,
    ) -> None:
        """Step with ``grads``, by default `grads`; ``extra`` goes to the update."""
        leaves = self._gradients if grads is None else self._gradient_leaves(grads)
        self._check_gradients(leaves)
        structure: Any = jax.tree.structure(self.params)
        apply = compiled[programs.donated(self.donate_params)]

        def run(tx: Any, state: Any, params: Any) -> tuple[PyTree, State, None]:
            tree = structure.unflatten(leaves)
            params, state = apply(tx, state, params, tree, dict(extra))
            return params, state, None

        self._advance([g is not None for g in leaves], run)

    def compile_step(
        self, loss_fn: Callable[..., Any], *, has_aux: bool = False
    ) -> Callable[..., Any]:
        """Compile gradient and update into one call.

        ``train_step(*batch)`` equals ``zero_grad``, ``backward(loss_fn, *batch)`` and
        ``step``, except that it neither reads nor writes `grads`. Hooks run, and
        hyperparameters are read at every call.

        **Arguments:**

        - ``loss_fn``: a function of the parameters and a batch, as in `backward`.
        - ``has_aux``: whether it returns a pair of the loss and anything else.

        **Returns:** ``train_step(*batch)``, which returns what ``loss_fn`` returned.

        **Raises:** `TypeError` if ``loss_fn`` is not a function, or not hashable.
        """
        check_loss_fn(loss_fn, "optimizer.compile_step(loss_fn)")

        def run(batch: tuple[Any, ...], tx: Any, state: Any, params: Any) -> Any:
            train = programs.train[programs.donated(self.donate_params)]
            return train(loss_fn, has_aux, tx, state, params, batch)

        @hooked
        def step(optimizer: Optimizer, *batch: Any) -> Any:
            programs.refuse_tracing("the compiled step")
            everything = [True] * len(optimizer._gradients)
            return optimizer._advance(everything, partial(run, batch))

        return partial(step, self)

    def _check_gradients(self, leaves: Sequence[Any]) -> None:
        for grad in leaves:
            if grad is None:
                continue
            refusal = self.no_sparse if is_sparse(grad) else self.no_dense
            if refusal is None and self.no_complex and jnp.iscomplexobj(grad):
                refusal = self.no_complex
            if refusal is not None:
                raise RuntimeError(refusal.format(name=type(self).__name__))

    def _advance(self, present: Sequence[bool], run: Callable[..., Any]) -> Any:
        """Step the parameters that are ``present``; commit only what succeeded."""
        active, idle, order = self._plan(present)
        if not active:
            self._opt_called = True
            return None
        tx, state = assembled(active, len(present))
        params = self.params
        try:
            new_params, new_state, result = run(tx, state, params)
        except Exception as error:
            self._note_loss(state, params, error)
            raise
        stepped = disassembled(active, len(present), new_state, steps=1)
        self._opt_called = True
        self._put(new_params)
        self._order = order
        self._cohorts = self._states().merged([*stepped, *idle]) if idle else stepped
        return result

    def _note_loss(self, state: State, params: PyTree, error: Exception) -> None:
        """Remember that a step failed after overwriting its arguments."""
        arrays = [x for x in jax.tree.leaves(state) if isinstance(x, jax.Array)]
        if any(x.is_deleted() for x in arrays):
            self._lost = (
                "an earlier step failed while it ran, after its state had been "
                f"overwritten ({type(error).__name__}: {str(error).splitlines()[0]}); "
                "parameters and groups are as before it. To continue, load a "
                "checkpoint with load_state_dict or load_functional"
            )
            error.add_note(self._lost.replace("an earlier step", "this step"))

    def _check_state(self) -> None:
        if self._lost is not None:
            raise RuntimeError(self._lost)

    def _plan(
        self, present: Sequence[bool]
    ) -> tuple[list[Cohort], list[Cohort], list[int]]:
        """Cohorts that step, cohorts that do not, and the order of first gradients."""
        self._check_state()
        transformations = self._transformations()
        states = self._states()
        active, idle = [], []
        for cohort in self._cohorts:
            chosen = {i for i in cohort.members if present[i]}
            if len(chosen) == len(cohort.members):
                active.append(cohort)
            elif not chosen:
                idle.append(cohort)
            else:
                moving, waiting = states.split(cohort, chosen)
                active.append(moving)
                idle.append(waiting)
        active = [
            states.refitted(cohort, transformations[cohort.group]) for cohort in active
        ]
        known = set(self._order)
        new = [i for i, here in enumerate(present) if here and i not in known]
        if not new:
            return active, idle, self._order
        group_of = self.group_of()
        for number, tx in enumerate(transformations):
            members = tuple(i for i in new if group_of[i] == number)
            if members:
                active.append(states.new(number, members, tx))
        return active, idle, [*self._order, *new]

    # --- the functional API ----------------------------------------------------------

    def functional(self) -> tuple[GradientTransformation, State, PyTree]:
        """This optimizer as a transformation, a state and parameters.

        ``tx.update(grads, state, params)`` and `apply_updates` continue from here, for
        all parameters; `load_functional` takes the result back.

        **Returns:** ``(tx, state, params)``. The arrays of ``state`` are copies.
        """
        count = len(self._gradients)
        active, _, _ = self._plan([True] * count)
        with_numbers = [self._wrapped(values) for values, _ in self._built]
        tx, state = assembled(
            [dataclasses.replace(c, tx=with_numbers[c.group]) for c in active], count
        )
        return tx, jax.tree.map(lambda x: jnp.array(x, copy=True), state), self.params

    def load_functional(self, state: State, params: PyTree) -> None:
        """Take back the results of `functional`, some steps later.

        **Arguments:**

        - ``state``: a state of the transformation that `functional` returned.
        - ``params``: the parameters.

        **Raises:** `ValueError` if the structure or the shapes of ``state`` or
        ``params`` differ from those of `functional`; the optimizer is then unchanged.
        """
        programs.refuse_tracing("load_functional")
        if self._lost is not None:
            self._lost, self._cohorts, self._order = None, [], []
        count = len(self._gradients)
        active, _, order = self._plan([True] * count)
        expected = assembled(active, count)[1]
        check_like("state", state, expected)
        check_like("params", params, self.params)
        state = jax.tree.map(lambda x: jnp.array(x, copy=True), state)
        states = CohortStates(params, self.layout.key)
        cohorts = []
        for cohort in disassembled(active, count, state):
            step = states.columns(cohort).shared.get("step", cohort.steps)
            cohorts.append(dataclasses.replace(cohort, steps=int(step)))
        self._put(params)
        self._cohorts, self._order = cohorts, order

    # --- checkpoints -----------------------------------------------------------------

    @property
    def state(self) -> dict[int, dict[str, Any]]:
        """Each parameter's state, by the parameter's number: copies, as NumPy arrays.

        Numbers count the parameters of all groups. A parameter that has not yet had a
        gradient has no entry.
        """
        return self._entries(gather=False)

    def _entries(self, *, gather: bool) -> dict[int, dict[str, Any]]:
        self._check_state()
        found = self.layout.entries(self._cohorts, self._states(), gather=gather)
        return {i: found[i] for i in self._order if found.get(i)}

    def state_dict(self, *, gather: bool = False) -> StateDict:
        """State and groups in torch's layout, as for ``torch.save``.

        `optifunc.interop.torch.to_torch` converts the arrays to tensors.

        **Arguments:**

        - ``gather``: whether to fetch the parts that other processes hold. All
          processes must then call this.

        **Returns:** ``{"state": {number: {field: array}}, "param_groups": [{...,
        "params": [numbers]}]}``, all arrays NumPy's, with torch's keys, shapes and
        dtypes.

        **Raises:** `RuntimeError` if an earlier step failed and destroyed the state,
        and without ``gather`` for state that is partly held by other processes.
        """
        for hook in tuple(self._save_pre.values()):
            hook(self)
        entries, groups = self._entries(gather=gather), saved_groups(self)
        state_dict: StateDict = self.layout.saved(
            {"state": entries, "param_groups": groups}
        )
        for hook in tuple(self._save_post.values()):
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        return state_dict

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a checkpoint of this class or torch's class of the same name.

        Parameters are matched by name if the checkpoint's group has ``"param_names"``
        and the group here has the same ones in any order, and otherwise by their order
        within each group. Names here are the group's ``"param_names"``, or else the
        dotted paths of `parameter_names`. JAX sorts the keys of a dict, but torch's
        ``named_parameters()`` does not: there is a warning for a torch checkpoint
        without names if parameters of equal shape may be swapped. For other names or
        axes, see `optifunc.interop.torch.from_torch`.

        **Arguments:**

        - ``state_dict``: the result of `state_dict` or torch's, which may contain
          tensors (torch is not imported). Its hyperparameters are used. Arrays get the
          dtypes that the state has here.

        As in torch, a class takes the checkpoint of another one with the same
        hyperparameters and state: AdamW takes Adam's. The checkpoint's hyperparameters
        replace those given here, weight decay included.

        **Raises:** `ValueError` if the numbers of groups or of parameters differ, if
        the state dict lacks hyperparameters of this class or has state of none (SGD's
        in AdamW), and for an array of a shape that does not fit its parameter;
        `KeyError` without ``"state"`` or ``"param_groups"``; `TypeError` if
        it is not a dict. The optimizer is then unchanged.
        """
        programs.refuse_tracing("load_state_dict")
        check_is_state_dict(
            state_dict, ", or a state of functional() to load_functional"
        )
        state_dict = dict(state_dict)
        for hook in tuple(self._load_pre.values()):
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        loaded = load(self, state_dict)
        self.param_groups, self._cohorts, self._order = loaded
        self._loaded_keys = frozenset(k for g in self.param_groups for k in g)
        self._built, self._lost = [], None
        for hook in tuple(self._load_post.values()):
            hook(self)

    # --- groups ----------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; its missing hyperparameters are the defaults.

        Afterward, `params` (and every gradient) is the list of the groups' pytrees.

        **Arguments:**

        - ``param_group``: a dict with the key ``"params"``.

        **Raises:** `TypeError` if it is not a dict, holds anything but arrays, or has
        a key that is a misspelled hyperparameter; `KeyError` without ``"params"``;
        `ValueError` for a parameter of another group, and if only some groups have
        names. The optimizer is then unchanged.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        programs.refuse_tracing("add_param_group")
        group = self._checked_group(param_group)
        states = self._states()
        cohorts = [states.released(c) for c in self._cohorts]
        self._in_groups = True
        self._cohorts = cohorts
        self._append(group)

    # --- Python ----------------------------------------------------------------------

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return "\n".join([*lines, ")"])

    def __getstate__(self) -> dict[str, Any]:
        """All but the hooks, which are not part of a pickle or a copy.

        The state is a copy, because the next step here overwrites the original.
        """
        states = self._states()
        released = (states.released(c) for c in self._cohorts)
        return {
            "defaults": self.defaults,
            "donate_params": self.donate_params,
            "param_groups": [dict(group) for group in self.param_groups],
            "_in_groups": self._in_groups,
            "_gradients": list(self._gradients),
            "_order": self._order,
            "_loaded_keys": self._loaded_keys,
            "_lost": self._lost,
            "_wrapper": self._wrapper,
            "layout": self.layout,
            "_cohorts": [
                dataclasses.replace(c, kept=c.kept.copied()) for c in released
            ],
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        Hooks.__init__(self)
        self._built = []
        self._opt_called = False
        self.__dict__.update(state)
