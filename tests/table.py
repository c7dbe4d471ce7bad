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
    lossy: bool = False  # rounds its state
    wide: bool = False  # updates of narrow parameters are in float32
    float16: bool = True  # parameters of float16 are supported
    needs_params: bool = False  # update raises without params
    max_logits: bool = False  # needs the logits of attention
    value: bool = False  # needs the loss
    value_fn: bool = False  # needs the loss function
    sampled_grad: bool = False  # takes a second gradient
    grad_fn: bool = False  # needs a function for the gradient
    empty: bool = True  # a tree without leaves is accepted

    def extra(self, params: Any) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if self.value:
            extra["value"] = loss(params)
        if self.max_logits:
            extra["max_logits"] = {}
        if self.value_fn:
            extra["value_fn"] = loss
        if self.sampled_grad:
            extra["sampled_grad"] = self.gradient(params)
        if self.grad_fn:
            extra["grad_fn"] = lambda params, i: self.gradient(params)
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
    Row(
        "lion",
        lambda: of.lion(0.01, weight_decay=0.1),
        optimizer=True,
        needs_params=True,
    ),
    Row("lion_smooth", lambda: of.lion(0.01, mode="smooth"), optimizer=True),
    Row("lion_refined", lambda: of.lion(0.01, mode="refined"), optimizer=True),
    Row(
        "lamb",
        lambda: of.lamb(0.01, weight_decay=0.1),
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row(
        "lars",
        lambda: of.lars(1.0, weight_decay=0.1, nesterov=True),
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row("adabelief", of.adabelief, optimizer=True),
    Row("adabelief_nesterov", lambda: of.adabelief(nesterov=True), optimizer=True),
    Row("yogi", of.yogi, optimizer=True),
    Row(
        "novograd",
        lambda: of.novograd(0.01, weight_decay=0.1),
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row(
        "fromage",
        of.fromage,
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row("sm3", of.sm3, optimizer=True, shapes=True, complex=False),
    Row(
        "sm3_without_momentum",
        lambda: of.sm3(momentum=0.0, beta=0.9),
        optimizer=True,
        shapes=True,
        complex=False,
    ),
    Row("signum", of.signum, optimizer=True),
    Row("tiger", of.tiger, optimizer=True, needs_params=True),
    Row("adan", of.adan, optimizer=True),
    Row(
        "adan_proximal",
        lambda: of.adan(weight_decay=0.1),
        optimizer=True,
        needs_params=True,
    ),
    Row("adabound", of.adabound, optimizer=True),
    Row("amsbound", lambda: of.adabound(amsbound=True), optimizer=True),
    Row("madgrad", of.madgrad, optimizer=True, needs_params=True),
    Row(
        "madgrad_without_momentum",
        lambda: of.madgrad(momentum=0.0),
        optimizer=True,
        needs_params=True,
    ),
    Row("aggmo", of.aggmo, optimizer=True),
    Row("qhadam", of.qhadam, optimizer=True),
    Row("qhm", of.qhm, optimizer=True),
    # Relatives of Adam.
    Row(
        "rmsprop_optax",
        lambda: of.rmsprop(
            momentum=0.9,
            initial_scale=0.1,
            eps_in_sqrt=True,
            bias_correction=True,
            nesterov=True,
        ),
        optimizer=True,
    ),
    Row("adam_nesterov", lambda: of.adam(nesterov=True), optimizer=True),
    Row("ademamix", of.ademamix, optimizer=True),
    Row(
        "ademamix_warmup",
        lambda: of.ademamix(
            betas=(0.0, 0.999, 0.9999),
            beta3_warmup=2,
            alpha_warmup=4,
            weight_decay=0.1,
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row("simplified_ademamix", of.simplified_ademamix, optimizer=True),
    Row("adopt", of.adopt, optimizer=True),
    Row(
        "adopt_decoupled",
        lambda: of.adopt(
            clip_lambda=None, weight_decay=0.1, decouple=True, nesterov=True
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row("optimistic_gradient_descent", of.optimistic_gradient_descent, optimizer=True),
    Row("optimistic_adam", of.optimistic_adam, optimizer=True),
    # The bound is below the least loss, so that no step is the last one.
    Row("polyak_sgd", lambda: of.polyak_sgd(f_min=-1.0), optimizer=True, value=True),
    Row(
        "momo",
        lambda: of.momo(lower_bound=-1.0),
        optimizer=True,
        shapes=True,
        needs_params=True,
        value=True,
    ),
    Row(
        "momo_adapted",
        lambda: of.momo(weight_decay=0.1, adapt_lower_bound=True),
        optimizer=True,
        shapes=True,
        needs_params=True,
        value=True,
    ),
    Row(
        "momo_adam",
        # A small one: small squares are 0 in float16.
        lambda: of.momo_adam(1e-3),
        optimizer=True,
        shapes=True,
        needs_params=True,
        value=True,
    ),
    Row("laprop", of.laprop, optimizer=True),
    Row(
        "laprop_centered",
        lambda: of.laprop(
            weight_decay=0.1, centered=True, steps_before_using_centered=1
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "stableadamw",
        of.stableadamw,
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row("adam_atan2", of.adam_atan2, optimizer=True),
    Row("sophia", of.sophia, optimizer=True, needs_params=True, value_fn=True),
    Row(
        "sophia_g",
        of.sophia_g,
        optimizer=True,
        needs_params=True,
        sampled_grad=True,
    ),
    # Without a learning rate or a schedule.
    Row("schedule_free_sgd", of.schedule_free_sgd, optimizer=True, needs_params=True),
    Row(
        "schedule_free_adamw",
        lambda: of.schedule_free_adamw(0.1, weight_decay=0.1, warmup_steps=2, r=1.0),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "schedule_free_radam",
        lambda: of.schedule_free_radam(0.1, (0.9, 0.99), silent_sgd_phase=False),
        optimizer=True,
        needs_params=True,
    ),
    Row("prodigy", of.prodigy, optimizer=True, needs_params=True),
    Row(
        "prodigy_options",
        lambda: of.prodigy(
            weight_decay=0.1,
            use_bias_correction=True,
            safeguard_warmup=True,
            d0=1e-2,
            growth_rate=1.5,
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row("dadapt_adam", lambda: of.dadapt_adam(d0=1e-2), optimizer=True),
    Row(
        "dadapt_adam_decoupled",
        lambda: of.dadapt_adam(
            weight_decay=0.1, decouple=True, use_bias_correction=True, d0=1e-2
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row("dog", lambda: of.dog(reps_rel=0.1), optimizer=True, needs_params=True),
    Row(
        "dog_layerwise",
        lambda: of.dog(init_eta=0.1, weight_decay=0.1, layerwise=True),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row("dowg", lambda: of.dowg(weight_decay=0.1), optimizer=True, needs_params=True),
    Row("cocob", of.cocob, optimizer=True, needs_params=True),
    Row(
        "gpa_adamw",
        lambda: of.gpa_adamw(0.1, weight_decay=0.1, eval_interp_coeff=0.9),
        optimizer=True,
        needs_params=True,
    ),
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
    Row(
        "adafactor_like_optax",
        lambda: of.adafactor(
            0.1,
            eps=(1e-30, 1e-3),
            weight_decay=0.1,
            factored_axes="largest",
            relative_step=False,
            momentum=0.9,
            momentum_dtype=jnp.float32,
            beta2_cap=0.99,
            add_eps=True,
            scale_weight_decay=False,
        ),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "adam_mini",
        lambda: of.adam_mini(weight_decay=0.1),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "galore",
        lambda: of.galore(weight_decay=0.1, rank=1, update_proj_gap=2),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "apollo",
        lambda: of.apollo(weight_decay=0.1, rank=2, update_proj_gap=2),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "apollo_mini",
        lambda: of.apollo(
            rank=1, scale=16.0, proj="svd", scale_type="tensor", scale_front=True
        ),
        optimizer=True,
        shapes=True,
        complex=False,
    ),
    Row(
        "mars",
        lambda: of.mars(weight_decay=0.1),
        optimizer=True,
        shapes=True,
        magnitudes=True,
        needs_params=True,
    ),
    Row(
        "mars_lion",
        lambda: of.mars(mars_type="mars-lion"),
        optimizer=True,
        shapes=True,
        magnitudes=True,
    ),
    Row(
        "mars_shampoo",
        lambda: of.mars(mars_type="mars-shampoo"),
        optimizer=True,
        shapes=True,
        matrices=True,
        complex=False,
    ),
    Row(
        "pid",
        lambda: of.pid(weight_decay=0.1),
        optimizer=True,
        needs_params=True,
    ),
    Row("diffgrad", of.diffgrad, optimizer=True),
    Row("acprop", lambda: of.acprop(betas=(0.9, 0.9), eps=1e-3), optimizer=True),
    Row(
        "spam",
        lambda: of.spam(
            betas=(0.9, 0.9),
            weight_decay=0.1,
            threshold=0.5,
            grad_accu_steps=1,
            update_proj_gap=2,
            warmup_epoch=1,
        ),
        optimizer=True,
        needs_params=True,
    ),
    Row(
        "stable_spam",
        lambda: of.stable_spam(weight_decay=0.1, update_proj_gap=2),
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "corrected_decay",
        lambda: of.assemble(
            of.scale_by_adam(), lr=0.1, weight_decay=0.1, decay="corrected"
        ),
        optimizer=True,
        needs_params=True,
    ),
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
    Row(
        "scale_by_trust_ratio",
        lambda: of.scale_by_trust_ratio(eps=0.01),
        magnitudes=True,
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
    Row("grams", lambda: of.grams(of.adam())),
    Row("orthograd", of.orthograd, magnitudes=True, needs_params=True),
    Row("grokfast_ema", of.grokfast_ema),
    Row("grokfast_ma", lambda: of.grokfast_ma(2)),
    Row("cautious", lambda: of.cautious(of.adam()), magnitudes=True),
    Row("zero_nans", of.zero_nans),
    Row("centralize", of.centralize),
    Row("add_noise", lambda: of.add_noise(0.01), noise=True),
    Row("scale_by_corrected_rms", of.scale_by_corrected_rms),
    Row(
        "schedule_free",
        lambda: of.schedule_free(of.sgd(0.1), at_z=True),
        needs_params=True,
    ),
    Row(
        "lookahead",
        lambda: of.lookahead(of.adam(), 2, reset_state=True),
        needs_params=True,
    ),
    Row("sam", lambda: of.sam(of.sgd(0.1, 0.9)), grad_fn=True, needs_params=True),
    Row(
        "sam_in_turns",
        lambda: of.sam_in_turns(of.adam(), adaptive=True),
        needs_params=True,
    ),
    Row("conditionally", lambda: of.conditionally(of.adam(), _every_other)),
    Row(
        "master_weights",
        lambda: of.master_weights(of.adamw()),
        wide=True,
        needs_params=True,
    ),
    Row("kahan", lambda: of.kahan(of.adamw()), wide=True, needs_params=True),
    Row(
        "stochastic_rounding",
        lambda: of.stochastic_rounding(of.adamw()),
        wide=True,
        float16=False,
        noise=True,
        needs_params=True,
    ),
    Row(
        "split_weights",
        lambda: of.split_weights(of.adamw()),
        wide=True,
        float16=False,
        needs_params=True,
    ),
    Row(
        "state_dtype",
        lambda: of.state_dtype(of.adamw(), jnp.float32),
        needs_params=True,
    ),
    Row(
        "quantized",
        lambda: of.quantized(of.adamw(), block_size=4, min_size=1),
        lossy=True,
        needs_params=True,
    ),
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
