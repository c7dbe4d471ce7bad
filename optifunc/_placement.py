"""Arrays that accompany parameters, with their shapes, dtypes and placement.

The sharding of a parameter is known in one of three ways: a concrete array has a
sharding; a traced one has it in its type if the axes of the mesh are explicit; if they
are automatic, XLA decides, and is made to decide alike.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import (
    AbstractMesh,
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    Sharding,
    SingleDeviceSharding,
)

from ._state import Field, map_state, parts_of
from ._tree import (
    PyTree,
    check_array,
    compute_dtype,
    is_sparse,
    leaf_dtype,
    leaves_with_names,
    real_dtype,
)

# The host memory that devices can access directly.
HOST_MEMORY = "pinned_host"


def copied(tree: PyTree) -> PyTree:
    """A copy of ``tree``, so that both can be donated."""
    return _mapped(lambda leaf: jnp.array(leaf, copy=True), tree)


def in_dtype_or_complex(tree: PyTree, dtype: Any) -> PyTree:
    """``tree`` with its real leaves in ``dtype`` (None: unchanged)."""

    def convert(leaf: Any) -> Array:
        is_kept = dtype is None or jnp.iscomplexobj(leaf)
        return leaf if is_kept else lax.convert_element_type(leaf, dtype)

    return _mapped(convert, tree)


def full_like(tree: PyTree, value: Any, *, both_parts: bool = False) -> PyTree:
    """A tree like ``tree`` filled with ``value``; keeps shape, dtype and sharding.

    With ``both_parts``, the imaginary parts of complex leaves are also ``value``.
    """

    def fill(leaf: Any) -> Array:
        dtype = jnp.result_type(leaf)
        if both_parts and jnp.issubdtype(dtype, jnp.complexfloating):
            part = lax.convert_element_type(value, real_dtype(dtype))
            filled = lax.full_like(leaf, lax.complex(part, part), dtype)
        else:
            filled = lax.full_like(leaf, lax.convert_element_type(value, dtype), dtype)
        # A scalar leaf may have become ``value`` itself, and be donated later.
        own = jnp.array(filled, copy=True) if filled.ndim == 0 else filled
        return sharded_alike(own, leaf)

    return _mapped(fill, tree)


def zeros_like(tree: PyTree) -> PyTree:
    """A tree of zeros with the shapes, dtypes and shardings of ``tree``."""
    return full_like(tree, 0)


def wide_zeros_like(tree: PyTree) -> PyTree:
    """Zeros with the shapes and shardings of ``tree``, in at least float32."""
    return _mapped(lambda leaf: zeros_for(leaf, compute_dtype(leaf_dtype(leaf))), tree)


def _mapped(function: Callable[[Any], Array], tree: PyTree) -> PyTree:
    """``tree`` with ``function`` of each leaf, which must be an array.

    **Raises:** `TypeError` that names the first leaf that is not one.
    """
    try:
        return jax.tree.map(function, tree, is_leaf=is_sparse)
    except TypeError:
        for path, leaf in leaves_with_names(tree):
            check_array(path, leaf)
        raise


def zeros_for(leaf: Any, dtype: Any = None) -> Array:
    """Zeros with the shape and sharding of ``leaf``, by default in its dtype."""
    return sharded_alike(lax.full_like(leaf, 0, dtype), leaf)


def zeros_like_result(
    function: Callable[[Any], Any], leaf: Any, dtype: Any = None
) -> Array:
    """Zeros with the shape and sharding of ``function(leaf)``."""
    result = function(leaf)
    return sharded_alike(lax.full_like(result, 0, dtype), result)


def zeros_of_shape(leaf: Any, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """Zeros for ``leaf``, sharded as it is along axes of the same size.

    ``shape`` has as many axes as ``leaf``, or none. ``dtype`` is by default the leaf's.
    """
    if not isinstance(leaf, jax.core.Tracer):
        sharding = _sharding_along(leaf, shape)
        return lax.full_like(leaf, 0, dtype, shape, sharding=sharding)
    axes = [i for i in range(leaf.ndim) if not shape or leaf.shape[i] != shape[i]]

    def resized(leaf: Array) -> Array:
        return jnp.broadcast_to(leaf.sum(axes, keepdims=bool(shape)), shape)

    return zeros_like_result(resized, leaf, dtype)


def zeros_of_vectors(params: PyTree, shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros with all numbers of all parameters along the last axis.

    That axis is sharded over all mesh axes over which any parameter is sharded, as far
    as its length allows. Along automatic axes, a compiled program does not know them.
    """
    zeros = jnp.zeros(shape, dtype)
    shardings = [*filter(None, map(known_sharding, jax.tree.leaves(params)))]
    used = {name for s in shardings for name in names_in(s.spec)}
    mesh: Any = shardings[0].mesh if used else None
    names = [name for name in mesh.axis_names if name in used] if mesh else []
    while names and shape[-1] % math.prod(mesh.shape[name] for name in names):
        names.pop()
    if not names:
        return zeros
    along = tuple(names) if len(names) > 1 else names[0]
    spec = PartitionSpec(*[None] * (len(shape) - 1), along)
    return laid_along(zeros, mesh, spec)


