"""Any pure transformation, driven statefully."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._hyperparameters import current_hyperparameters, replace_hyperparameters
from .._transformation import GradientTransformation
from .._tree import PyTree, path_name
from ..wrappers._scheduled import as_transformation
from ._cohorts import Cohort, cohorts_of, columns_of
from ._optimizer import Optimizer, hooked, normalised


class Functional(Optimizer):
    """Drive a gradient transformation with the methods of `Optimizer`.

    ::

        tx = of.chain(of.clip_by_global_norm(1.0), of.adamw(3e-4))
        optimizer = of.optim.Functional(tx, params)

    The transformation's hyperparameters, under the names that
    `optifunc.current_hyperparameters` gives them, are the groups' keys: assigning to
    ``param_groups[0]["lr"]`` replaces the number from the next step on. The keys of a
    parameter's state are the paths of the fields (``"1.exp_avg"``). Parameters whose
    numbers of steps differ, because gradients were None, are updated apart: what
    takes them together, such as a global norm, then sees those of one age.

    **Arguments:** ``tx``: a transformation of this library or of optax; ``params``: as
    `Optimizer`'s.

    **Raises:** `TypeError` if ``tx`` is no transformation.
    """

    fields = None
    no_sparse = None

    def __init__(self, tx: Any, params: Any) -> None:
        self.tx = as_transformation(tx)
        super().__init__(params, current_hyperparameters(self.tx, None))

    def _build(self, values: Mapping[str, Any]) -> GradientTransformation:
        numbers = normalised({name: values[name] for name in self.defaults})
        # What was given as an integer, such as a seed, stays one.
        given = {
            name: values[name] if isinstance(default, int) else numbers[name]
            for name, default in self.defaults.items()
        }
        return replace_hyperparameters(self.tx, **given)

    def _key(self, path: Sequence[Any]) -> str:
        return path_name(path)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "tx": self.tx}

    def _exported(self, key: str, value: Any) -> Any:
        return np.array(value)

    def _loaded_cohorts(
        self,
        state: Mapping[int, Mapping[str, Any]],
        transformations: Sequence[GradientTransformation],
    ) -> list[Cohort]:
        # Which fields parameters have in common, the transformation says.
        everything = tuple(range(len(self._gradients)))
        new = Cohort(0, everything, 0, self.tx, self.tx.init(self.params))
        shared = columns_of(new, self.params, self._key).shared
        return cohorts_of(state, self._group_of(), shared)

    @hooked
    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        grads: PyTree = None,
        **extra: Any,
    ) -> Any:
        """Update the parameters, as `Optimizer.step`.

        **Arguments:** ``extra``: arrays that the transformation's update needs besides,
        such as ``value``.
        """
        loss = None if closure is None else closure()
        self._update(grads, extra)
        return loss
