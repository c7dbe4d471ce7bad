"""Arrays of 8 or 4 bits per element: codes, and a scale for each block of elements."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import PartitionSpec

from ._codebooks import dynamic_codebook, nearest_codes, numbers_of
from ._dataclass import pytree_dataclass, static
from ._placement import (
    cut_alike,
    known_sharding,
    laid_along,
    laid_like,
    names_in,
    sharded_alike,
    whole,
)

Bits: TypeAlias = Literal[8, 4, "fp8"]
Map: TypeAlias = Literal["dynamic", "companded"]

_SMALLEST_SCALE = 1e-12


@dataclasses.dataclass(frozen=True)
class Codec:
    """How numbers in [-1, 1] become codes, and codes become numbers."""

    bits: Bits
    map: Map
    is_signed: bool
    # For unsigned codes, whether a positive number never becomes 0.
    keep_positive: bool
    block_size: int
    by_row: bool  # whether blocks end where the last axis does

    def scaled(self, x: Array) -> tuple[Array, Array]:
        """Each block's numbers divided by its scale, and the scales.

        A block of zeros has the scale 0, because some codes cannot represent a 0.
        """
        largest = jnp.max(jnp.abs(x), axis=-1, initial=0)
        scales = jnp.maximum(largest, _SMALLEST_SCALE)
        if self.map == "companded":
            scales = lax.convert_element_type(scales, jnp.float16)
            scales = jnp.maximum(scales, jnp.finfo(jnp.float16).smallest_subnormal)
        if self.bits == "fp8":
            scales = scales / float(jnp.finfo(jnp.float8_e4m3fn).max)
        wide = lax.convert_element_type(scales, x.dtype)
        # NaN and infinity stay in the scale, so that errors are not hidden.
        scales = jnp.where(largest == 0, jnp.zeros_like(scales), scales)
        return x / lax.expand_dims(wide, (wide.ndim,)), scales

    def encode(self, x: Array) -> Array:
        """The codes of numbers in [-1, 1]; for "fp8", of numbers up to its largest."""
        if self.bits == "fp8":
            codes = lax.convert_element_type(x, jnp.float8_e4m3fn)
            smallest = jnp.finfo(jnp.float8_e4m3fn).smallest_subnormal
            return self._kept(x, codes, jnp.asarray(smallest, codes.dtype))
        if self.map == "companded":
            return self._companded(x)
        codes = nearest_codes(x, self.bits, self.is_signed)
        has_zero = dynamic_codebook(self.bits, self.is_signed)[0] == 0
        return self._kept(x, codes, jnp.uint8(1)) if has_zero else codes

    def _kept(self, x: Array, codes: Array, smallest: Array) -> Array:
        """``codes``, with ``smallest`` where a positive number would become 0."""
        if self.is_signed or not self.keep_positive:
            return codes
        zero = jnp.zeros((), codes.dtype)
        return jnp.where((x > 0) & (codes == zero), smallest, codes)

    def _companded(self, x: Array) -> Array:
        if self.is_signed:
            codes = jnp.round(127 * (2 * x / (1 + jnp.abs(x))))
            return lax.convert_element_type(jnp.clip(codes, -127, 127), jnp.int8)
        codes = jnp.clip(jnp.round(255 * jnp.sqrt(x)), 0, 255)
        return self._kept(x, lax.convert_element_type(codes, jnp.uint8), jnp.uint8(1))

    def decode(self, codes: Array) -> Array:
        """The float32 numbers that codes represent."""
        if self.bits == "fp8":
            return lax.convert_element_type(codes, jnp.float32)
        if self.map == "companded":
            y = lax.convert_element_type(codes, jnp.float32)
            if self.is_signed:
                return (y / 127) / (2 - jnp.abs(y / 127))
            return (y / 255) * (y / 255)
        return numbers_of(codes, self.bits, self.is_signed)


@pytree_dataclass
class QuantizedArray:
    """An array as codes, and a scale for each block of elements.

    It has the shape and dtype of the array that it represents.

    **Fields:**

    - ``codes``: uint8 (int8 if companded and signed, float8_e4m3fn for "fp8"), one for
      each element; with 4 bits, two elements share a byte, the first in its upper half.
    - ``scales``: the factor of each block's numbers, float32 (float16 if companded).
    - ``shape``, ``dtype``: those of the array.
    - ``codec``: what the codes mean.
    """

    codes: Array
    scales: Array
    shape: tuple[int, ...] = static()
    dtype: Any = static()
    codec: Codec = static()

    def __repr__(self) -> str:
        shape = ",".join(map(str, self.shape))
        return f"QuantizedArray({self.codec.bits}, {self.dtype}[{shape}])"


def is_quantized(node: object) -> bool:
    """Whether a node of a tree is a quantized array."""
    return isinstance(node, QuantizedArray)


def quantize(
    x: Array, codec: Codec, like: QuantizedArray | None = None
) -> QuantizedArray:
    """An array as codes and scales, which lie as those of ``like``, or beside it."""
    cut = _cut_beside(x, codec)
    numbers, scales = codec.scaled(_blocks(x, codec, cut))
    codes = codec.encode(numbers)
    codes = codes.reshape(*codes.shape[:-2], -1)
    if codec.bits == 4:
        pairs = codes.reshape(*codes.shape[:-1], -1, 2)
        codes = pairs[..., 0] * jnp.uint8(16) + pairs[..., 1]
    else:
        codes = codes[..., : _row_length(x.shape, codec)]
    if like is not None:
        codes, scales = laid_like(codes, like.codes), laid_like(scales, like.scales)
    elif cut is not None:
        codes = laid_along(codes, cut.mesh, cut.codes)
        scales = laid_along(scales, cut.mesh, cut.scales)
    elif _runs_over_all_axes(x.shape, codec) and isinstance(x, jax.core.Tracer):
        axes = [i for i, n in enumerate(x.shape) if n > 1]
        vectors = [cut_alike(x, i, len(codes)) for i in axes]
        codes = sharded_alike(codes, sum(vectors)) if vectors else codes
    return QuantizedArray(codes, scales, x.shape, np.dtype(x.dtype), codec)


class _Cut(NamedTuple):
    """How an array that is about to be quantized and what it becomes are cut."""

    mesh: Any
    numbers: PartitionSpec
    codes: PartitionSpec
    scales: PartitionSpec


def _cut_beside(x: Array, codec: Codec) -> _Cut | None:
    """The shardings of the codes of ``x``; None if ``x`` is whole or not known.

    Codes are sharded like ``x``. If blocks run over all axes, they are sharded over all
    mesh axes that shard ``x``, as far as their number allows. If blocks end where the
    parts of ``x`` end, scales are sharded too, and nothing is exchanged. Otherwise
    scales are whole, which `dequantize` detects.
    """
    sharding = known_sharding(x)
    if sharding is None or not any(sharding.spec):
        return None
    entries = [*sharding.spec, *[None] * (x.ndim - len(sharding.spec))]
    length = _row_length(x.shape, codec)
    count = -(-length // codec.block_size)  # of blocks in a row
    codes = count * codec.block_size // 2 if codec.bits == 4 else length

    def parts(*entries: Any) -> int:
        names = names_in(PartitionSpec(*entries))
        return math.prod(sharding.mesh.shape[name] for name in names)

    if not _runs_over_all_axes(x.shape, codec):
        *rows, last = entries
        own = last if codes % parts(last) == 0 else None
        fits = length % (parts(last) * codec.block_size) == 0
        fitting = last if fits else None
        specs = [(*rows, fitting), (*rows, own), (*rows, fitting)]
    else:
        first, *others = entries
        names = names_in(PartitionSpec(*entries))
        while names and codes % parts(*names):
            names.pop()
        own = tuple(names) if len(names) > 1 else names[0] if names else None
        is_alone = not any(others) and names == names_in(PartitionSpec(first))
        fits = is_alone and length % (parts(first) * codec.block_size) == 0
        fitting = own if fits else None
        specs = [(fitting, *[None] * len(others)), (own,), (fitting,)]
    return _Cut(sharding.mesh, *(PartitionSpec(*spec) for spec in specs))


def from_blocks(
    codes: Any, scales: Any, shape: tuple[int, ...], codec: Codec
) -> QuantizedArray:
    """A float32 array from another package's codes and scales, block by block."""
    rows = () if _runs_over_all_axes(shape, codec) else shape[:-1]
    return QuantizedArray(
        codes.reshape(*rows, -1),
        scales.reshape(*rows, -1),
        shape,
        np.dtype(np.float32),
        codec,
    )