def known_sharding(leaf: Any) -> NamedSharding | None:
    """The sharding of an array, or of its placeholder, on a mesh; None if unknown."""
    kind = jax.typeof(leaf) if isinstance(leaf, jax.core.Tracer) else leaf
    sharding = getattr(kind, "sharding", None)
    return sharding if isinstance(sharding, NamedSharding) else None


def own_sharding(leaf: Any) -> Sharding | None:
    """The sharding of an array, or of its placeholder; None of one that is traced.

    A traced array has no such attribute, and to say so JAX searches all that has been
    traced: for each of a thousand leaves, that takes seconds.
    """
    if isinstance(leaf, jax.core.Tracer):
        return None
    found: Sharding | None = getattr(leaf, "sharding", None)
    return found


def names_in(spec: PartitionSpec) -> list[str]:
    """The axes of the mesh that a spec names."""
    names: list[Any] = []
    for entry in spec:
        names += entry if isinstance(entry, tuple) else [entry]
    return [name for name in names if isinstance(name, str)]


def _sharding_along(leaf: Any, shape: tuple[int, ...]) -> Sharding | None:
    """The sharding of ``leaf`` along axes of the same size; None if it has none."""
    if not isinstance(leaf, Array) or not leaf.committed:
        return None
    sharding = leaf.sharding
    if not isinstance(sharding, NamedSharding):
        return sharding
    axes = [*sharding.spec, *[None] * (leaf.ndim - len(sharding.spec))]
    # Without axes, `shape` is the shorter one.
    pairs = zip(axes, leaf.shape, shape, strict=bool(shape))
    kept = [axis if n == m else None for axis, n, m in pairs]
    spec = spelled(PartitionSpec(*kept), sharding.mesh)
    return NamedSharding(sharding.mesh, spec, memory_kind=sharding.memory_kind)


def spelled(spec: PartitionSpec, mesh: Any) -> PartitionSpec:
    """``spec`` as JAX writes it for computed arrays.

    Another spelling of the same sharding would trigger recompilation of the second
    step.
    """
    axes = [*spec]
    while axes and axes[-1] is None and AxisType.Explicit not in mesh.axis_types:
        axes.pop()
    return PartitionSpec(*axes)


def sharded_alike(constant: Array, leaf: Any) -> Array:
    """``constant``, of the shape of ``leaf``, sharded as XLA shards ``leaf``.

    XLA shards the results of an elementwise operation like its operands, and a constant
    as it likes. So this is an operation on both, whose result is the constant for any
    leaf; the barrier keeps XLA from noticing that too soon.
    """
    if not isinstance(leaf, jax.core.Tracer) or not leaf.ndim or is_partly_manual():
        return constant
    if any(jax.typeof(leaf).sharding.spec):
        return constant  # has it in its type already
    leaf = lax.stop_gradient(leaf)
    return jnp.where(leaf != leaf, lax.optimization_barrier(constant), constant)


def is_partly_manual() -> bool:
    """Whether this is traced inside `jax.shard_map`."""
    return bool(jax.sharding.get_abstract_mesh().manual_axes)


