"""Runs of the authors' implementations, recorded in float64, and ours beside them."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import optifunc as of

_RECORDED = json.loads(
    (Path(__file__).parents[1] / "golden" / "authors.json").read_text()
)
PROBLEMS = _RECORDED["_problems"]
RUNS = {name: run for name, run in _RECORDED.items() if not name.startswith("_")}


def _quadratic(params):
    h = jnp.asarray(PROBLEMS["V"]["H"], params.dtype)
    return 0.5 * params @ h @ params


def _matrix_quadratic(params):
    a, b = (jnp.asarray(PROBLEMS["M"][x], params.dtype) for x in "AB")
    return 0.5 * jnp.sum(params * (a @ params @ b))


def _rosenbrock(params):
    x, y = params
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


VALUES = {"V": _quadratic, "M": _matrix_quadratic, "R": _rosenbrock}


def assert_follows(
    name, tx, *, begin=None, read=None, extra=None, transposed=False, atol=1e-9
):
    """Check that ``tx`` takes the recorded run ``name`` step for step, in float64.

    To be called under the fixture ``x64``.

    **Arguments:**

    - ``name``: a key of `RUNS`.
    - ``tx``: a transformation of the parameters, one array.
    - ``begin``: a function of the first state that returns the one to begin with.
    - ``read``: a function of ``(state, params)``; what it returns is compared with the
      run's ``extra`` (or ``slow``) numbers of each step.
    - ``extra``: a function of ``(params, i)`` that returns a dict of extra arguments of
      the update with index ``i``. ``value`` and ``value_fn`` are always given.
    - ``transposed``: whether ours has the matrix the other way round.
    - ``atol``: 1e-9, unless the specification says that the reference is less exact
      (``restated_to`` in the record).
    """
    run = RUNS[name]
    given = VALUES[run["problem"]]

    def value_fn(params):
        return given(params.T if transposed else params)

    @jax.jit
    def step(tx, params, state, extra):
        value, grads = jax.value_and_grad(value_fn)(params)
        updates, state = tx.update(
            grads, state, params, value=value, value_fn=value_fn, **extra
        )
        return of.apply_updates(params, updates), state

    params = jnp.asarray(run["p0"], jnp.float64)
    params = params.T if transposed else params
    state = tx.init(params)
    state = state if begin is None else begin(state)
    others = run.get("extra", run.get("slow"))
    for i, expected in enumerate(run["params"]):
        params, state = step(tx, params, state, extra(params, i) if extra else {})
        found = params.T if transposed else params
        np.testing.assert_allclose(
            found,
            np.asarray(expected),
            rtol=0,
            atol=atol,
            err_msg=f"after step {i + 1}",
        )
        if read is not None:
            np.testing.assert_allclose(
                read(state, params),
                np.asarray(others[i]),
                rtol=0,
                atol=atol,
                err_msg=f"read after step {i + 1}",
            )
