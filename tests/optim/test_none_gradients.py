"""Parameters whose gradient is None are skipped whole, as in torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .harness import (
    OPTIMIZERS,
    assert_same,
    ours,
    start,
    step_ours,
    step_theirs,
    tensors,
    theirs,
    tolerance,
)

pytestmark = pytest.mark.torch

# For each step which of the four parameters have a gradient.
PATTERNS = {
    "late": ["1100", "1100", "1110", "1111", "1111"],
    "alternating": ["1010", "0101", "1010", "0101", "1111", "1111"],
    "ragged": ["1000", "1111", "0110", "0000", "1111"],
    "never": ["1110", "1110", "1110"],
}
CASES = [
    *((name, "ragged") for name in OPTIMIZERS),
    *((name, pattern) for name in ("SGD", "NAdam") for pattern in PATTERNS),
]


@pytest.mark.parametrize(("name", "pattern"), sorted(set(CASES)))
def test_patterns_of_missing_gradients(name, pattern):
    kwargs = OPTIMIZERS[name]
    values = start(name)
    optimizer = ours(name, list(map(jnp.asarray, values)), **kwargs)
    reference = theirs(name, tensors(values), **kwargs)
    for number, row in enumerate(PATTERNS[pattern]):
        present = [x == "1" for x in row]
        if number == 2:
            for o in (optimizer, reference):
                o.param_groups[0]["lr"] = 0.5 * kwargs["lr"]
        step_ours(optimizer, present)
        step_theirs(reference, present)
        assert_same(optimizer, reference, tolerance(name, kwargs["lr"]))


def test_parameters_that_catch_up_share_a_state_again():
    params = [jnp.ones(2), jnp.ones(3)]
    optimizer = of.optim.Adam(params)
    step_ours(optimizer, [True, False])
    step_ours(optimizer, [False, True])
    assert len(optimizer._cohorts) == 1
    assert [entry["step"] for entry in optimizer.state.values()] == [1, 1]


def test_no_gradient_at_all_is_no_step():
    optimizer = of.optim.AdamW([jnp.ones(2)])
    assert optimizer.step(lambda: 3.0) == 3.0
    assert optimizer.state == {}
    np.testing.assert_array_equal(optimizer.params[0], jnp.ones(2))


# SparseAdam's gradients have entries or not.
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "SparseAdam"])
def test_a_zero_gradient_is_not_a_missing_one(name):
    kwargs = OPTIMIZERS[name]
    values = start(name, count=2)
    optimizer = ours(name, list(map(jnp.asarray, values)), **kwargs)
    reference = theirs(name, tensors(values), **kwargs)
    zeros = jax.tree.map(jnp.zeros_like, optimizer.params)
    for _ in range(2):
        optimizer.step(grads=zeros)
        for p in reference.param_groups[0]["params"]:
            p.grad = 0 * p.detach()
        reference.step()
    assert_same(optimizer, reference, tolerance(name, kwargs["lr"]))
