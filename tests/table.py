"""One table of transformations: how each is built, what it needs and supports."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCOO

import optifunc as of


@dataclasses.dataclass(frozen=True)
class Row:
    """A transformation and its needs, as columns."""

    name: str
    build: Callable[[], of.GradientTransformation]
    optimizer: bool = False  # a factory of torch.optim, whose updates descend
    matrices: bool = False  # parameters must have two axes
    sparse: bool = False  # gradients are sparse rows
    shapes: bool = False  # reads the shapes of leaves
    complex: bool = True  # complex parameters are supported
    magnitudes: bool = False  # complex elements count by their magnitudes
    noise: bool = False  # draws noise, which depends on dtype and shape
    bases: bool = False  # the state has eigenvectors, some of them of no eigenvalue
    one_vector: bool = False  # the state is of all parameters as one vector
    needs_params: bool = False  # update raises without params
    max_logits: bool = False  # needs the logits of attention
    value: bool = False  # needs the loss
    value_fn: bool = False  # needs the loss function
    empty: bool = True  # a tree without leaves is accepted

    def extra(self, params: Any) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if self.value:
            extra["value"] = loss(params)
        if self.max_logits:
            extra["max_logits"] = {}
        if self.value_fn:
            extra["value_fn"] = loss
        return extra

    def gradient(self, params: Any) -> Any:
        grads = jax.tree.map(lambda p: 0.5 * p + 0.1, params)
        if self.sparse:
            grads = jax.tree.map(sparse_rows, grads)
        return grads


def sparse_rows(grad: jax.Array) -> BCOO:
    """All rows but the last, as a sparse array."""
    rows = max(grad.shape[0] - 1, 0)
    indices = jnp.arange(rows, dtype=jnp.int32)[:, None]
    return BCOO((grad[:rows], indices), shape=grad.shape)


def loss(params: Any) -> jax.Array:
    """A function whose gradient is `Row.gradient`'s (of real parameters)."""
    total = jnp.zeros(())
    for p in jax.tree.leaves(params):
        square = jnp.real(0.25 * p * jnp.conj(p) + 0.1 * p)
        total = total + jnp.sum(square.astype(total.dtype))
    return total


def _is_kernel(path: str, leaf: Any) -> bool:
    return "kernel" in path


def _speed(path: str, leaf: Any) -> str:
    return "fast" if "kernel" in path else "slow"


def _every_other(step: jax.Array, **extra: Any) -> jax.Array:
    return step % 2 == 0


def _falling(step: jax.Array) -> jax.Array:
    return 0.1 / (1 + step.astype(jnp.float32))


