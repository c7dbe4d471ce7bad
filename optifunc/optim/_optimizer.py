"""The base of the stateful optimizers."""

import dataclasses
import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO

from .._numerics import is_number
from .._transformation import GradientTransformation, State, apply_updates
from .._tree import PyTree, flatten_like, is_sparse, leaves_with_names
from ._arrays import cast_like, without_tensors
from ._cohorts import (
    Cohort,
    assembled,
    cohorts_of,
    columns_of,
    disassembled,
    field_name,
    fitted,
    merged,
    parameter_state,
    released,
    select,
    split,
)
from ._hooks import Hooks
from ._parameters import Group, check_new_group, parameter_groups, parameters_of

StateDict = dict[str, Any]

# torch's choices of an implementation; here there is one, which is compiled.
IMPLEMENTATION_FLAGS = ("foreach", "fused", "capturable", "differentiable")

# Hyperparameters that are whole numbers and part of the program.
COUNTS = frozenset({"ns_steps", "max_iter", "max_eval", "history_size"})


def _updated(
    tx: GradientTransformation, state: State, params: PyTree, grads: PyTree, extra: Any
) -> tuple[PyTree, State]:
    updates, state = tx.update(grads, state, params, **extra)
    return apply_updates(params, updates), state


@partial(jax.jit, donate_argnames="state")
def _apply(
    tx: GradientTransformation, state: State, params: PyTree, grads: PyTree, extra: Any
) -> tuple[PyTree, State]:
    return _updated(tx, state, params, grads, extra)


@partial(jax.jit, static_argnums=(0, 1))
def _value_and_grad(
    loss_fn: Callable[..., Any], has_aux: bool, params: PyTree, args: tuple[Any, ...]
) -> tuple[Any, PyTree]:
    value, grads = jax.value_and_grad(loss_fn, has_aux=has_aux)(params, *args)
    # What torch calls the gradient of a complex parameter.
    return value, jax.tree.map(jnp.conj, grads)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=3)
def _train(
    loss_fn: Callable[..., Any],
    has_aux: bool,
    tx: GradientTransformation,
    state: State,
    params: PyTree,
    batch: tuple[Any, ...],
) -> tuple[PyTree, State, Any]:
    value, grads = _value_and_grad(loss_fn, has_aux, params, batch)
    params, state = _updated(tx, state, params, grads, {})
    return params, state, value


@jax.jit
def _sum(old: PyTree, new: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, old, new)


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """Let the hooks run around a method that takes a step."""

    @functools.wraps(step)
    def with_hooks(*args: Any, **kwargs: Any) -> Any:
        optimizer: Optimizer = args[0]
        for hook in tuple(optimizer._step_pre.values()):
            changed = hook(optimizer, args, kwargs)
            if changed is None:
                continue
            if not isinstance(changed, tuple) or len(changed) != 2:
                raise RuntimeError(
                    f"{step.__name__}: a pre-hook must return None or a tuple of "
                    f"(new_args, new_kwargs), but got {changed}"
                )
            args, kwargs = changed
        result = step(*args, **kwargs)
        for hook in tuple(optimizer._step_post.values()):
            hook(optimizer, args, kwargs)
        return result

    return with_hooks


