"""The pure transformation for the values of a group, and its wrapper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from .._state import state_fields
from .._transformation import GradientTransformation
from ..wrappers._dynamic_loss_scale import dynamic_loss_scale
from ..wrappers._scheduled import as_transformation
from ..wrappers._wrapper import transformations_in
from . import _programs as programs
from ._cohorts import Cohort, CohortStates
from ._layouts import StateLayout
from ._parameters import Parameters
from ._signatures import bound, has_values, values_of


class Wrapping(Parameters):
    """How an optimizer turns a group's values into a transformation."""

    # The pure factory; a group's values are its arguments, by name.
    factory: ClassVar[Callable[..., GradientTransformation]]
    # The layout of a parameter's state in a state dict.
    layout: StateLayout = StateLayout()
    # Whether torch counts steps that the pure state does not.
    counts_steps: ClassVar[bool] = False

    _cohorts: list[Cohort]
    _built: list[tuple[Any, GradientTransformation]]
    _wrapper: Callable[[GradientTransformation], Any] | None = None

    def build(self, values: Mapping[str, Any]) -> GradientTransformation:
        """The pure transformation for a group's values.

        **Arguments:**

        - ``values``: hyperparameters by name, as the user set them.

        **Returns:** a transformation, which `wrap` may wrap.
        """
        tx = bound(type(self).factory, values)
        return programs.counted(tx) if self.counts_steps else tx

    def _wrapped(self, values: Mapping[str, Any]) -> GradientTransformation:
        """`build`'s transformation inside the wrapper."""
        tx = self.build(values)
        return tx if self._wrapper is None else as_transformation(self._wrapper(tx))

    def wrap(self, wrapper: Callable[[GradientTransformation], Any]) -> Self:
        """Wrap this optimizer's transformation with ``wrapper``.

        Call it before the first step, as in ::

            optimizer = of.optim.AdamW(params, lr=1e-3).wrap(of.master_weights)

        State dicts also have the fields of the wrapper, and can be loaded by an
        optimizer that is wrapped in the same way. Each group is wrapped separately. To
        save or copy the optimizer with `pickle`, use a function defined in a module.

        **Arguments:**

        - ``wrapper``: a function that takes a transformation and returns one: a class
          such as `kahan`, or a function that combines several.

        **Returns:** this optimizer.

        **Raises:** `RuntimeError` after the first step; `TypeError` if ``wrapper`` is
        not such a function.
        """
        programs.refuse_tracing("wrap")
        if any(cohort.steps for cohort in self._cohorts):
            raise RuntimeError(
                "wrap was called after the first step, when there is state that the "
                "wrapper has not seen; call it where the optimizer is created"
            )
        if not callable(wrapper):
            raise TypeError(
                "wrapper must be a function of a transformation, such as "
                f"optifunc.master_weights, found {wrapper!r}"
            )
        before = self._wrapper

        def both(tx: GradientTransformation) -> Any:
            return wrapper(tx if before is None else before(tx))

        groups = list(map(values_of, self.param_groups))
        self._wrapper = wrapper if before is None else both
        try:
            made = [self._wrapped(values) for values in groups]
            names = {
                self.layout.key(field)
                for tx in made
                for field, _ in state_fields(
                    jax.eval_shape(tx.init, self.params), self.params
                )
            }
        except BaseException:
            self._wrapper = before
            raise
        self.layout = self.layout.with_fields(names)
        self._built = []
        self._renew_state()
        return self

    def _transformations(self) -> list[GradientTransformation]:
        """The transformation of each group, rebuilt if a value has changed."""
        built = []
        for number, group in enumerate(self.param_groups):
            before = self._built[number] if number < len(self._built) else None
            if before is None or not has_values(group, before[0]):
                values = values_of(group)
                self._check_keys(values)
                # Put arrays on the device now instead of converting numbers at every
                # step.
                before = values, jax.tree.map(jnp.asarray, self._wrapped(values))
            built.append(before)
        self._built = built
        return [tx for _, tx in built]

    def _states(self) -> CohortStates:
        return CohortStates(self.params, self.layout.key)

    def _loss_scales(self) -> dict[int, Any]:
        transformations = self._transformations()
        first = {
            number: jnp.asarray(held.init_scale, jnp.float32)
            for number, tx in enumerate(transformations)
            for held in (tx, *transformations_in(tx))
            if isinstance(held, dynamic_loss_scale)
        }
        if not first:
            return {}
        scales: dict[int, Any] = {
            i: first[g] for i, g in enumerate(self.group_of()) if g in first
        }
        states = self._states()
        for cohort in self._cohorts:
            if cohort.group in first:
                state = states.refitted(cohort, transformations[cohort.group]).state
                scales |= dict.fromkeys(cohort.members, programs.scale_in(state))
        return scales

    def _renew_state(self) -> None:
        """Recreate the state that exists before the first step."""
        raise NotImplementedError
