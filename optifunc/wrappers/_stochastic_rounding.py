"""bfloat16 parameters with unbiased rounding."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_whole
from .._dataclass import child
from .._hyperparameters import Value
from .._numerics import increment
from .._rounding import (
    is_narrow,
    moves,
    random_bits,
    stochastically_rounded,
    widened,
)
from .._state import Shared
from .._transformation import (
    GradientTransformation,
    State,
    require_params,
    transformation,
)
from .._tree import PyTree, is_sparse, leaves_with_names
from ._narrow import NarrowWrapper, check_bfloat16, check_dense, wide_update


class StochasticRoundingState(NamedTuple):
    """State of `stochastic_rounding`.

    **Fields:**

    - ``key``: uint32 [2], the key of the whole run.
    - ``step``: int32 [], updates done so far.
    - ``inner``: the inner transformation's state.
    """

    key: Shared
    step: Shared
    inner: State


@transformation
class stochastic_rounding(NarrowWrapper):
    """Round new bfloat16 parameters up or down at random, without bias.

    ::

        u, inner = inner.update(float32(g), inner, float32(p))
        w = float32(p) + u
        p = up(w) with probability (w - down(w)) / (up(w) - down(w)), else down(w)

    where ``up`` and ``down`` are the neighbors of ``w`` in bfloat16. A step smaller
    than 1/512 of a parameter, which would be lost by rounding to nearest, occasionally
    becomes a whole digit. This costs no memory, and adds noise the size of the last
    digit. The inner transformation sees float32 and keeps its state in float32.
    Parameters in float32 or wider are left alone::

        tx = of.stochastic_rounding(of.adamw(1e-3))

    The random numbers depend on the seed, the step, a parameter's path and an element's
    place in it, not on the sharding or on the other parameters. The updates for
    bfloat16 parameters are in float32, and `apply_updates` computes the rounded
    parameters from them.

    **Arguments:**

    - ``inner``: a transformation.
    - ``seed``: an integer of at least 0, which `init` reads.

    **State:** `StochasticRoundingState`.

    **Raises:** `TypeError` if ``seed`` is not an integer, for narrow parameters with a
    dtype other than bfloat16, and for a sparse gradient of a narrow one; `ValueError`
    at `update` if ``params`` is missing.

    **Source:** Gupta et al., "Deep learning with limited numerical precision", 2015,
    [arXiv:1502.02551](https://arxiv.org/abs/1502.02551).
    """

    inner: GradientTransformation = child()
    seed: Value = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("seed", self.seed, at_least=0)

    def init(self, params: PyTree) -> StochasticRoundingState:
        check_bfloat16(params, "stochastic_rounding")
        # Raw data, not a typed key, so that it can be saved like any other array.
        key = jax.random.key_data(jax.random.key(self.seed, impl="threefry2x32"))
        return StochasticRoundingState(
            key, jnp.zeros((), jnp.int32), self.inner.init(widened(params))
        )

    def update(
        self,
        updates: PyTree,
        state: StochasticRoundingState,
        params: PyTree | None = None,
        **extra: Any,
    ) -> tuple[PyTree, StochasticRoundingState]:
        params = require_params(params, updates, "stochastic_rounding")
        check_dense(updates, params, "stochastic_rounding")
        wide = widened(params)
        updates, inner = wide_update(
            self.inner, updates, state.inner, params, wide, extra
        )
        key = jax.random.wrap_key_data(state.key, impl="threefry2x32")
        of_step = jax.random.key_data(jax.random.fold_in(key, state.step))

        def step(name: str, update: Any, param: Any, old: Any) -> Array | None:
            if not is_narrow(param):
                return None
            own = of_step ^ np.array([0, zlib.crc32(name.encode())], np.uint32)
            bits = random_bits(own, param.shape)
            return stochastically_rounded(
                old + lax.convert_element_type(update, old.dtype), bits
            )

        structure: Any
        leaves, structure = jax.tree.flatten(updates, is_leaf=is_sparse)
        names = [name for name, _ in leaves_with_names(updates)]
        columns = (structure.flatten_up_to(tree) for tree in (params, wide))
        new = structure.unflatten(map(step, names, leaves, *columns))
        return moves(params, updates, new), StochasticRoundingState(
            state.key, increment(state.step), inner
        )