ROWS = [
    Row("sgd", lambda: of.sgd(0.1), optimizer=True),
    Row(
        "sgd_nesterov",
        lambda: of.sgd(0.1, 0.9, weight_decay=0.1, nesterov=True),
        optimizer=True,
        needs_params=True,
    ),
    Row("sgd_dampened", lambda: of.sgd(0.1, 0.9, 0.5), optimizer=True),
    Row("adam", of.adam, optimizer=True),
    Row("adam_amsgrad", lambda: of.adam(amsgrad=True), optimizer=True),
    Row("adamw", of.adamw, optimizer=True, needs_params=True),
    Row("nadam", of.nadam, optimizer=True),
    Row("radam", of.radam, optimizer=True),
    Row("adamax", of.adamax, optimizer=True),
    Row("adagrad", of.adagrad, optimizer=True),
    Row("adadelta", of.adadelta, optimizer=True),
    Row("rmsprop", of.rmsprop, optimizer=True),
    Row(
        "rmsprop_centered",
        lambda: of.rmsprop(momentum=0.9, centered=True),
        optimizer=True,
    ),
    Row("rprop", of.rprop, optimizer=True),
    Row("asgd", of.asgd, optimizer=True, needs_params=True),
    Row(
        "adafactor",
        of.adafactor,
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "muon",
        of.muon,
        optimizer=True,
        shapes=True,
        matrices=True,
        complex=False,
        needs_params=True,
    ),
    Row("sparse_adam", of.sparse_adam, optimizer=True, sparse=True, complex=False),
    Row(
        "lbfgs",
        lambda: of.lbfgs(history_size=3, max_iter=4),
        optimizer=True,
        one_vector=True,
        needs_params=True,
        value_fn=True,
    ),
    Row(
        "lbfgs_strong_wolfe",
        lambda: of.lbfgs(history_size=3, max_iter=4, line_search_fn="strong_wolfe"),
        optimizer=True,
        one_vector=True,
        needs_params=True,
        value_fn=True,
    ),
    # Signs and trust ratios.
    # Relatives of Adam.
    # Without a learning rate or a schedule.
    # Matrices.
    Row(
        "muon_variant",
        lambda: of.muon(
            ns_coefficients=of.linalg.polar_express_coefficients(4),
            ns_dtype="float32",
            output_axis=-1,
            preconditioning="aol",
            bias_correction=True,
            adaptive=True,
        ),
        optimizer=True,
        shapes=True,
        matrices=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "normuon",
        lambda: of.normuon(weight_decay=0.1),
        optimizer=True,
        shapes=True,
        matrices=True,
        complex=False,
        needs_params=True,
    ),
    # Of matrices of rank 2, whose other directions are rounding, which eps is to cover.
    Row(
        "soap",
        lambda: of.soap(eps=1e-2, precondition_frequency=2),
        optimizer=True,
        shapes=True,
        bases=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "soap_merged",
        lambda: of.soap(
            eps=1e-2,
            precondition_frequency=1,
            merge_dims=True,
            precondition_1d=True,
            normalize_grads=True,
            one_sided=True,
        ),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "adamuon",
        lambda: of.adamuon(1e-3, weight_decay=0.1, sign=False, ns_dtype="float32"),
        optimizer=True,
        shapes=True,
        matrices=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "dion",
        lambda: of.dion(rank_fraction=0.5),
        optimizer=True,
        shapes=True,
        matrices=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "scion",
        of.scion,
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "scion_rows",
        lambda: of.scion(0.01, 0.1, "RowNorm", unconstrained=True),
        optimizer=True,
        shapes=True,
        matrices=True,
        complex=False,
    ),
    Row(
        "kron",
        lambda: of.kron(weight_decay=0.1),
        optimizer=True,
        shapes=True,
        complex=False,
        noise=True,
        needs_params=True,
    ),
    Row("came", of.came, optimizer=True, shapes=True, complex=False),
    Row(
        "shampoo",
        lambda: of.shampoo(eps=1e-2, precondition_frequency=2),
        optimizer=True,
        shapes=True,
        complex=False,
    ),
    Row(
        "shampoo_grafted",
        lambda: of.shampoo(
            1e-3,
            betas=(0.9, 0.99),
            eps=1e-2,
            max_preconditioner_dim=3,
            target_parameter_dimensionality=2,
            grafting="adam",
        ),
        optimizer=True,
        shapes=True,
        complex=False,
    ),
    # Filtered and low-rank gradients.
    # Building blocks and wrappers.
    Row("identity", of.identity),
    Row("scale", lambda: of.scale(0.5)),
    Row("negate", of.negate),
    Row("scale_by_learning_rate", lambda: of.scale_by_learning_rate(0.1)),
    Row("scale_by_sign", of.scale_by_sign),
    Row("set_to_zero", of.set_to_zero),
    Row("momentum", lambda: of.momentum(0.9)),
    Row(
        "add_decayed_weights",
        lambda: of.add_decayed_weights(0.1),
        needs_params=True,
    ),
    Row("clip", lambda: of.clip(0.3)),
    Row("clip_by_global_norm", lambda: of.clip_by_global_norm(0.3)),
    Row("clip_by_block_rms", lambda: of.clip_by_block_rms(0.3), magnitudes=True),
    Row(
        "adaptive_grad_clip",
        lambda: of.adaptive_grad_clip(0.1),
        magnitudes=True,
        needs_params=True,
    ),
    Row("masked", lambda: of.masked(of.adam(), _is_kernel)),
    Row(
        "partition",
        lambda: of.partition({"fast": of.adam(), "slow": of.sgd(0.1)}, _speed),
    ),
    Row("flatten", lambda: of.flatten(of.adamw()), needs_params=True),
    Row("flatten_small", lambda: of.flatten(of.adam(), max_size=6)),
    Row("accumulate_gradients", lambda: of.accumulate_gradients(of.adam(), 2)),
    Row("ema_parameters", of.ema_parameters, needs_params=True),
    Row("average_parameters", of.average_parameters, needs_params=True),
    Row("skip_not_finite", lambda: of.skip_not_finite(of.adam())),
    Row("zero_nans", of.zero_nans),
    Row("centralize", of.centralize),
    Row("add_noise", lambda: of.add_noise(0.01), noise=True),
    Row("conditionally", lambda: of.conditionally(of.adam(), _every_other)),
    Row("reduce_on_plateau", of.reduce_on_plateau, value=True),
    Row(
        "step_by_hyperball",
        lambda: of.chain(of.scale_by_adam(), of.step_by_hyperball(0.01)),
        matrices=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row("qk_clip", of.qk_clip, max_logits=True, needs_params=True),
    Row(
        "chain",
        lambda: of.chain(clip=of.clip_by_global_norm(1.0), adam=of.adamw(_falling)),
        needs_params=True,
    ),
]
