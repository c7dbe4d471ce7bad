"""Functions of trees as fused ones."""

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

    XLA's CPU compiler makes a loop for each result: a step of AdamW, which has three,
    reads the gradient three times. Here the elementwise operations that belong together
    become one kernel with several results, compiled by LLVM for the processor at hand
    and run on XLA's threads. What is not elementwise, such as a norm or a product of
    matrices, stays with XLA. It serves any function of arrays, with optax's
    transformations as well; `apply_gradients` is the ready-made step.

    The result is compiled as by `jax.jit`, and may be used inside of it and around it.
    It is what ``function`` is, up to rounding (a product and a sum may be contracted,
    as XLA may do too): `jax.vmap`, `jax.grad`, `jax.lax.scan`, `jax.checkpoint` and
    `jax.shard_map` of it are those of ``function``.

    It is left to XLA as a whole elsewhere than on Linux on x86-64, in programs that
    XLA partitions over several devices (inside `jax.shard_map` it is not), in programs
    for `jax.export`, and where the extra ``optifunc[fused]`` is not installed, of which
    a `UserWarning` says so once. Operations that kernels do not know (`jax.numpy.exp`,
    complex numbers) are left to XLA with all that is connected with them.

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

    Leaves that are not arrays, such as the functions in a module, stay as they are.
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
            "of.fuse needs llvmlite, which is not installed, and leaves functions as "
            "they are: pip install 'optifunc[fused]'",
            stacklevel=4,
        )
