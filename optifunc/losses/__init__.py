"""Losses: pure functions with the names and semantics of `torch.nn.functional`."""

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
from ._ctc import ctc_loss as ctc_loss
from ._embedding import (
    cosine_embedding_loss as cosine_embedding_loss,
    hinge_embedding_loss as hinge_embedding_loss,
)
from ._likelihood import (
    gaussian_nll_loss as gaussian_nll_loss,
    kl_div as kl_div,
    poisson_nll_loss as poisson_nll_loss,
)
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
    mse_loss as mse_loss,
    smooth_l1_loss as smooth_l1_loss,
)
