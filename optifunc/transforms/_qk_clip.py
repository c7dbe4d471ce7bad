"""QK-Clip: bounds attention logits by scaling the weights of queries and keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._checks import check_choice, check_integer, check_range
from .._dataclass import static
from .._hyperparameters import Value
from .._leafwise import leafwise
from .._transformation import (
    Empty,
    GradientTransformation,
    require_params,
    transformation,
)
from .._tree import PyTree, leaves_with_names, listed

ROLES = ("query", "key", "query_rotary")


@leafwise()
def _rescaled(updates: Array, params: Array, scale: Array) -> Array:
    """The update that leads to the scaled new parameters."""
    return (params + updates) * scale - params


@transformation
class qk_clip(GradientTransformation):
    """Shrink the query and key weights of heads whose logits were too large.

    ::

        gamma = min(1, threshold / S)                        (for each head)
        p + u = (p + u) * gamma^alpha                        (query)
        p + u = (p + u) * gamma^(1 - alpha)                  (key)
        p + u = (p + u) * gamma                              (query_rotary)

    where ``S`` is a head's largest logit in this step. Put it **last** in a chain,
    because it scales the parameters after the step::

        tx = of.chain(of.muon(0.02, output_axis=-1), of.qk_clip())
        updates, state = tx.update(
            grads, state, params, max_logits={"layers.0.attention": logits}
        )

    ``update`` needs the extra argument ``max_logits``: a dict from the paths of
    attention layers to arrays ``[heads]`` of the largest logits, over the batch and all
    pairs of positions, after the division by the root of the head size. The kernels and
    biases of a layer are the leaves whose path continues with a name in ``roles``:
    ``"layers.0.attention.query.kernel"``. If several query heads share a key, they must
    be adjacent, and the key is scaled for the one with the largest logit.

    **Arguments:**

    - ``threshold``: the largest logit to leave unchanged, above 0.
    - ``alpha``: the queries' share of the scaling, in [0, 1].
    - ``roles``: a dict from names in paths to ``"query"``, ``"key"`` or
      ``"query_rotary"``, the part of a query with a separate rotation whose key all
      heads share. That key has no role.
    - ``head_axis``: the axis of heads, or heads times head size. Flax's kernels
      ``[inputs, heads, size]`` have -2; use -1 for ``[inputs, heads * size]`` and 0 for
      torch's layout.
    - ``key_heads``: the number of key heads, if queries share them and the axis
      includes the head size. None: the size of the axis, but at most the number of
      query heads.

    **State:** ``()``.

    **Raises:** `ValueError` for a number out of range or an unknown role, and at
    `update` if ``params`` is missing, for a layer that ``max_logits`` lacks or that is
    not in the parameters, and for an axis that the heads do not divide.

    **Source:** Kimi Team, "Kimi K2: Open Agentic Intelligence", 2025,
    [arXiv:2507.20534](https://arxiv.org/abs/2507.20534).
    """

    threshold: Value = 100.0
    alpha: Value = 0.5
    roles: Any = static(default=(("query", "query"), ("key", "key")))
    head_axis: int = static(default=-2)
    key_heads: int | None = static(default=None)

    def __post_init__(self) -> None:
        check_range("threshold", self.threshold, above=0)
        check_range("alpha", self.alpha, at_least=0, at_most=1)
        if isinstance(self.roles, Mapping):
            # A static field is hashable.
            object.__setattr__(self, "roles", tuple(self.roles.items()))
        for name, role in self.roles:
            check_choice(f"roles[{name!r}]", role, ROLES)
        check_integer("head_axis", self.head_axis, at_least=-32)
        if self.key_heads is not None:
            check_integer("key_heads", self.key_heads, at_least=1)

    def init(self, params: PyTree) -> Empty:
        return ()

    def update(  # type: ignore[override]  # what it needs is required
        self,
        updates: PyTree,
        state: Empty,
        params: PyTree | None = None,
        *,
        max_logits: Mapping[str, Array],
        **extra: Any,
    ) -> tuple[PyTree, Empty]:
        params = require_params(params, updates, "qk_clip")
        treedef: Any
        leaves, treedef = jax.tree.flatten(updates)
        others = treedef.flatten_up_to(params)
        found = set()
        for i, (path, leaf) in enumerate(leaves_with_names(updates)):
            layer, role = self._place(path)
            if role is None:
                continue
            if layer not in max_logits:
                raise ValueError(
                    f"max_logits has nothing for {layer!r}, the attention layer of "
                    f"{path!r}; it has {listed(sorted(max_logits))}"
                )
            found.add(layer)
            scale = self._scale(path, leaf, role, jnp.asarray(max_logits[layer]))
            leaves[i] = _rescaled(leaf, others[i], scale)
        unknown = sorted(max_logits.keys() - found)
        if unknown:
            raise ValueError(
                f"max_logits has layers without parameters for {dict(self.roles)}: "
                f"{listed(unknown)}"
            )
        return treedef.unflatten(leaves), ()

    def _place(self, path: str) -> tuple[str, str | None]:
        """The attention layer of a leaf, and its role there."""
        names, roles = path.split("."), dict(self.roles)
        for i, name in enumerate(names):
            if name in roles:
                return ".".join(names[:i]), roles[name]
        return "", None

    def _scale(self, path: str, leaf: Array, role: str, logits: Array) -> Array:
        """The factors of a leaf along its head axis."""
        if logits.ndim != 1:
            raise ValueError(
                f"max_logits must be an array [heads] for each layer, found shape "
                f"{logits.shape} for that of {path!r}"
            )
        axis, axes = self.head_axis, np.ndim(leaf)
        size = np.shape(leaf)[axis] if -axes <= axis < axes else 0
        heads = len(logits)
        # A head without a logit, or with a negative one, does not change.
        gamma = jnp.where(
            logits > self.threshold,
            lax.convert_element_type(self.threshold, logits.dtype) / logits,
            1,
        )
        if role == "key":
            count = min(heads, size) if self.key_heads is None else self.key_heads
            if count and heads % count == 0:
                gamma = jnp.min(gamma.reshape(count, -1), axis=1)
        if size == 0 or heads % len(gamma) or size % len(gamma):
            raise ValueError(
                f"{heads} heads do not fit axis {axis} of the leaf of shape "
                f"{np.shape(leaf)} at {path!r}; pass head_axis, and key_heads if "
                "queries share keys"
            )
        power = {"query": self.alpha, "key": 1 - self.alpha, "query_rotary": 1.0}[role]
        factors = gamma ** lax.convert_element_type(power, gamma.dtype)
        factors = jnp.repeat(factors, size // len(gamma))
        return factors.reshape([size if i == axis % axes else 1 for i in range(axes)])
