"""L-BFGS against live torch: parameters, state, and the number of evaluations."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytest.importorskip("torch", reason="live parity needs torch (extra `parity`)")
pytest.importorskip("expecttest", reason="torch's test database needs expecttest")

import torch
from torch.optim.lbfgs import _strong_wolfe

from optifunc.optimizers._strong_wolfe import advance, start_search
from optifunc.transforms._line import Point

from .database import configurations

pytestmark = pytest.mark.torch

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(20, 6))
TARGET = RNG.normal(size=20)
SIGNS = np.sign(MATRIX @ RNG.normal(size=6) + 0.5 * RNG.normal(size=20))
CURVATURES = np.geomspace(1, 30, 12)
HERMITIAN = MATRIX[:5, :5] + 1j * MATRIX[5:10, :5]


# The objectives, written once for what both libraries have; ``constant`` makes data an
# array of the library in use.


def rosenbrock(xp, params, constant):
    x = params["x"]
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def quadratic(xp, params, constant):
    return 0.5 * (constant(CURVATURES) * params["x"] ** 2).sum()


def least_squares(xp, params, constant):
    # Two leaves, one of them a scalar.
    fit = constant(MATRIX) @ params["weight"] + params["bias"]
    return ((fit - constant(TARGET)) ** 2).mean()


def logistic(xp, params, constant):
    score = constant(MATRIX) @ params["weight"] + params["bias"]
    penalty = 0.01 * (params["weight"] ** 2).sum()
    return xp.log1p(xp.exp(-constant(SIGNS) * score)).mean() + penalty


def complex_fit(xp, params, constant):
    # Not symmetric in the real and the imaginary part, and not quadratic.
    z = constant(HERMITIAN) @ params["z"] - constant(HERMITIAN[0])
    size = (z.real + params["shift"]) ** 2 + 2 * z.imag**2
    return (size + 0.3 * xp.sin(z.real)).sum()


def small(xp, params, constant):
    return 1e-6 * rosenbrock(xp, params, constant)


def start(objective):
    if objective in (least_squares, logistic):
        return {"bias": np.array(0.3), "weight": np.linspace(-1, 1, 6)}
    if objective is complex_fit:
        z = np.linspace(-1, 1, 5)
        return {"shift": np.linspace(0, 1, 5), "z": z + 0.5j * z**2}
    if objective is quadratic:
        return {"x": np.linspace(-1, 2, 12)}
    return {"x": np.array([-1.2, 1.0])}


def near_the_minimum():
    """A start from which the valley of 100 dimensions is not followed for long.

    Over a long way through it L-BFGS magnifies differences in rounding a thousandfold
    with each update, in torch against itself too.
    """
    return {"x": 1 + 0.1 * np.random.default_rng(1).normal(size=100)}


class Torch:
    def __init__(self, objective, params, dtype, **kwargs):
        self.params = {
            k: torch.tensor(_cast(v, dtype), requires_grad=True)
            for k, v in params.items()
        }
        self.optimizer = torch.optim.LBFGS(self.params.values(), **kwargs)
        self.loss = partial(
            objective, torch, self.params, lambda x: torch.tensor(_cast(x, dtype))
        )

    def step(self, lr=None):
        if lr is not None:
            self.optimizer.param_groups[0]["lr"] = lr

        def closure():
            self.optimizer.zero_grad()
            loss = self.loss()
            loss.backward()
            return loss

        self.optimizer.step(closure)
        params = {k: v.detach().numpy() for k, v in self.params.items()}
        return params, self.optimizer.state[next(iter(self.params.values()))]


def _cast(x, dtype):
    wide = np.complex128 if dtype == "float64" else np.complex64
    return np.asarray(x).astype(wide if np.iscomplexobj(x) else dtype)


@partial(jax.jit, static_argnames=("objective", "with_value"))
def _step(tx, params, state, *, objective, with_value):
    dtype = jax.tree.leaves(params)[0].real.dtype.name

    def loss(params):
        return objective(jnp, params, lambda x: jnp.asarray(_cast(x, dtype)))

    value, updates = None, params
    if with_value:
        value, updates = jax.value_and_grad(loss)(params)
        updates = jax.tree.map(jnp.conj, updates)
    updates, state = tx.update(updates, state, params, value_fn=loss, value=value)
    return of.apply_updates(params, updates), state


class Ours:
    def __init__(self, objective, params, dtype, with_value=False, **kwargs):
        self.tx = of.step_by_lbfgs(**kwargs)
        self.params = {k: jnp.asarray(_cast(v, dtype)) for k, v in params.items()}
        self.state = self.tx.init(self.params)
        self.options = {"objective": objective, "with_value": with_value}

    def step(self, lr=None):
        if lr is not None:
            self.tx = of.replace_hyperparameters(self.tx, lr=lr)
        self.params, self.state = _step(
            self.tx, self.params, self.state, **self.options
        )
        return self.params, self.state


def history(state, field):
    """The entries of a ring in use, the oldest first: torch's list."""
    size = state.ro.shape[0]
    used = min(int(state.num_pairs), size)
    rows = [(int(state.num_pairs) - used + i) % size for i in range(used)]
    return np.asarray(getattr(state, field))[rows]