def cut_alike(leaf: Array, axis: int, size: int) -> Array:
    """A vector of ``size`` numbers that XLA shards as it shards an axis of ``leaf``."""
    vector = leaf.sum([i for i in range(leaf.ndim) if i != axis])
    # Each part of one is as long as some parts of the other.
    count = math.gcd(len(vector), size)
    parts = vector.reshape(count, -1).sum(1)
    return jnp.broadcast_to(parts[:, None], (count, size // count)).reshape(size)


def scalars_like(tree: PyTree) -> PyTree:
    """A 0 for each leaf, in the widest enabled float dtype, placed like the leaf."""

    def scalar_like(leaf: Any) -> Array:
        scalar = jnp.zeros((), jnp.result_type(float))
        sharding = replicated_beside(leaf)
        return scalar if sharding is None else jax.device_put(scalar, sharding)

    return jax.tree.map(scalar_like, tree, is_leaf=is_sparse)


def replicated_beside(leaf: Any) -> Sharding | None:
    """The replicated sharding on the devices of ``leaf``; None if it has none."""
    is_concrete = isinstance(leaf, Array) and not isinstance(leaf, jax.core.Tracer)
    if not is_concrete or not leaf.committed:
        return None
    sharding = leaf.sharding
    if isinstance(sharding, NamedSharding):
        kind = sharding.memory_kind
        return NamedSharding(sharding.mesh, PartitionSpec(), memory_kind=kind)
    # It is unknown how another sharding over several devices would take other arrays.
    return sharding if isinstance(sharding, SingleDeviceSharding) else None


def placed_beside(state: PyTree, params: PyTree) -> PyTree:
    """``state`` with uncommitted arrays placed with the parameters.

    A parameter's state is replicated over its devices, and shared state over the
    parameters' mesh. So the state that a compiled step returns is placed like its
    input, and the second step is not compiled again.
    """
    leaves = jax.tree.leaves(params)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return _tied(state, leaves)
    shardings = [*map(replicated_beside, leaves)]
    if not any(shardings):
        return state
    # Without a mesh, later steps may move what is shared.
    of_mesh = next((s for s in shardings if isinstance(s, NamedSharding)), None)
    structure: Any = jax.tree.structure(params)

    def placed(tree: PyTree, sharding: Sharding | None) -> PyTree:
        return jax.tree.map(
            lambda leaf: jax.device_put(leaf, sharding) if _is_anywhere(leaf) else leaf,
            tree,
        )

    def on_field(field: Field, value: Any) -> Any:
        if not field.role.is_per_parameter:
            return value if of_mesh is None else placed(value, of_mesh)
        parts = parts_of(value, params)
        return structure.unflatten(map(placed, parts, shardings))

    return map_state(on_field, state, params)


def _is_anywhere(leaf: Any) -> bool:
    """Whether ``leaf`` is an array that is not bound to a device."""
    is_concrete = isinstance(leaf, Array) and not isinstance(leaf, jax.core.Tracer)
    return is_concrete and not leaf.committed


def _tied(state: PyTree, params: list[Any]) -> PyTree:
    """``state``, with its smallest array depending on the parameters.

    A compiled program that ignores the parameters would put it on the first device.
    """
    treedef: Any
    leaves, treedef = jax.tree.flatten(state)
    traced = [p for p in params if isinstance(p, jax.core.Tracer)]
    if not leaves or is_partly_manual() or any(jax.typeof(traced[0]).sharding.spec):
        return state
    smallest = min(range(len(leaves)), key=lambda i: jnp.size(leaves[i]))
    leaves[smallest], _ = lax.optimization_barrier(
        (leaves[smallest], lax.stop_gradient(traced[0]))
    )
    return treedef.unflatten(leaves)


def is_shape(leaf: Any) -> bool:
    """Whether ``leaf`` is a placeholder for an array."""
    return isinstance(leaf, jax.ShapeDtypeStruct)


def shapes_of(function: Callable[[PyTree], PyTree], params: PyTree) -> PyTree:
    """The shapes and dtypes of ``function(params)``, without computing it.

    If the parameters are sharded over a mesh, so are the results, each as the function
    would shard it on a mesh with explicit axes.
    """
    mesh = mesh_of(params)
    if mesh is None:
        return jax.eval_shape(function, params)
    count = len(mesh.axis_names)
    explicit = AbstractMesh(
        mesh.axis_sizes, mesh.axis_names, axis_types=(AxisType.Explicit,) * count
    )

    def on_explicit(leaf: Any) -> jax.ShapeDtypeStruct:
        own = own_sharding(leaf)
        spec = own.spec if isinstance(own, NamedSharding) else PartitionSpec()
        return jax.ShapeDtypeStruct(
            jnp.shape(leaf),
            jnp.result_type(leaf),
            sharding=NamedSharding(explicit, spec),
        )

    def on_mesh(shape: Any, kind: Any) -> jax.ShapeDtypeStruct:
        is_on_host = kind.memory_space == jax.memory.Space.Host
        sharding = NamedSharding(
            mesh,
            spelled(kind.sharding.spec, mesh),
            memory_kind=HOST_MEMORY if is_on_host else None,
        )
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)

    with jax.sharding.use_abstract_mesh(explicit):
        # Unlike `jax.eval_shape`, it includes the memory.
        program, shapes = jax.make_jaxpr(function, return_shape=True)(
            jax.tree.map(on_explicit, params)
        )
    structure: Any = jax.tree.structure(shapes)
    leaves = jax.tree.leaves(shapes)
    return structure.unflatten(map(on_mesh, leaves, program.out_avals))


def mesh_of(params: PyTree) -> Any:
    """The mesh of the parameters, which may be arrays or shapes; None without one.

    **Raises:** `ValueError` if they are on several.
    """
    shardings = map(own_sharding, jax.tree.leaves(params))
    meshes = {s.mesh for s in shardings if isinstance(s, NamedSharding)}
    if len(meshes) > 1:
        found = ", ".join(sorted(map(str, meshes)))
        raise ValueError(f"the parameters must lie on one mesh, found several: {found}")
    return next(iter(meshes), None)


def mesh_in_force(mesh: Mesh) -> Any:
    """``mesh``, in the form with which programs for it are traced."""
    abstract = jax.sharding.get_abstract_mesh()
    return mesh if abstract.empty else abstract


def laid_along(array: Array, mesh: Mesh, spec: PartitionSpec) -> Array:
    """``array`` sharded over a mesh as ``spec`` says.

    An axis that is ``PartitionSpec.UNCONSTRAINED`` does not change.
    """
    axes = [*spec, *[None] * (array.ndim - len(spec))]

    def filled(own: PartitionSpec) -> PartitionSpec:
        before = [*own, *[None] * (array.ndim - len(own))]
        is_free = PartitionSpec.UNCONSTRAINED
        pairs = zip(axes, before, strict=True)
        return PartitionSpec(*(old if new is is_free else new for new, old in pairs))

    if not isinstance(array, jax.core.Tracer):
        own: Any = array.sharding
        is_named = isinstance(own, NamedSharding)
        spec = spelled(filled(own.spec if is_named else PartitionSpec()), mesh)
        laid: Array = jax.device_put(array, NamedSharding(mesh, spec))
        return laid
    typed: Any = jax.typeof(array).sharding
    if AxisType.Explicit in getattr(typed.mesh, "axis_types", ()):
        sharding = NamedSharding(typed.mesh, filled(typed.spec))
        laid = jax.sharding.reshard(array, sharding)
    else:
        sharding = NamedSharding(mesh, PartitionSpec(*axes))
        laid = lax.with_sharding_constraint(array, sharding)
    return laid


def whole(array: Array, axes: int | None = None) -> Array:
    """``array`` gathered along the explicit axes of its mesh.

    ``axes`` is the number of trailing axes to gather; None: all of them.

    JAX rejects operations on whole matrices (products with themselves, factorizations)
    for arrays that are sharded along explicit axes. Along automatic ones, XLA gathers
    what it needs.
    """
    sharding: Any = jax.typeof(array).sharding
    kept = 0 if axes is None else array.ndim - axes
    if not any(sharding.spec[kept:]):
        return array
    spec = PartitionSpec(*sharding.spec[:kept], *[None] * (array.ndim - kept))
    gathered: Array = jax.sharding.reshard(array, NamedSharding(sharding.mesh, spec))
    return gathered


def stacked_alike(arrays: Sequence[Array]) -> Array:
    """Arrays of the same shape with a new first axis.

    Those that are sharded differently along explicit axes are gathered first.
    """
    kinds: Any = [jax.typeof(array).sharding for array in arrays]
    if any(kind != kinds[0] for kind in kinds):
        arrays = [whole(array) for array in arrays]
    return jnp.stack(arrays)


def laid_like(array: Array, reference: Array) -> Array:
    """``array``, sharded like ``reference``, which has its shape.

    Along automatic axes, a compiled program decides this itself.
    """
    own = None if isinstance(array, jax.core.Tracer) else own_sharding(reference)
    if isinstance(own, NamedSharding):
        # A reshape may have gathered it.
        laid: Array = jax.device_put(array, own)
        return laid
    sharding: Any = jax.typeof(reference).sharding
    # Within `jax.set_mesh`, an argument that is on no mesh has an empty one.
    if sharding.mesh.empty or jax.typeof(array).sharding == sharding:
        return array
    laid = jax.sharding.reshard(array, sharding)
    return laid


def on_whole_leaves(*kept: str) -> Callable[..., Any]:
    """For a method ``update``: it sees arrays gathered along explicit axes of the mesh.

    Its results are sharded like its updates and state. Use it for rules that mix all
    elements of an axis. It sees the fields ``kept`` of the state as they are sharded,
    and the parameters too if ``"params"`` is among them.
    """

    def decorate(update: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(update)
        def on_whole(
            self: Any,
            updates: PyTree,
            state: Any,
            params: PyTree | None = None,
            **extra: Any,
        ) -> tuple[PyTree, PyTree]:
            given = updates, state, params, extra
            gathered = jax.tree.map(_whole_array, given, is_leaf=is_sparse)
            seen, seen_state, seen_params, others = gathered
            fields = {name for name in kept if name != "params"}
            if fields:
                as_is = {name: getattr(state, name) for name in fields}
                seen_state = seen_state._replace(**as_is)
            if "params" in kept:
                seen_params = params
            results = update(self, seen, seen_state, seen_params, **others)
            laid: tuple[PyTree, PyTree] = jax.tree.map(
                laid_like, results, (updates, state), is_leaf=is_sparse
            )
            return laid

        return on_whole

    return decorate


def _whole_array(leaf: Any) -> Any:
    return whole(leaf) if isinstance(leaf, Array) else leaf
