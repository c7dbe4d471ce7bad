"""The primitive of a fused function, and how JAX's transformations treat it.

It holds a jaxpr and has the same meaning. Transformations of the primitive transform
the jaxpr. Whether kernels compute it is decided when it is lowered, when platform and
devices are known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from ._graph import dtype_name
from ._lowering import lower, lower_plainly, no_collection, plain
from ._rows import LARGEST_TABLE
from ._types import TYPES

fused_p = core.Primitive("fused")
fused_p.multiple_results = True


def call(function: Callable[..., Sequence[Any]], *args: Any) -> list[Any]:
    """``function(*args)``, a function of arrays that returns several, fused."""
    with no_collection():
        closed = jax.make_jaxpr(function)(*args)
    # Collectives over named axes, and output; types that JAX has not yet lowered.
    if closed.effects or getattr(closed.jaxpr, "is_high", False):
        return list(core.jaxpr_as_fun(closed)(*args))
    # Closed-over values may be traced, so they must be operands, except for tables.
    constants = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    tables = {var: np.asarray(x) for var, x in constants.items() if _is_table(x)}
    others = {var: x for var, x in constants.items() if var not in tables}
    jaxpr = closed.jaxpr.replace(
        constvars=[*tables],
        invars=[*others, *closed.jaxpr.invars],
        debug_info=closed.jaxpr.debug_info._replace(arg_names=None),
    )
    known = core.ClosedJaxpr(jaxpr, [*tables.values()])
    results: list[Any] = fused_p.bind(*others.values(), *args, jaxpr=known)
    return results


def _is_table(x: Any) -> bool:
    """Whether a constant is a short vector of numbers, known while tracing."""
    if isinstance(x, jax.core.Tracer) or not isinstance(x, np.ndarray | jax.Array):
        return False
    is_here = isinstance(x, np.ndarray) or x.is_fully_addressable
    is_short = x.ndim == 1 and 1 < x.size <= LARGEST_TABLE
    return bool(is_here and is_short and dtype_name(x.dtype) in TYPES)


def _types(*args: Any, jaxpr: core.ClosedJaxpr) -> list[Any]:
    types: list[Any] = jaxpr.out_avals
    return types


def _batch(
    args: Sequence[Any], axes: Sequence[Any], *, jaxpr: core.ClosedJaxpr
) -> tuple[list[Any], list[int]]:
    mapped = jax.vmap(core.jaxpr_as_fun(jaxpr), in_axes=tuple(axes))
    results = call(mapped, *args)
    return results, [0] * len(results)


def _differentiate(
    args: Sequence[Any], tangents: Sequence[Any], *, jaxpr: core.ClosedJaxpr
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Like the plain function: its derivative may need all intermediate values."""
    varying = [i for i, tangent in enumerate(tangents) if type(tangent) is not ad.Zero]
    primals, given = (tuple(x[i] for i in varying) for x in (args, tangents))
    # Tangents of integers have JAX's dtype float0, which also means zero here.
    results: tuple[Sequence[Any], Sequence[Any]] = jax.jvp(
        _of_some(args, varying, jaxpr), primals, given
    )
    return results


def _transpose(
    cotangents: Sequence[Any], *args: Any, jaxpr: core.ClosedJaxpr
) -> list[Any]:
    unknown = [i for i, x in enumerate(args) if ad.is_undefined_primal(x)]
    transposed = jax.linear_transpose(
        _of_some(args, unknown, jaxpr), *(args[i].aval for i in unknown)
    )
    found = iter(transposed([ad.instantiate_zeros(x) for x in cotangents]))
    return [next(found) if ad.is_undefined_primal(x) else None for x in args]


def _of_some(
    args: Sequence[Any], places: Sequence[int], jaxpr: core.ClosedJaxpr
) -> Callable[..., Sequence[Any]]:
    """The plain function of the arguments at some places; the others are given."""

    def function(*values: Any) -> Sequence[Any]:
        everything = list(args)
        for i, value in zip(places, values, strict=True):
            everything[i] = value
        return plain(*everything, jaxpr=jaxpr)

    return function


fused_p.def_impl(plain)
fused_p.def_abstract_eval(_types)
batching.primitive_batchers[fused_p] = _batch
ad.primitive_jvps[fused_p] = _differentiate
ad.primitive_transposes[fused_p] = _transpose
mlir.register_lowering(fused_p, lower_plainly)
# Not once for several calls: each has separate operands, which it may overwrite.
mlir.register_lowering(fused_p, lower, platform="cpu", cacheable=False)