def assert_same_state(ours, theirs, rtol):
    counts = {name: int(getattr(ours, name)) for name in ("func_evals", "n_iter")}
    assert counts == {name: theirs[name] for name in counts}
    if "d" not in theirs:  # torch returned before its first iteration
        assert counts["n_iter"] == 0
        return
    for name in ("d", "t", "H_diag", "prev_flat_grad", "prev_loss"):
        _assert_close(getattr(ours, name), theirs[name], rtol, name)
    for name in ("old_dirs", "old_stps", "ro"):
        assert len(history(ours, name)) == len(theirs[name])
        for i, (x, y) in enumerate(zip(history(ours, name), theirs[name], strict=True)):
            _assert_close(x, y, rtol, f"{name}[{i}]")
    al = [x for x in theirs.get("al", []) if x is not None]
    _assert_close(history(ours, "al"), np.array(al), rtol, "al")


def _assert_close(ours, theirs, rtol, name):
    """Equal relative to the field's largest number, which is what rounding is too.

    A pair holds differences of gradients and of parameters of order 1, so it is known
    only to 1e-16 absolutely however small it is; hence the floor.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    scale = np.max(np.abs(theirs), initial=1e-3)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * scale, err_msg=name)


WOLFE = {"line_search_fn": "strong_wolfe"}
FIVE = {"max_iter": 5}  # one program for many cases
CASES = {
    # name: (objective, arguments, number of updates)
    "rosenbrock": (rosenbrock, {"lr": 0.02}, 6),
    "rosenbrock, searched": (rosenbrock, WOLFE, 3),
    "quadratic": (quadratic, {"lr": 0.5}, 2),
    "quadratic, searched": (quadratic, {**WOLFE, **FIVE}, 4),
    "least squares": (least_squares, {"max_iter": 4}, 4),
    "least squares, searched": (least_squares, {**WOLFE, "max_iter": 4}, 4),
    "logistic": (logistic, FIVE, 4),
    "logistic, searched": (logistic, {**WOLFE, **FIVE}, 4),
    "history of 3": (rosenbrock, {"lr": 0.02, "history_size": 3}, 4),
    "history of 3, searched": (logistic, {**WOLFE, "history_size": 3}, 2),
    "history of 1": (quadratic, {"lr": 0.5, "history_size": 1, "max_iter": 7}, 3),
    "small gradients": (small, FIVE, 4),
    "small gradients, searched": (small, {**WOLFE, **FIVE}, 3),
    "complex": (complex_fit, FIVE, 3),
    "complex, searched": (complex_fit, {**WOLFE, **FIVE}, 3),
    "no iteration": (logistic, {**FIVE, "tolerance_grad": 1e3}, 3),
    "one iteration": (logistic, {"max_iter": 1}, 4),
    "one iteration, searched": (logistic, {**WOLFE, "max_iter": 1}, 4),
    "early by gradient": (logistic, {**FIVE, "tolerance_grad": 0.2}, 3),
    "early by value": (logistic, {**FIVE, "tolerance_change": 1e-2}, 3),
    "early by value, searched": (
        logistic,
        {**WOLFE, **FIVE, "tolerance_change": 1e-2},
        3,
    ),
    # The first step is of length 1e-4, and the value falls by more than 1e-3.
    "early by step": (rosenbrock, {"lr": 1e-4, "tolerance_change": 1e-3}, 3),
    "few evaluations": (logistic, {"max_eval": 3}, 4),
    "few evaluations, searched": (rosenbrock, {**WOLFE, "max_eval": 4}, 5),
    "too long a step, searched": (logistic, {**WOLFE, **FIVE, "lr": 1e4}, 2),
    # Not shorter: the cubic through two points close to each other is all rounding.
    "too short a step, searched": (logistic, {**WOLFE, **FIVE, "lr": 0.01}, 3),
}


@pytest.mark.parametrize("name", CASES)
def test_same_steps_as_torch(name, x64):
    objective, kwargs, updates = CASES[name]
    compare(objective, kwargs, updates=updates)


@pytest.mark.parametrize("search", [{}, WOLFE], ids=["fixed", "searched"])
def test_a_value_that_is_given_counts_as_the_first_evaluation(search, x64):
    compare(complex_fit, {**search, **FIVE}, with_value=True)


@pytest.mark.parametrize("search", [{}, WOLFE], ids=["fixed", "searched"])
def test_the_learning_rate_changes_midway(search, x64):
    compare(logistic, {**search, **FIVE}, rates=[None, 0.5, 0.1, None, 2.0])


@pytest.mark.parametrize("search", [{"lr": 0.2}, WOLFE], ids=["fixed", "searched"])
def test_a_hundred_dimensions(search, x64):
    args = {**search, "history_size": 10}
    compare(rosenbrock, args, params=near_the_minimum(), updates=4)


@pytest.mark.parametrize(
    "kwargs",
    [kwargs for name, kwargs in configurations() if name == "LBFGS"],
    ids=str,
)
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_the_configurations_of_torchs_database(kwargs, scale, x64):
    objective = logistic if scale == 1.0 else small
    rates = [None, None, 0.5 * kwargs.get("lr", 1.0), None]
    compare(objective, {**kwargs, **FIVE}, rates=rates)


@pytest.mark.parametrize("search", [{"lr": 0.5}, WOLFE], ids=["fixed", "searched"])
@pytest.mark.parametrize("objective", [least_squares, logistic, complex_fit])
def test_float32(objective, search):
    # Few iterations: near the minimum the tolerances meet float32's rounding, and
    # which evaluation is the last one is a matter of luck.
    compare(
        objective,
        {**search, "max_iter": 4},
        dtype="float32",
        updates=2,
        atol=1e-5,
        rtol=1e-2,
    )


def compare(
    objective,
    kwargs,
    *,
    params=None,
    dtype="float64",
    updates=3,
    rates=None,
    with_value=False,
    atol=1e-9,
    rtol=1e-6,
):
    """Parameters, counts and state after each update."""
    params = start(objective) if params is None else params
    ours = Ours(objective, params, dtype, with_value, **kwargs)
    theirs = Torch(objective, params, dtype, **kwargs)
    for lr in [None] * updates if rates is None else rates:
        found, state = ours.step(lr)
        expected, expected_state = theirs.step(lr)
        for name in expected:
            assert found[name].dtype == expected[name].dtype
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=atol)
        assert_same_state(state, expected_state, rtol)


def curves():
    """Functions of a step, as (value, slope), that send a search along its branches.

    Polynomials with waves, walls and kinks: some with values rounded to a grid, so that
    ties occur, and some whose slope has the wrong sign.
    """
    rng = np.random.default_rng(2)
    for i in range(900):
        a, b, c, d = rng.normal(size=4) * [1, 3, 1, 1]
        wave, wall, kink = rng.exponential(size=3) * (rng.random(3) < 0.4)
        speed, steep, corner = rng.exponential(5, size=3) * [1, 1, 0.2]
        quartic = rng.exponential()
        grid, wrong = i % 4 == 1, i % 5 == 2

        def curve(
            t,
            polynomial=(quartic, c, b, a, d),
            wave=wave,
            speed=speed,
            wall=wall,
            steep=steep,
            kink=kink,
            corner=corner,
            grid=grid,
            wrong=wrong,
        ):
            growth = 0.1 * wall * np.exp(min(steep * t, 100))
            value = np.polyval(polynomial, t) + wave * np.sin(speed * t)
            value += growth + 3 * kink * abs(t - corner)
            slope = np.polyval(np.polyder(polynomial), t) + steep * growth
            slope += wave * speed * np.cos(speed * t) + 3 * kink * np.sign(t - corner)
            slope *= -1 if wrong and t > 0.2 else 1
            return float(np.round(value, 1) if grid else value), float(slope)

        # Downhill at the start, as a direction of L-BFGS is.
        if curve(0.0)[1] < 0:
            yield (
                curve,
                float(rng.choice([0.01, 0.1, 1.0, 30.0])),
                int(rng.integers(20)),
            )


def searched_by_torch(curve, t, most, noise=0.0):
    """Evaluations, step, value and slope."""
    vary = np.random.default_rng(3)

    def objective(x, t, d):
        value, slope = curve(float(t))
        value *= 1 + noise * vary.normal()
        return value, torch.tensor([slope], dtype=torch.float64)

    value, grad = objective(None, 0.0, None)
    direction = torch.ones(1, dtype=torch.float64)
    value, grad, t, evals = _strong_wolfe(
        objective, None, t, direction, value, grad, grad[0], max_ls=most
    )
    return evals, float(t), value, grad.item()


def test_the_line_search_is_torchs_along_every_branch(x64):
    go_on, scalar = jax.jit(advance), partial(jnp.asarray, dtype=jnp.float64)
    counts = []
    for curve, t, most in curves():
        expected = searched_by_torch(curve, t, most)
        # Some searches hang on the last digit of the values, torch's too.
        for noise in (1e-16, 1e-15, -1e-15):
            other = searched_by_torch(curve, t, most, noise)
            if not np.allclose(other, expected, rtol=1e-6, atol=1e-6):
                break
        else:
            value, slope = curve(0.0)
            start = Point(scalar(0), scalar(value), scalar(slope), scalar([slope]))
            search = start_search(start, scalar(t), scalar(1), jnp.int32(most))
            evals = 0
            while not search.done:
                value, slope = curve(float(search.step_size))
                search = go_on(search, scalar(value), scalar(slope), scalar([slope]))
                evals += 1
            best = search.best()
            found = evals, best.step_size, best.value, best.grad.item()
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
            counts.append(evals)
    assert len(counts) > 300
    assert set(counts) >= set(range(1, 10))
