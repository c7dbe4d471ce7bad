"""Different transformations for parameters with different labels."""

from __future__ import annotations

from functools import partial
from typing import Any

from .._dataclass import child, static
from .._extra import adapted_extra
from .._foreign_state import foreign_state
from .._transformation import (
    Child,
    GradientTransformation,
    State,
    transformation,
)
from .._tree import PyTree, flatten_like, params_like
from ._selection import chosen_values, like, merged, selected, static_choice
from ._wrapper import Wrapper


@transformation
class partition(Wrapper):
    """Apply the transformation of its label to each leaf.

    Each transformation sees ``None`` for updates and parameters of other labels, and
    keeps no state for them. With `set_to_zero` this freezes parameters::

        of.partition(
            {"train": of.adamw(1e-3), "freeze": of.set_to_zero()},
            lambda path, leaf: "freeze" if path.startswith("encoder") else "train",
        )

    A label may apply to no leaf. An extra argument that is a function of the parameters
    (``value_fn``) is passed to each transformation as a function of its own leaves,
    with the others held constant.

    **Arguments:**

    - ``transformations``: a dict from labels to transformations, ours or optax's. A
      label that is not a string (a number, an enum member) is converted by ``str``.
    - ``labels``: a pytree of labels, whose leaves may stand for whole subtrees of the
      parameters; or a function of ``(path, leaf)``, or of the parameters (see
      `masked`).

    **State:** a dict from labels to states.

    **Raises:** `TypeError` if ``transformations`` is not a dict; `ValueError` for two
    labels with the same ``str``, for an unknown label (it lists the known ones), at
    `init` for labels that do not fit the parameters, and at `update` for another
    partition's state.
    """

    transformations: dict[str, GradientTransformation] = child()
    labels: Any = static()

    def __post_init__(self) -> None:
        given = self.transformations
        if not isinstance(given, dict):
            raise TypeError(
                f"transformations must be a dict from labels to them, found {given!r}"
            )
        # JAX sorts the keys of a dict, which fails if they have different types.
        named = type(given)((str(label), tx) for label, tx in given.items())
        if len(named) < len(given):
            raise ValueError(f"two of the labels {list(given)} have the same name")
        object.__setattr__(self, "transformations", named)
        super().__post_init__()
        choice = static_choice(self.labels, self._check_label)
        object.__setattr__(self, "labels", choice)

    def _check_label(self, path: str, value: Any) -> str:
        if str(value) not in self.transformations:
            raise ValueError(
                f"unknown label {value!r} at {path!r}; "
                f"known: {sorted(self.transformations)}"
            )
        return str(value)

    def labels_of(self, params: PyTree) -> list[str]:
        """The label of each leaf.

        **Arguments:**

        - ``params``: the parameters.

        **Returns:** labels in the order of `jax.tree.leaves`.
        """
        return chosen_values(self.labels, params, "labels", self._check_label)

    def state_of(self, child: Child, state: State) -> State:
        return state[child.key]

    def params_of(self, child: Child, params: PyTree) -> PyTree:
        chosen = [label == child.key for label in self.labels_of(params)]
        return selected(params, params, "params", chosen)

    def init(self, params: PyTree) -> dict[str, State]:
        return {
            child.key: child.transformation.init(self.params_of(child, params))
            for child in self.children()
        }

    def update(
        self,
        updates: PyTree,
        state: dict[str, State],
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, dict[str, State]]:
        if not isinstance(state, dict) or state.keys() != self.transformations.keys():
            labels = sorted(self.transformations)
            raise foreign_state(self, f"a dict with the labels {labels}", state)
        reference = updates if params is None else params_like(params, updates)
        labels = self.labels_of(reference)
        result: list[Any] = [None] * len(labels)
        states = {}
        for label, tx in self.transformations.items():
            chosen = [x == label for x in labels]
            restrict = partial(
                selected, reference=reference, name="updates", chosen=chosen
            )
            restore = partial(
                merged,
                rest=reference,
                reference=reference,
                name="params",
                chosen=chosen,
            )
            new, states[label] = tx.update(
                restrict(updates),
                state[label],
                None if params is None else restrict(reference),
                **adapted_extra(extra, reference, restrict, restore),
            )
            leaves = flatten_like(new, reference, (f"updates of {label}", "params"))
            for i, leaf in enumerate(leaves):
                if chosen[i]:
                    result[i] = leaf
        return like(reference, result), states
