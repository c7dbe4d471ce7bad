"""The program of a fused function: kernels where possible, and XLA elsewhere."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jax.extend import core
from jax.interpreters import mlir

from . import _compiler as compiler
from ._execute import Execution


def plain(*args: Any, jaxpr: core.ClosedJaxpr) -> Sequence[Any]:
    """What a fused function computes, without kernels."""
    results: Sequence[Any] = core.jaxpr_as_fun(jaxpr)(*args)
    return results


lower_plainly: Any = mlir.lower_fun(plain, multiple_results=True)


def lower(ctx: Any, *operands: Any, jaxpr: core.ClosedJaxpr) -> Any:
    """The program on CPU, with kernels if possible."""
    if _is_local(ctx.module_context) and can_compile():
        try:
            with no_collection():
                execution = Execution(jaxpr, list(map(written_over, operands)))
                program = mlir.lower_fun(execution, multiple_results=True)
                return program(ctx, *operands)
        except Exception as error:
            warnings.warn(
                "a function could not be fused and is left to XLA "
                f"({type(error).__name__}: {error})",
                stacklevel=2,
            )
    return lower_plainly(ctx, *operands, jaxpr=jaxpr)


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python from searching for garbage among thousands of new objects.

    A trace and a plan consist of objects that all live until the end. Searching them
    repeatedly takes longer than creating them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def can_compile() -> bool:
    """Whether this process can and may compile kernels."""
    is_possible = compiler.is_supported() and compiler.is_installed()
    return is_possible and compiler.is_wanted()


def _is_local(module: Any) -> bool:
    """Whether a program's kernels would receive its arrays as they are.

    XLA partitions the arrays of a partitioned program, but cannot partition a kernel;
    inside `jax.shard_map`, they are already partitioned. An exported program runs
    elsewhere.
    """
    if module.lowering_parameters.for_export:
        return False
    context = module.axis_context
    if hasattr(context, "num_devices"):
        return bool(context.num_devices == 1)
    if hasattr(context, "manual_axes"):
        sizes = context.mesh.shape.items()
        return all(size == 1 or name in context.manual_axes for name, size in sizes)
    return False


def written_over(operand: Any) -> int | None:
    """The position of an operand in the order of reuse; None: it must be kept.

    A program may overwrite its arguments if they are donated. The arguments of a loop's
    body or of an inner function may be overwritten as far as is known here; if that is
    wrong, XLA copies them first.
    """
    if not isinstance(operand, mlir.ir.BlockArgument):
        return None
    function: Any = operand.owner.owner
    number, given = operand.arg_number, {}
    if "arg_attrs" in function.attributes:
        given = function.attributes["arg_attrs"][number]
    if "tf.aliasing_output" in given:
        # JAX has paired donated arguments and results: this order gives the same pairs.
        return int(given["tf.aliasing_output"].value)
    is_donated = "jax.buffer_donor" in given
    return number if is_donated or not _is_main(function) else None


def _is_main(function: Any) -> bool:
    attributes = function.attributes
    return "sym_name" in attributes and str(attributes["sym_name"]) == '"main"'
