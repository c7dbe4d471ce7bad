"""Programs written for optax, run with both imports."""

import jax
import numpy as np
import optax
import pytest

import optifunc.compat.optax as compat

from .programs import learned_from_play, own_parts, probabilistic, supervised

QUICK = {"classifier", "own_transformation"}
PROGRAMS = [
    pytest.param(
        program,
        id=program.__name__,
        marks=[] if program.__name__ in QUICK else [pytest.mark.slow],
    )
    for module in (supervised, learned_from_play, probabilistic, own_parts)
    for program in module.PROGRAMS
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_unchanged_and_agrees(program):
    # Programs count on implicit promotion, as optax does.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        ours, theirs = (jax.tree.leaves(program(module)) for module in (compat, optax))
    assert theirs
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)
