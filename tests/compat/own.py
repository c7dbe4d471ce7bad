"""What is optax's own here, with the reason; a name that is built leaves this list.

By module of optax, a dict from names to reasons.
"""

_RULE = (
    "our rule of that name is torch's or the authors', and has no option for optax's"
)
_CALLS = "carries optax's own state or interface"
_NO_OPTIMIZER = "a function that has nothing to do with optimizers"
_EXAMPLES = "takes gradients of single examples"
_PADDINGS = "padding anywhere, and a finite loss where no alignment exists"
_LATE = "optax's update is the step that it found one update before"
_STATE = "the state of one of these"
_CONTRIB = "this library follows the authors, not optax's version; see of.NAME"

_LOSSES = {
    "ctc_loss": _PADDINGS,
    "ctc_loss_with_forward_probs": _PADDINGS,
}


def _all(names: str, reason: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


OWN: dict[str, dict[str, str]] = {
    "": {
        **_LOSSES,
        **_all(
            "amsgrad novograd scale_by_amsgrad scale_by_distance_over_gradients "
            "scale_by_novograd",
            _RULE,
        ),
        **_all("rprop scale_by_rprop", _LATE),
        **_all(
            "ScaleByAmsgradState ScaleByNovogradState ScaleByRpropState",
            _STATE,
        ),
        **_all("microbatch", _CALLS),
        **_all(
            "matrix_inverse_pth_root multi_normal nnls power_iteration scale_gradient",
            _NO_OPTIMIZER,
        ),
    },
    "assignment": _all("base_hungarian_algorithm hungarian_algorithm", _NO_OPTIMIZER),
    "contrib": {
        **_all(
            "DAdaptAdamWState DifferentiallyPrivateAggregateState DoGState "
            "DoWGState GaLoreDimensionNumbers GaLoreState HutchinsonState "
            "MechanicState MuonDimensionNumbers MuonState NormalizeState "
            "ReduceLROnPlateauState SAMState ScheduleFreeState SophiaState "
            "SplitRealAndImaginaryState",
            _STATE,
        ),
        **_all(
            "adopt dadapt_adamw dog dowg galore mechanize muon reduce_on_plateau sam "
            "scale_by_adopt scale_by_galore scale_by_muon schedule_free "
            "schedule_free_adamw schedule_free_eval_params schedule_free_sgd "
            "sophia",
            _CONTRIB,
        ),
        **_all(
            "hutchinson_estimator_diag_hessian normalize split_real_and_imaginary",
            _CALLS,
        ),
        **_all("differentially_private_aggregate dpsgd", _EXAMPLES),
    },
    "losses": _LOSSES,
    "microbatching": _all(
        "AccumulationType Accumulator micro_grad micro_vmap microbatch "
        "reshape_batch_axis",
        _NO_OPTIMIZER,
    ),
    "perturbations": _all("Gumbel Normal make_perturbed_fun", _NO_OPTIMIZER),
    "schedules": _all("StatefulSchedule", _CALLS),
    "transforms": _all("unitwise_clip unitwise_norm", _CALLS),
}