def stored_as(template: Any, x: Any) -> Any:
    """A plain or quantized array in the form of ``template``; its dtype may differ."""
    if is_quantized(template):
        return recoded(x, template.codec, template.dtype)
    return dequantize(x) if is_quantized(x) else x


def recoded(x: Any, codec: Codec, dtype: Any = jnp.float32) -> QuantizedArray:
    """A plain or quantized array in the codes of ``codec``; equal codes are kept."""
    if is_quantized(x) and _have_equal_codes(x.shape, x.codec, codec):
        return QuantizedArray(x.codes, x.scales, x.shape, np.dtype(dtype), codec)
    numbers = dequantize(x) if is_quantized(x) else jnp.asarray(x)
    return quantize(lax.convert_element_type(numbers, dtype), codec)


def _have_equal_codes(shape: tuple[int, ...], first: Codec, second: Codec) -> bool:
    """Whether codes mean the same in both, for an array of this shape."""
    # Codes of "fp8" always have a sign, and rounding does not change their meaning.
    one, other = (
        dataclasses.replace(
            codec,
            is_signed=codec.is_signed or codec.bits == "fp8",
            keep_positive=True,
            by_row=False,
        )
        for codec in (first, second)
    )
    return one == other and _row_length(shape, first) == _row_length(shape, second)


