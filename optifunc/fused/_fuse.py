"""Fusing functions of trees."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from . import _compiler as compiler
from ._primitive import call

F = TypeVar("F", bound=Callable[..., Any])


def fuse(function: F) -> F:
    """Compile a function so that on CPU each array is read and written once.

    ::

        @of.fuse
        def step(params, state, grads):
            updates, state = tx.update(grads, state, params)
            return of.apply_updates(params, updates), state

        step = jax.jit(step, donate_argnames=("params", "state"))

    XLA's CPU compiler creates a loop for each result: a step of AdamW, which has three,
    reads the gradient three times. This function combines elementwise operations that
    belong together in one kernel with several results, which LLVM compiles for this
    processor and XLA's threads run. The largest and smallest numbers of rows are part
    of it where the rows are then computed with them. Other operations, such as a norm
    or a matrix product, stay with XLA. It works for any function of arrays, including
    optax's transformations; `apply_gradients` is the ready-made step.

    The result is compiled as by `jax.jit`, and may be used inside or outside it. It
    equals ``function`` up to rounding (a product and a sum may be contracted, which XLA
    may also do). `jax.vmap`, `jax.grad`, `jax.lax.scan`, `jax.checkpoint` and
    `jax.shard_map` work as for ``function``.

    XLA compiles the whole function on platforms other than Linux on x86-64, in programs
    that it partitions over several devices (but not inside `jax.shard_map`), in
    programs for `jax.export`, and if the extra ``optifunc[fused]`` is not installed, in
    which case there is one `UserWarning`. XLA also compiles operations that kernels do
    not support (`jax.numpy.exp`, products of complex numbers), with everything
    connected to them.

    **Arguments:**

    - ``function``: a pure function of trees of arrays that returns such a tree.

    **Returns:** the fused function.
    """

    def fused(*args: Any, **kwargs: Any) -> Any:
        _notice_what_is_missing()
        return fused_call(function, *args, **kwargs)

    compiled: Any = jax.jit(functools.wraps(function)(fused), inline=True)
    result: F = compiled
    return result


def fused_call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)`` as one fused call.

    Leaves that are not arrays, such as the functions in a module, do not change.
    """
    structure: Any
    leaves, structure = jax.tree.flatten((args, kwargs))
    arrays = [i for i, leaf in enumerate(leaves) if _is_array(leaf)]
    returned: dict[str, Any] = {}

    def of_arrays(*values: Any) -> list[Any]:
        whole = list(leaves)
        for i, value in zip(arrays, values, strict=True):
            whole[i] = value
        args, kwargs = structure.unflatten(whole)
        results, returned["structure"] = jax.tree.flatten(function(*args, **kwargs))
        returned["leaves"] = [None if _is_array(x) else x for x in results]
        return [x for x in results if _is_array(x)]

    found = iter(call(of_arrays, *(leaves[i] for i in arrays)))
    results = [next(found) if x is None else x for x in returned["leaves"]]
    return returned["structure"].unflatten(results)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | complex | float | int)


@functools.cache
def _notice_what_is_missing() -> None:
    if (
        compiler.is_supported()
        and not compiler.is_installed()
        and jax.default_backend() == "cpu"
    ):
        warnings.warn(
            "of.fuse needs llvmlite, which is not installed, and leaves functions "
            "unchanged: pip install 'optifunc[fused]'",
            stacklevel=4,
        )
