"""Transformations as optax's own type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._transformation import GradientTransformation
from ..wrappers._scheduled import as_transformation

if TYPE_CHECKING:
    import optax


def to_optax(tx: GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """``tx`` as an `optax.GradientTransformationExtraArgs`.

    Most code written for optax only calls ``init`` and ``update``, and accepts ``tx``
    as is. This is for code that checks the type: `optax.chain` and optax's wrappers
    pass extra arguments (``value``, ``value_fn``) to no other type, NumPyro's SVI
    accepts no other, and `flax.nnx.Optimizer` accepts none with arrays as
    hyperparameters. In the other direction, nothing is needed: `chain` accepts optax's
    transformations as is.

    **Arguments:**

    - ``tx``: a transformation; a schedule among its hyperparameters is followed, as in
      a chain.

    **Returns:** the pair of functions; its states and updates are those of ``tx``. Its
    hyperparameters are no longer leaves, but part of the functions.

    **Raises:** `ImportError` if optax is not installed, `TypeError` if ``tx`` is not a
    transformation.
    """
    try:
        import optax
    except ImportError as error:
        raise ImportError(
            "to_optax needs optax, which optifunc does not install: pip install optax"
        ) from error
    return optax.GradientTransformationExtraArgs(*as_transformation(tx))