class Optimizer(Hooks):
    """Parameters, their groups and their state: `torch.optim.Optimizer` over pytrees.

    ::

        optimizer = of.optim.AdamW(params, lr=1e-3)
        for batch in batches:
            optimizer.zero_grad()
            loss = optimizer.backward(loss_fn, batch)
            optimizer.step()
        params = optimizer.params

    **Parameters:** ``params`` is a pytree of arrays; or a list of groups, dicts whose
    ``"params"`` is a pytree and whose other keys override the defaults; or an iterable
    of ``(name, array)`` pairs, which become an `OrderedDict`. A list is one of groups
    exactly when every element is a dict with the key ``"params"``, and one of named
    parameters when every element is a pair that starts with a string; otherwise it is
    a pytree. `params` returns the current values: of groups, the list of the groups'
    pytrees.

    **Hyperparameters:** ``param_groups[i]["lr"] = x`` holds from the next step on and
    compiles nothing, like every change of a number that stays on its side of 0 (a
    momentum of 0 keeps no buffer). The constructor checks its own arguments; a group's
    overrides are checked at the next step, and its learning rate is not.

    **Gradients** have the structure of `params` and lie in `grads`, where `backward`
    adds to them; ``step(grads=...)`` takes others instead. A parameter whose gradient
    is None is skipped: no state, no decay, no step counted. Of a complex parameter
    the gradient is the conjugate of `jax.grad`'s, as in torch; `backward` and
    `compile_step` see to that.

    **Implementation flags:** ``foreach``, ``fused``, ``capturable`` and
    ``differentiable`` are accepted and ignored, with one `UserWarning`.

    **Memory:** a step writes the new state over the old one; the parameters' old
    arrays stay valid.

    A step that fails leaves parameters, state and groups as they were.

    **Subclasses** say which pure transformation a group's hyperparameters stand for
    (``_transformation``) and hold no arithmetic of their own.
    """

    # The keys of a parameter's state, in torch's order.
    fields: ClassVar[tuple[str, ...] | None] = ()
    # Fields that start anew when a group's hyperparameters ask for them in mid-run.
    lazy_fields: ClassVar[frozenset[str]] = frozenset()
    # Group keys that torch added over time; old checkpoints lack them.
    later_keys: ClassVar[Mapping[str, Any]] = {}
    # What to say of a sparse gradient, unless it is welcome.
    no_sparse: ClassVar[str | None] = "{name} does not support sparse gradients"

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        super().__init__()
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self._cohorts: list[Cohort] = []
        self._order: list[int] = []  # of the parameters' first gradients
        self._gradients: list[Any] = []
        self._built: list[tuple[Any, GradientTransformation]] = []
        self._opt_called = False  # read by learning rate schedulers
        groups, self._in_groups = parameter_groups(params)
        for group in groups:
            self._add(group)
        given = {key for group in groups for key in group} | set(defaults)
        ignored = [
            flag
            for flag in IMPLEMENTATION_FLAGS
            if flag in given and any(group.get(flag) for group in self.param_groups)
        ]
        if ignored:
            warnings.warn(
                f"{', '.join(ignored)}: accepted and ignored; the whole step is one "
                "compiled program on every device",
                UserWarning,
                stacklevel=3,
            )

    # --- what a subclass says --------------------------------------------------------

    def _transformation(self, group: Group) -> GradientTransformation:
        """The pure transformation that ``group``'s hyperparameters stand for."""
        raise NotImplementedError

    def _build(self, values: Mapping[str, Any]) -> GradientTransformation:
        """The transformation for a group's values as the user left them."""
        return self._transformation(normalised(values))

    def _key(self, path: Sequence[Any]) -> str:
        """The name of the field at ``path`` in the pure state."""
        return field_name(path)

    # --- parameters and gradients ----------------------------------------------------

    @property
    def params(self) -> PyTree:
        """The current parameters, in the structure that came in."""
        if self._in_groups:
            return [group["params"] for group in self.param_groups]
        return self.param_groups[0]["params"]

    @property
    def grads(self) -> PyTree:
        """The gradients, in the structure of `params`; None where there is none.

        Assign to it to replace them (all of them by None: as `zero_grad` does).
        """
        structure: Any = jax.tree.structure(self.params)
        return structure.unflatten(self._gradients)

    @grads.setter
    def grads(self, grads: PyTree) -> None:
        if grads is None:
            self.zero_grad()
        else:
            self._gradients = self._gradient_leaves(grads)

    def parameter_names(self) -> list[list[str]]:
        """For each group the names of its parameters: their dotted paths."""
        return [
            [name for name, _ in leaves_with_names(group["params"])]
            for group in self.param_groups
        ]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set those that there are to zero."""
        self._gradients = [
            None if set_to_none or g is None else _zeroed(g) for g in self._gradients
        ]

    def backward(
        self, loss_fn: Callable[..., Any], *args: Any, has_aux: bool = False
    ) -> Any:
        """Add the gradient of ``loss_fn(params, *args)`` to `grads`; return the loss.

        **Arguments:** ``loss_fn``: a function of the parameters, in the structure of
        `params`, that returns a real scalar, or with ``has_aux`` a pair of one and
        anything else. It is compiled once for each function and shape of ``args``: a
        function that is made anew for each call is compiled for each call.

        **Returns:** what ``loss_fn`` returned.
        """
        value, grads = _value_and_grad(loss_fn, has_aux, self.params, args)
        new = self._gradient_leaves(grads)
        both = [i for i, g in enumerate(self._gradients) if g is not None]
        if both:
            sums = _sum([self._gradients[i] for i in both], [new[i] for i in both])
            for i, total in zip(both, sums, strict=True):
                new[i] = total
        self._gradients = new
        return value

    def _gradient_leaves(self, grads: PyTree) -> list[Any]:
        params = self.params
        if (
            isinstance(params, OrderedDict)
            and isinstance(grads, Mapping)
            and set(grads) == set(params)
        ):
            grads = OrderedDict((name, grads[name]) for name in params)
        leaves = flatten_like(grads, params, ("grads", "params"))
        for i, (grad, param) in enumerate(
            zip(leaves, jax.tree.leaves(params), strict=True)
        ):
            if grad is not None and getattr(grad, "shape", None) != param.shape:
                raise _gradient_error(params, i, grad)
        return leaves

    # --- a step ----------------------------------------------------------------------

    @hooked
    def step(
        self, closure: Callable[[], Any] | None = None, *, grads: PyTree = None
    ) -> Any:
        """Update the parameters.

        **Arguments:** ``closure``: called once, first; it may compute the gradients
        (`zero_grad`, `backward`), and what it returns is returned. ``grads``: the
        gradients to use instead of `grads`, which is left alone.

        **Raises:** `ValueError` for gradients of another structure or shape,
        `RuntimeError` for sparse or dense ones that the optimizer does not take.
        """
        loss = None if closure is None else closure()
        self._update(grads, {})
        return loss

    def _update(self, grads: PyTree, extra: Mapping[str, Any]) -> None:
        """Step with ``grads``, by default with `grads`; ``extra``: for the update."""
        leaves = self._gradients if grads is None else self._gradient_leaves(grads)
        self._check_gradients(leaves)
        structure: Any = jax.tree.structure(self.params)

        def run(tx: Any, state: Any, params: Any) -> tuple[PyTree, State, None]:
            tree = structure.unflatten(leaves)
            params, state = _apply(tx, state, params, tree, dict(extra))
            return params, state, None

        self._advance([g is not None for g in leaves], run)

    def compile_step(
        self, loss_fn: Callable[..., Any], *, has_aux: bool = False
    ) -> Callable[..., Any]:
        """``train_step(*batch) -> loss``: gradient and update in one compiled call.

        It equals ``zero_grad``, ``backward(loss_fn, *batch)`` and ``step``, except that
        it neither reads nor writes `grads`. Hooks run, and hyperparameters are read at
        every call.
        """

        def run(batch: tuple[Any, ...], tx: Any, state: Any, params: Any) -> Any:
            return _train(loss_fn, has_aux, tx, state, params, batch)

        @hooked
        def step(optimizer: Optimizer, *batch: Any) -> Any:
            everything = [True] * len(optimizer._gradients)
            return optimizer._advance(everything, partial(run, batch))

        return partial(step, self)

    def _check_gradients(self, leaves: Sequence[Any]) -> None:
        if self.no_sparse is not None and any(map(is_sparse, leaves)):
            raise RuntimeError(self.no_sparse.format(name=type(self).__name__))

    def _advance(self, present: Sequence[bool], run: Callable[..., Any]) -> Any:
        """Step the parameters that are ``present``; commit only what succeeded."""
        active, idle, order = self._plan(present)
        if not active:
            self._opt_called = True
            return None
        params = self.params
        tx, state = assembled(active, len(present))
        new_params, new_state, result = run(tx, state, params)
        stepped = [
            dataclasses.replace(c, steps=c.steps + 1)
            for c in disassembled(active, len(present), new_state)
        ]
        self._opt_called = True
        self._put(new_params)
        self._order = order
        self._cohorts = (
            merged([*stepped, *idle], new_params, self._key) if idle else stepped
        )
        return result

    def _put(self, params: PyTree) -> None:
        values = params if self._in_groups else [params]
        for group, value in zip(self.param_groups, values, strict=True):
            group["params"] = value

    def _plan(
        self, present: Sequence[bool]
    ) -> tuple[list[Cohort], list[Cohort], list[int]]:
        """Cohorts that step, cohorts that do not, and the order of first gradients."""
        transformations = self._transformations()
        params = self.params
        active, idle = [], []
        for cohort in self._cohorts:
            chosen = {i for i in cohort.members if present[i]}
            if len(chosen) == len(cohort.members):
                active.append(cohort)
            elif not chosen:
                idle.append(cohort)
            else:
                moving, waiting = split(cohort, params, chosen, self._key)
                active.append(moving)
                idle.append(waiting)
        active = [self._fitted(c, transformations[c.group], params) for c in active]
        known = set(self._order)
        new = [i for i, here in enumerate(present) if here and i not in known]
        if new:
            active += self._new_cohorts(new, transformations, params)
        return active, idle, [*self._order, *new]

    def _fitted(
        self, cohort: Cohort, tx: GradientTransformation, params: PyTree
    ) -> Cohort:
        if cohort.tx is tx:
            return cohort
        if cohort.tx is not None:
            old: Any = jax.tree.structure(cohort.tx)
            if old == jax.tree.structure(tx):
                return dataclasses.replace(cohort, tx=tx)
        return fitted(cohort, tx, params, self._key, self.lazy_fields)

    def _new_cohorts(
        self,
        new: Sequence[int],
        transformations: Sequence[GradientTransformation],
        params: PyTree,
    ) -> list[Cohort]:
        leaves, treedef = jax.tree.flatten(params)
        group_of = self._group_of()
        cohorts = []
        for number, tx in enumerate(transformations):
            members = tuple(i for i in new if group_of[i] == number)
            if members:
                state = tx.init(select(leaves, treedef, members))
                cohorts.append(Cohort(number, members, 0, tx, state))
        return cohorts

    def _group_of(self) -> list[int]:
        """For each parameter the number of its group."""
        return [
            number
            for number, group in enumerate(self.param_groups)
            for _ in jax.tree.leaves(group["params"], is_leaf=is_sparse)
        ]

    def _transformations(self) -> list[GradientTransformation]:
        """The transformation of each group, built anew where a value has changed."""
        built = []
        for number, group in enumerate(self.param_groups):
            values = {k: v for k, v in group.items() if k != "params"}
            before = self._built[number] if number < len(self._built) else None
            if before is None or not _same(before[0], values):
                # Arrays on the device now, and not from numbers at every step.
                before = values, jax.tree.map(jnp.asarray, self._build(values))
            built.append(before)
        self._built = built
        return [tx for _, tx in built]

    # --- the pure face ---------------------------------------------------------------

    def functional(self) -> tuple[GradientTransformation, State, PyTree]:
        """``(tx, state, params)``: what this optimizer does, as values.

        ``tx.update(grads, state, params)`` and `apply_updates` go on from here, for
        all parameters; `load_functional` comes back. The arrays of ``state`` are
        copies.
        """
        count = len(self._gradients)
        active, _, _ = self._plan([True] * count)
        with_numbers = [self._build(values) for values, _ in self._built]
        tx, state = assembled(
            [dataclasses.replace(c, tx=with_numbers[c.group]) for c in active], count
        )
        return tx, jax.tree.map(lambda x: jnp.array(x, copy=True), state), self.params

    def load_functional(self, state: State, params: PyTree) -> None:
        """Take over what `functional` handed out, some steps later.

        **Raises:** `ValueError` if ``state`` or ``params`` have another structure or
        other shapes than `functional` gives; the optimizer is then unchanged.
        """
        count = len(self._gradients)
        active, _, order = self._plan([True] * count)
        expected = assembled(active, count)[1]
        for name, found, wanted in (
            ("state", state, expected),
            ("params", params, self.params),
        ):
            _check_like(name, found, wanted)
        state = jax.tree.map(lambda x: jnp.array(x, copy=True), state)
        cohorts = [
            self._with_steps(c, params) for c in disassembled(active, count, state)
        ]
        self._put(params)
        self._cohorts, self._order = cohorts, order

    def _with_steps(self, cohort: Cohort, params: PyTree) -> Cohort:
        step = columns_of(cohort, params, self._key).shared.get("step", cohort.steps)
        return dataclasses.replace(cohort, steps=int(step))

    # --- checkpoints -----------------------------------------------------------------

    @property
    def state(self) -> dict[int, dict[str, Any]]:
        """Each parameter's state, by the parameter's number: copies, as NumPy arrays.

        Numbers count the parameters of all groups. A parameter without a gradient so
        far has no entry.
        """
        found = parameter_state(self._cohorts, self.params, self.fields, self._key)
        return {
            i: {key: self._exported(key, value) for key, value in found[i].items()}
            for i in self._order
            if found.get(i)
        }

    def _exported(self, key: str, value: Any) -> Any:
        if key == "step":
            # torch counts in float32, whatever the parameters are.
            return np.asarray(value, np.float32)
        return np.array(value)

    def state_dict(self) -> StateDict:
        """State and groups in torch's layout: what ``torch.save`` would be given.

        ``{"state": {number: {field: array}}, "param_groups": [{..., "params":
        [numbers]}]}``, all arrays NumPy's, with torch's keys, shapes and dtypes.
        `optifunc.interop.torch.to_torch` makes tensors of them.
        """
        for hook in tuple(self._save_pre.values()):
            hook(self)
        group_of = self._group_of()
        state_dict: StateDict = {
            "state": self.state,
            "param_groups": [
                {
                    **{k: v for k, v in group.items() if k != "params"},
                    "params": [i for i, g in enumerate(group_of) if g == number],
                }
                for number, group in enumerate(self.param_groups)
            ],
        }
        for hook in tuple(self._save_post.values()):
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        return state_dict

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a checkpoint of this class or of torch's of the same name.

        Parameters are matched by their order within each group; by their names, where
        the checkpoint's group has ``"param_names"`` and the group here has the same
        ones, in whatever order; they are then listed in the order of here. Names here
        are the group's ``"param_names"``, or else the dotted paths of
        `parameter_names`: JAX sorts the keys of a dict, torch's ``named_parameters()``
        does not. For other names or axes see `optifunc.interop.torch.from_torch`.

        **Arguments:** ``state_dict``: what `state_dict` or torch's returned, tensors
        included (torch is not imported). Hyperparameters come from it; arrays get their
        parameter's dtype, except ``step``.

        **Raises:** `ValueError` if the numbers of groups or of parameters differ, or
        for an array of a shape that its parameter cannot have; `KeyError` without
        ``"state"`` or ``"param_groups"``. The optimizer is then unchanged.
        """
        state_dict = dict(state_dict)
        for hook in tuple(self._load_pre.values()):
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        saved = [without_tensors(dict(g)) for g in state_dict["param_groups"]]
        group_of = self._group_of()
        if len(saved) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups"
            )
        if any(
            len(group["params"]) != group_of.count(number)
            for number, group in enumerate(saved)
        ):
            raise ValueError(
                "loaded state dict contains a parameter group "
                "that doesn't match the size of optimizer's group"
            )
        ordered = [
            _by_name(group, live.get("param_names", names))
            for group, live, names in zip(
                saved, self.param_groups, self.parameter_names(), strict=True
            )
        ]
        numbers = [i for group in ordered for i in group["params"]]
        groups = [
            self._loaded_group(old, new)
            for old, new in zip(self.param_groups, ordered, strict=True)
        ]
        leaves = jax.tree.leaves(self.params)
        position = {number: i for i, number in enumerate(numbers)}
        found = {
            position[number]: without_tensors(entry)
            for number, entry in state_dict["state"].items()
            if number in position
        }
        before = [position[i] for group in saved for i in group["params"]]
        state = {
            i: cast_like(entry, leaves[i])
            for i, entry in self._in_own_order(found, before).items()
        }
        transformations: list[GradientTransformation] = [
            self._build({k: v for k, v in group.items() if k != "params"})
            for group in groups
        ]
        cohorts = []
        for cohort in self._loaded_cohorts(state, transformations):
            try:
                tx = transformations[cohort.group]
                cohorts.append(self._fitted(cohort, tx, self.params))
            except KeyError:
                # As in torch it is the next step that misses the field.
                cohorts.append(cohort)
        self.param_groups = groups
        self._cohorts, self._order = cohorts, list(state)
        self._built = []
        for hook in tuple(self._load_post.values()):
            hook(self)

    def _loaded_group(self, old: Group, new: Group) -> Group:
        """A checkpoint's group with the parameters of the live one."""
        loaded = {**new, "params": old["params"]}
        if "param_names" in old:
            loaded.setdefault("param_names", old["param_names"])
        return loaded | {k: v for k, v in self.later_keys.items() if k not in loaded}

    def _in_own_order(
        self, state: dict[int, Any], before: Sequence[int]
    ) -> dict[int, Any]:
        """A checkpoint's state, by number here, for parameters in the order of here.

        **Arguments:** ``before``: the numbers in the order that the checkpoint has.
        """
        return state

    def _loaded_cohorts(
        self,
        state: Mapping[int, Mapping[str, Any]],
        transformations: Sequence[GradientTransformation],
    ) -> list[Cohort]:
        present = {
            i: {key: x for key, x in entry.items() if x is not None}
            for i, entry in state.items()
        }
        return cohorts_of(present, self._group_of())

    # --- groups ----------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; its missing hyperparameters are the defaults.

        After it `params` (and every gradient) is the list of the groups' pytrees.

        **Raises:** `TypeError` if it is no dict or holds what is no array; `KeyError`
        without ``"params"``; `ValueError` for a parameter of another group, and if only
        some groups have names. The optimizer is then unchanged.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        before = self.params
        group = self._checked_group(param_group)
        cohorts = [released(c, before, self._key) for c in self._cohorts]
        self._in_groups = True
        self._cohorts = cohorts
        self._append(group)

    def _add(self, group: Group) -> None:
        self._append(self._checked_group(group))

    def _append(self, group: Group) -> None:
        self.param_groups.append(group)
        self._gradients += [None] * len(jax.tree.leaves(group["params"]))

    def _checked_group(self, given: Group) -> Group:
        params, names = parameters_of(given["params"])
        group = {**given, "params": params}
        if names is not None:
            group["param_names"] = names
        for key, value in self.defaults.items():
            group.setdefault(key, value)
        check_new_group(group, self.param_groups, given["params"])
        return group

    # --- Python ----------------------------------------------------------------------

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return "\n".join([*lines, ")"])

    def __getstate__(self) -> dict[str, Any]:
        """All but the hooks, which are not part of a pickle or a copy."""
        params = self.params
        return {
            "defaults": self.defaults,
            "param_groups": self.param_groups,
            "_in_groups": self._in_groups,
            "_gradients": self._gradients,
            "_order": self._order,
            "_cohorts": [released(c, params, self._key) for c in self._cohorts],
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        Hooks.__init__(self)
        self._built = []
        self._opt_called = False
        self.__dict__.update(state)


def _by_name(saved: Group, own: Sequence[str]) -> Group:
    """A checkpoint's group in the order of ``own``, where that has the same names.

    Other names tell nothing: the order counts, as in torch.
    """
    old = saved.get("param_names")
    if old is None or not len(old) == len(set(old)) == len(saved["params"]):
        return saved
    # ``own`` may repeat a name: the path "a.b" is that of a key "a.b" too.
    if len(old) != len(own) or set(old) != set(own):
        return saved
    numbers = dict(zip(old, saved["params"], strict=True))
    return {**saved, "params": [numbers[n] for n in own], "param_names": list(own)}


def _gradient_error(params: PyTree, number: int, grad: Any) -> Exception:
    """What is wrong with the gradient of parameter ``number``."""
    name, param = list(leaves_with_names(params))[number]
    if not hasattr(grad, "shape"):
        return TypeError(
            f"grads must hold arrays, found {type(grad).__name__} at {name!r}"
        )
    return ValueError(
        f"grads and params differ in shape at {name!r}: {grad.shape} and {param.shape}"
    )


def _zeroed(grad: Any) -> Any:
    """Zeros of the kind of ``grad``; a sparse gradient loses its entries."""
    if is_sparse(grad):
        return BCOO((grad.data[:0], grad.indices[:0]), shape=grad.shape)
    return jnp.zeros(grad.shape, grad.dtype)


def _same(before: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a group's values are those that its transformation was built of."""
    return before.keys() == values.keys() and all(
        before[key] is value and not isinstance(value, np.ndarray | list)
        for key, value in values.items()
    )


def normalised(group: Mapping[str, Any]) -> Group:
    """Hyperparameters in one form each, so that no change of form compiles anew.

    The learning rate is an array: schedulers may move it anywhere, also by rounding
    below 0, and no structure depends on it.
    """
    group = {
        key: value if key in COUNTS else _number(value) for key, value in group.items()
    }
    if is_number(group.get("lr")):
        group["lr"] = np.asarray(group["lr"])
    return group


def _number(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_number, value))
    if isinstance(value, np.ndarray | jax.Array):
        return value.reshape(()) if value.size == 1 else value
    if is_number(value) and not isinstance(value, bool):
        return float(value)
    return value


def _check_like(name: str, found: PyTree, wanted: PyTree) -> None:
    leaves = flatten_like(found, wanted, (name, f"the optimizer's {name}"))
    pairs = zip(leaves_with_names(wanted), leaves, strict=True)
    for (path, leaf), new in pairs:
        if np.shape(new) != np.shape(leaf):
            raise ValueError(
                f"{name} has shape {np.shape(new)} at {path!r}, "
                f"expected {np.shape(leaf)}"
            )
