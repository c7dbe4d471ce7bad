"""State in 8 or 4 bits per number."""

from __future__ import annotations

from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._checks import check_choice, check_integer
from .._dataclass import child, static
from .._quantization import (
    Bits,
    Codec,
    Map,
    dequantize,
    is_quantized,
    quantize,
)
from .._state import Field, RelaidState, Role, map_state
from .._transformation import Child, GradientTransformation, State, transformation
from .._tree import PyTree, compute_dtype, is_array, is_sparse, leaf_dtype
from ._in_turn import updated_in_turn
from ._selection import Mask, check_mask, chosen_values, static_choice
from ._wrapper import Wrapper


@transformation
class quantized(Wrapper):
    """Keep the state of a transformation in 8 or 4 bits per number.

    ::

        state = decode(codes) * scale                   (for each block of numbers)
        u, state = inner.update(g, state)
        scale = max |state|,  codes = encode(state / scale)

    The update is that of the inner transformation in float32; rounding affects only the
    next step. Adam's state takes 2 bytes per parameter, plus 8 per ``block_size``,
    instead of 8::

        tx = of.quantized(of.adamw(1e-3))

    Only state with the shape of a large parameter is quantized, not counts, factors or
    the state of small parameters. State that is never negative (`NonNegative`, such as
    a mean of squares) has unsigned codes.

    A block has one scale. A number that is a million times smaller than the largest in
    its block would become 0, and dividing by it would make the step far too large, so
    positive numbers stay positive. If rows differ in size, as in embeddings, end blocks
    with the rows (``by_row``) or leave the parameter out (``mask``).

    **Arguments:**

    - ``inner``: a transformation.
    - ``bits``: 8, 4 or ``"fp8"`` (float8_e4m3fn).
    - ``block_size``: the number of numbers that share a scale; None: 256, for 4 bits
      128, for companded numbers 32.
    - ``min_size``: parameters with fewer numbers are left out.
    - ``map``: ``"dynamic"``, the codes of bitsandbytes and torchao; or, with 8 bits,
      ``"companded"``, those of FlashOptim (of square roots for nonnegative numbers),
      with float16 scales.
    - ``mask``: which parameters are quantized, as in `masked`; None: all.
    - ``by_row``: end blocks where the last axis ends. Otherwise, blocks run along the
      last axis if it is a multiple of ``block_size``, and over all axes if not.
    - ``keep_positive``: never round positive numbers to 0 in nonnegative state. torchao
      does (``False``).

    **State:** the inner transformation's, with a `QuantizedArray` in place of each
    quantized array. Its codes are sharded like the parameter. If a device has no whole
    blocks, numbers are gathered while they are encoded, and codes while they are
    decoded.

    **Raises:** `ValueError` for unknown ``bits`` or ``map``, for sizes below 1, and at
    `init` if `flatten` is inside. `flatten` rejects this transformation, too.

    **Source:** Dettmers et al., "8-bit optimizers via block-wise quantization", 2021,
    [arXiv:2110.02861](https://arxiv.org/abs/2110.02861); 4 bits: Li, Chen, and Zhu,
    2023, [arXiv:2309.01507](https://arxiv.org/abs/2309.01507); companded: Gonzalez
    Ortiz et al., 2026, [arXiv:2602.23349](https://arxiv.org/abs/2602.23349).
    """

    inner: GradientTransformation = child()
    bits: Bits = static(default=8)
    block_size: int | None = static(default=None)
    min_size: int = static(default=4096)
    map: Map = static(default="dynamic")
    mask: Mask | None = static(default=None)
    by_row: bool = static(default=False)
    keep_positive: bool = static(default=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("bits", self.bits, get_args(Bits))
        check_choice("map", self.map, get_args(Map))
        if self.map == "companded" and self.bits != 8:
            raise ValueError(f"map='companded' has 8 bits, found bits={self.bits!r}")
        if self.block_size is not None:
            check_integer("block_size", self.block_size, at_least=2)
            if self.bits == 4 and self.block_size % 2:
                raise ValueError(
                    "block_size must be even for 4 bits, two of which share a byte, "
                    f"found {self.block_size}"
                )
        check_integer("min_size", self.min_size, at_least=1)
        if self.mask is not None:
            object.__setattr__(self, "mask", static_choice(self.mask, check_mask))

    def state_of(self, child: Child, state: State) -> State:
        return state

    def _codec(self, is_signed: bool) -> Codec:
        usual = 32 if self.map == "companded" else 128 if self.bits == 4 else 256
        return Codec(
            self.bits,
            self.map,
            is_signed,
            self.keep_positive,
            usual if self.block_size is None else self.block_size,
            self.by_row,
        )

    def _is_quantized(self, part: Any, param: Any) -> bool:
        return (
            is_array(part)
            and np.shape(part) == np.shape(param)
            and np.size(part) >= self.min_size
            and bool(jnp.issubdtype(leaf_dtype(part), jnp.floating))
        )

    def init(self, params: PyTree) -> State:
        structure: Any
        leaves, structure = jax.tree.flatten(params, is_leaf=is_sparse)
        state = self.inner.init(params)
        if any(map(_is_relaid, jax.tree.leaves(state, is_leaf=_is_relaid))):
            raise ValueError(
                "quantized holds flatten, whose state is of joined parameters; remove "
                "flatten: small parameters are not quantized anyway"
            )
        chosen = [True] * len(leaves)
        if self.mask is not None:
            chosen = chosen_values(self.mask, params, "mask", check_mask)

        def convert(field: Field, value: Any) -> Any:
            if not field.role.is_per_parameter:
                return value
            codec = self._codec(field.role is not Role.NON_NEGATIVE)

            def quantize_part(part: Any, param: Any, is_chosen: bool) -> Any:
                if not is_chosen or not self._is_quantized(part, param):
                    return part
                wide = compute_dtype(leaf_dtype(part))
                return quantize(lax.convert_element_type(part, wide), codec)

            parts = structure.flatten_up_to(value)
            return structure.unflatten(map(quantize_part, parts, leaves, chosen))

        return map_state(convert, state, params)

    def evaluated(self, state: State, params: PyTree) -> PyTree:
        return self.inner.evaluated(dequantized(state), params)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        def update(numbers: State) -> tuple[PyTree, State]:
            return self.inner.update(updates, numbers, params, **extra)

        return updated_in_turn(update, state)


def dequantized(state: State) -> State:
    """``state`` with numbers in place of codes."""
    return jax.tree.map(
        lambda x: dequantize(x) if is_quantized(x) else x,
        state,
        is_leaf=is_quantized,
    )


def _is_relaid(node: Any) -> bool:
    return isinstance(node, RelaidState)
