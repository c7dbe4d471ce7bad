"""Losses: those of `torch.nn.functional`, with its names and semantics, and others."""

import typing as _typing

from .._public import offered as _offered

if _typing.TYPE_CHECKING:
    from ._binary import (
        binary_cross_entropy as binary_cross_entropy,
        binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
        soft_margin_loss as soft_margin_loss,
    )
    from ._classification import (
        cross_entropy as cross_entropy,
        multi_margin_loss as multi_margin_loss,
        nll_loss as nll_loss,
    )
    from ._contrastive import ntxent_loss as ntxent_loss
    from ._ctc import ctc_loss as ctc_loss
    from ._dice import (
        binary_dice_loss as binary_dice_loss,
        dice_loss as dice_loss,
        generalized_dice_loss as generalized_dice_loss,
    )
    from ._embedding import (
        cosine_embedding_loss as cosine_embedding_loss,
        cosine_similarity as cosine_similarity,
        hinge_embedding_loss as hinge_embedding_loss,
    )
    from ._fenchel_young import fenchel_young_loss as fenchel_young_loss
    from ._focal import sigmoid_focal_loss as sigmoid_focal_loss
    from ._hinges import (
        hinge_loss as hinge_loss,
        multiclass_hinge_loss as multiclass_hinge_loss,
        multiclass_perceptron_loss as multiclass_perceptron_loss,
        perceptron_loss as perceptron_loss,
        squared_hinge_loss as squared_hinge_loss,
    )
    from ._likelihood import (
        gaussian_nll_loss as gaussian_nll_loss,
        generalized_kl_div as generalized_kl_div,
        kl_div as kl_div,
        poisson_nll_loss as poisson_nll_loss,
    )
    from ._linear_cross_entropy import linear_cross_entropy as linear_cross_entropy
    from ._listwise import ranking_softmax_loss as ranking_softmax_loss
    from ._multilabel import (
        multilabel_margin_loss as multilabel_margin_loss,
        multilabel_soft_margin_loss as multilabel_soft_margin_loss,
    )
    from ._ranking import (
        margin_ranking_loss as margin_ranking_loss,
        triplet_margin_loss as triplet_margin_loss,
        triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
    )
    from ._regression import (
        huber_loss as huber_loss,
        l1_loss as l1_loss,
        log_cosh_loss as log_cosh_loss,
        mse_loss as mse_loss,
        smooth_l1_loss as smooth_l1_loss,
    )
    from ._softmax import (
        poly_loss as poly_loss,
        safe_softmax_cross_entropy as safe_softmax_cross_entropy,
    )
    from ._sparsemax import (
        multiclass_sparsemax_loss as multiclass_sparsemax_loss,
        sparsemax_loss as sparsemax_loss,
    )
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
