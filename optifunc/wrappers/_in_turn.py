"""An update of quantized state that decodes one array after another.

XLA is free to decode all of them first, and does so on a CPU to run more at the same
time. The whole state is then in float32, which 8-bit state is meant to avoid. Here, an
array is decoded when it is its turn, after the previous ones have been encoded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .._jaxpr import results_of
from .._placement import is_partly_manual
from .._quantization import Codec, QuantizedArray, dequantize, is_quantized, quantize
from .._transformation import State
from .._tree import PyTree

Update = Callable[[State], tuple[PyTree, State]]

# The approximate number of turns for a state. Each makes the next one wait, and on a
# mesh costs a message of one number.
_TURNS = 24


def updated_in_turn(update: Update, state: State) -> tuple[PyTree, State]:
    """``update(numbers)`` with the numbers that a quantized state represents.

    **Arguments:**

    - ``update``: a function of a state without codes; returns updates and a new state.
    - ``state``: a state with codes.

    **Returns:** the updates, and the new state with codes where ``state`` has them.
    """
    structure: Any
    leaves, structure = jax.tree.flatten(state, is_leaf=is_quantized)
    chosen = [i for i, leaf in enumerate(leaves) if is_quantized(leaf)]

    def of_numbers(numbers: Sequence[Array]) -> tuple[PyTree, list[Any]]:
        filled = list(leaves)
        for i, x in zip(chosen, numbers, strict=True):
            filled[i] = x
        updates, new = update(structure.unflatten(filled))
        return updates, structure.flatten_up_to(new)

    stored = [leaves[i] for i in chosen]
    traced = None if _runs_at_once(stored) else _traced(of_numbers, stored)
    if traced is None:
        updates, new = of_numbers([dequantize(x) for x in stored])
        for i, old in zip(chosen, stored, strict=True):
            new[i] = quantize(new[i], old.codec, old)
    else:
        updates, new = _Turns(traced[0], stored).run(traced[1], chosen)
    return updates, structure.unflatten(new)


def _runs_at_once(stored: Sequence[QuantizedArray]) -> bool:
    """Whether nothing is compiled, or waiting would need an impossible computation."""
    is_compiled = any(isinstance(x.codes, jax.core.Tracer) for x in stored)
    return (
        not is_compiled
        or is_partly_manual()
        or bool(jax.config.values["jax_disable_jit"])
    )


def _traced(function: Callable[..., Any], stored: Sequence[QuantizedArray]) -> Any:
    """The jaxpr of a function of numbers, and its results' shapes.

    None if it does more than compute them.
    """
    shapes = list(map(_shape_of_numbers, stored))
    closed, results = jax.make_jaxpr(function, return_shape=True)(shapes)
    return None if closed.effects else (closed, results)


def _shape_of_numbers(x: QuantizedArray) -> Any:
    """The shape, dtype and sharding of the numbers that an array represents."""
    types = (jax.typeof(x.codes), jax.typeof(x.scales))
    return _decoded_shape(types, x.shape, x.dtype, x.codec)


@functools.lru_cache(maxsize=1024)
def _decoded_shape(
    types: tuple[Any, Any], shape: tuple[int, ...], dtype: Any, codec: Codec
) -> Any:
    """The same for all arrays of these types: to find it, decoding is traced."""
    return jax.eval_shape(
        lambda codes, scales: dequantize(
            QuantizedArray(codes, scales, shape, dtype, codec)
        ),
        *types,
    )


class _Turns:
    """The operations of an update, in the order in which results need them.

    **Arguments:**

    - ``closed``: the jaxpr of the update, a function of numbers.
    - ``stored``: the arrays that represent these numbers.
    """

    def __init__(self, closed: Any, stored: Sequence[QuantizedArray]) -> None:
        self.outputs: list[Any] = closed.jaxpr.outvars
        self.values: dict[Any, Any] = dict(
            zip(closed.jaxpr.constvars, closed.consts, strict=True)
        )
        self.stored = dict(zip(closed.jaxpr.invars, stored, strict=True))
        self.origin = {x: eqn for eqn in closed.jaxpr.eqns for x in eqn.outvars}
        self.opened: list[Any] = []  # the arrays decoded so far
        self.turn: Array | None = None  # known when the last turn has ended
        self.pending = 0  # how many numbers this one has encoded
        self.share = max(1, sum(_code_count(x) for x in stored) // _TURNS)

    def run(self, results: Any, chosen: Sequence[int]) -> tuple[PyTree, list[Any]]:
        """The updates and the leaves of the new state, encoded where ``chosen``."""
        count = len(jax.tree.leaves(results[0]))
        structure: Any = jax.tree.structure(results[0])
        outputs = {name: count + i for name, i in zip(self.stored, chosen, strict=True)}
        encoded: dict[int, QuantizedArray] = {}

        def encode(name: Any) -> None:
            new = self._waiting(self.read(self.outputs[outputs[name]]))
            old = self.stored[name]
            encoded[outputs[name]] = quantize(new, old.codec, old)
            self._note(encoded[outputs[name]])

        updates, begun = [], 0
        for output in self.outputs[:count]:
            updates.append(self.read(output))
            opened, begun = self.opened[begun:], len(self.opened)
            for name in opened:
                encode(name)
        for name in self.stored:
            if outputs[name] not in encoded:
                encode(name)
        new = [
            encoded[i] if i in encoded else self.read(x)
            for i, x in enumerate(self.outputs)
            if i >= count
        ]
        return structure.unflatten(updates), new

    def _note(self, x: QuantizedArray) -> None:
        """End the turn if enough has been encoded in it, ending with ``x``."""
        self.pending += _code_count(x)
        if self.pending >= self.share:
            self.pending, self.turn = 0, jnp.min(x.scales)

    def _waiting(self, x: Array) -> Array:
        """``x``, made unavailable until the last turn has ended.

        XLA's barrier does not work: on a CPU, it is removed before the order is chosen.
        """
        if self.turn is None:
            return x
        # A scale is never negative, but the compiler does not know that.
        never = self.turn < 0
        return jnp.where(never, jnp.zeros_like(x), x)

    def read(self, wanted: Any) -> Any:
        """The value of a variable, computed now if it has not been."""
        open_ones = [wanted]
        while open_ones:
            x = open_ones[-1]
            if _is_known(x) or x in self.values:
                open_ones.pop()
            elif x in self.stored:
                self.values[x] = self._decoded(x)
            else:
                eqn = self.origin[x]
                missing = [
                    y for y in eqn.invars if not (_is_known(y) or y in self.values)
                ]
                if missing:
                    open_ones += missing
                    continue
                found = results_of(eqn, [self._value(y) for y in eqn.invars])
                self.values.update(zip(eqn.outvars, found, strict=True))
        return self._value(wanted)

    def _value(self, x: Any) -> Any:
        return x.val if _is_known(x) else self.values[x]

    def _decoded(self, name: Any) -> Array:
        self.opened.append(name)
        x = self.stored[name]
        codes = self._waiting(x.codes)
        return dequantize(QuantizedArray(codes, x.scales, x.shape, x.dtype, x.codec))


def _is_known(x: Any) -> bool:
    """Whether an operand of a jaxpr is a literal."""
    return hasattr(x, "val")


def _code_count(x: QuantizedArray) -> int:
    return int(x.codes.size)