def dequantize(x: QuantizedArray) -> Array:
    """The numbers that codes and scales represent, in their array's dtype."""
    codec, codes = x.codec, x.codes
    if _last_entry(codes) != _last_entry(x.scales):
        codes = whole(codes, axes=1)
    if codec.bits == 4:
        halves = jnp.stack([codes >> jnp.uint8(4), codes & jnp.uint8(15)], axis=-1)
        codes = halves.reshape(*codes.shape[:-1], -1)
    length = _row_length(x.shape, codec)
    missing = x.scales.shape[-1] * codec.block_size - codes.shape[-1]
    padding = [(0, 0)] * (codes.ndim - 1) + [(0, missing)]
    blocks = jnp.pad(codes, padding).reshape(*x.scales.shape, codec.block_size)
    scales = lax.convert_element_type(x.scales, jnp.float32)
    numbers = codec.decode(blocks) * lax.expand_dims(scales, (scales.ndim,))
    numbers = numbers.reshape(*codes.shape[:-1], -1)[..., :length]
    return lax.convert_element_type(numbers.reshape(x.shape), x.dtype)


def _runs_over_all_axes(shape: tuple[int, ...], codec: Codec) -> bool:
    """Whether blocks run over all axes, not only along the last one."""
    fits = bool(shape) and shape[-1] % codec.block_size == 0
    return not shape or not (codec.by_row or fits)


def _row_length(shape: tuple[int, ...], codec: Codec) -> int:
    """The number of elements along the axis from which blocks are taken."""
    return math.prod(shape) if _runs_over_all_axes(shape, codec) else shape[-1]


def _last_entry(x: Array) -> Any:
    """The explicit mesh axes that shard the last axis of an array."""
    sharding: Any = jax.typeof(x).sharding
    return [*sharding.spec, *[None] * (x.ndim - len(sharding.spec))][-1]


def _blocks(x: Array, codec: Codec, cut: _Cut | None) -> Array:
    """Blocks of ``x``, with zeros at the end of the last one."""
    if cut is not None and any(jax.typeof(x).sharding.spec):
        x = laid_along(x, cut.mesh, cut.numbers)
    rows = x.reshape(-1) if _runs_over_all_axes(x.shape, codec) else x
    missing = -rows.shape[-1] % codec.block_size
    rows = jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, missing)])
    rows = lax.convert_element_type(rows, jnp.float32)
    return rows.reshape(*rows.shape[:-1], -1, codec.block_size)
