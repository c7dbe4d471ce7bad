"""The primitive of a fused function, and how JAX's transformations treat it.

It holds a jaxpr, and means what the jaxpr means. Whether kernels compute it is decided
when it is lowered, when platform and devices are known; whatever transforms it transforms
the jaxpr.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from . import _compiler as compiler
from ._graph import graph
from ._execute import Executor
from ._plan import plan

fused_p = core.Primitive("fused")
fused_p.multiple_results = True


def call(function: Callable[..., Sequence[Any]], *args: Any) -> list[Any]:
    """``function(*args)``, a function of arrays that returns several, fused."""
    closed = jax.make_jaxpr(function)(*args)
    if closed.effects:  # collectives over named axes, and output
        return list(core.jaxpr_as_fun(closed)(*args))
    # What is closed over may be traced, so that it must be an operand.
    names = closed.jaxpr.debug_info._replace(arg_names=None)
    invars = [*closed.jaxpr.constvars, *closed.jaxpr.invars]
    jaxpr = closed.jaxpr.replace(constvars=[], invars=invars, debug_info=names)
    results: list[Any] = fused_p.bind(
        *closed.consts, *args, jaxpr=core.ClosedJaxpr(jaxpr, [])
    )
    return results


def _plain(*args: Any, jaxpr: core.ClosedJaxpr) -> Sequence[Any]:
    """What the primitive computes, without kernels."""
    results: Sequence[Any] = core.jaxpr_as_fun(jaxpr)(*args)
    return results


fused_p.def_impl(_plain)


@fused_p.def_abstract_eval
def _types(*args: Any, jaxpr: core.ClosedJaxpr) -> Sequence[Any]:
    return jaxpr.out_avals


# --- transformations ------------------------------------------------------------------


def _batch(
    args: Sequence[Any], axes: Sequence[Any], *, jaxpr: core.ClosedJaxpr
) -> tuple[Sequence[Any], Sequence[int]]:
    mapped = jax.vmap(core.jaxpr_as_fun(jaxpr), in_axes=tuple(axes))
    results = call(mapped, *args)
    return results, [0] * len(results)


def _differentiate(
    args: Sequence[Any], tangents: Sequence[Any], *, jaxpr: core.ClosedJaxpr
) -> tuple[Sequence[Any], Sequence[Any]]:
    """As the plain function: its derivative may need all that is in between."""
    varying = [i for i, t in enumerate(tangents) if type(t) is not ad.Zero]

    def function(*some: Any) -> Sequence[Any]:
        everything = list(args)
        for i, value in zip(varying, some, strict=True):
            everything[i] = value
        return _plain(*everything, jaxpr=jaxpr)

    primals = tuple(args[i] for i in varying)
    # Tangents of integers are of JAX's dtype float0, which stands for zero here too.
    return jax.jvp(function, primals, tuple(tangents[i] for i in varying))


def _transpose(
    cotangents: Sequence[Any], *args: Any, jaxpr: core.ClosedJaxpr
) -> Sequence[Any]:
    unknown = [i for i, x in enumerate(args) if ad.is_undefined_primal(x)]

    def function(*some: Any) -> Sequence[Any]:
        everything = list(args)
        for i, value in zip(unknown, some, strict=True):
            everything[i] = value
        return _plain(*everything, jaxpr=jaxpr)

    types = [args[i].aval for i in unknown]
    transposed = jax.linear_transpose(function, *types)
    found = transposed(list(map(ad.instantiate_zeros, cotangents)))
    results: list[Any] = [None] * len(args)
    for i, value in zip(unknown, found, strict=True):
        results[i] = value
    return results


batching.primitive_batchers[fused_p] = _batch
ad.primitive_jvps[fused_p] = _differentiate
ad.primitive_transposes[fused_p] = _transpose


# --- lowering -------------------------------------------------------------------------


def _lower(ctx: Any, *operands: Any, jaxpr: core.ClosedJaxpr) -> Any:
    """The primitive on CPU: with kernels, if that can be."""
    if _is_local(ctx.module_context) and can_compile():
        try:
            whole = graph(jaxpr)
            steps = Executor(whole, plan(whole), list(map(written_over, operands)))
            return mlir.lower_fun(steps, multiple_results=True)(ctx, *operands)
        except Exception as error:
            warnings.warn(
                f"a function could not be fused and is left to XLA "
                f"({type(error).__name__}: {error})",
                stacklevel=2,
            )
    return _lower_plainly(ctx, *operands, jaxpr=jaxpr)


_lower_plainly = mlir.lower_fun(_plain, multiple_results=True)
mlir.register_lowering(fused_p, _lower_plainly)
# Not as one function for several calls: each has operands of its own to write over.
mlir.register_lowering(fused_p, _lower, platform="cpu", cacheable=False)


def can_compile() -> bool:
    """Whether this process can compile kernels."""
    return compiler.is_supported() and compiler.is_installed()


def _is_local(module: Any) -> bool:
    """Whether arrays in the program are whole, or parts that the program sees as whole.

    A partitioned program is cut into pieces by XLA, which cannot cut a kernel; inside
    `jax.shard_map` it has been cut. A program for export must run elsewhere.
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
    """In which order a program may write over an operand; None: it may not.

    A program may write over what it was given if that is donated, and over what a loop
    or a function inside of it was given.
    """
    if not isinstance(operand, mlir.ir.BlockArgument):
        return None
    function = operand.owner.owner
    number: int = operand.arg_number
    if "arg_attrs" not in function.attributes:
        is_main = "sym_name" in function.attributes
        return None if is_main and _is_main(function) else number
    attributes = function.attributes["arg_attrs"][number]
    if "tf.aliasing_output" in attributes:
        # JAX pairs donated arguments with results; the same order gives the same pairs.
        result: int = attributes["tf.aliasing_output"].value
        return result
    is_donated = "jax.buffer_donor" in attributes
    return number if is_donated or not _is_main(function) else None


def _is_main(function: Any) -> bool:
    return str(function.attributes["sym_name"]).strip('"') == "main"
