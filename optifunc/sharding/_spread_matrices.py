"""Matrix optimizers with matrices distributed over devices."""

from __future__ import annotations

from typing import Any

from jax.sharding import Mesh

from .._dataclass import child, static
from .._transformation import Child, GradientTransformation, State, transformation
from .._tree import PyTree
from ..linalg._spread import spread_over
from ..wrappers._wrapper import Wrapper
from ._mesh import check_mesh


@transformation
class spread_matrices(Wrapper):
    """Let each device orthogonalize or factorize its own whole matrices.

    A sharded matrix has to be gathered for each of the products that `muon` computes,
    and all devices repeat the work for one that is not sharded. Inside this wrapper,
    matrices with the same shape are stacked and the stack is spread over ``axis``: they
    travel to their device once, and the results travel back once::

        tx = of.sharding.spread_matrices(of.muon(0.02), mesh, "data")

    It is for `muon`, `normuon`, `adamuon`, `scion`, `soap`, `shampoo`, `kron` and
    `dion`, and does not affect others. The results are the same, up to rounding.

    **Arguments:**

    - ``inner``: the transformation, which may hold those named above at any depth.
    - ``mesh``: the mesh that the parameters are on, a `jax.sharding.Mesh`.
    - ``axis``: the name of the axis of ``mesh`` over which matrices are spread.

    **State:** the inner transformation's.

    **Raises:** `ValueError` for an ``axis`` that ``mesh`` does not have, `TypeError`
    for a ``mesh`` that is not one.

    **Source:** the distribution of whole matrices: Jordan et al., "Muon: An optimizer
    for hidden layers in neural networks",
    [2024](https://kellerjordan.github.io/posts/muon/).
    """

    inner: GradientTransformation = child()
    mesh: Mesh = static()
    axis: str = static()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mesh(self.mesh, self.axis)

    def state_of(self, child: Child, state: State) -> State:
        return state

    def init(self, params: PyTree) -> State:
        with spread_over(self.mesh, self.axis):
            return self.inner.init(params)

    def update(
        self, updates: PyTree, state: State, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, State]:
        with spread_over(self.mesh, self.axis):
            return self.inner.update(updates, state, params, **extra)
