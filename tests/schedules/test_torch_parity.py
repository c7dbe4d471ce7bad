"""Every torch scheduler's counterpart against the scheduler itself."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc.schedules as ours

torch = pytest.importorskip("torch")
theirs = torch.optim.lr_scheduler

pytestmark = pytest.mark.torch

EPOCHS = 200
CONFIGURATIONS = 20


@jax.jit
def values(schedule: ours.Schedule, steps: jax.Array) -> jax.Array:
    return jax.vmap(schedule)(steps)


def reference(
    base: float, build: Callable[[Any], Any], epochs: int, key: str = "lr"
) -> np.ndarray:
    """The values of a torch scheduler at steps 0, 1, ... ``epochs - 1``."""
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=base, momentum=0.9)
    with warnings.catch_warnings():
        # SequentialLR's own call of a deprecated form of `step`, for one.
        warnings.simplefilter("ignore")
        scheduler = build(optimizer)
        found = []
        for _ in range(epochs):
            found.append(optimizer.param_groups[0][key])
            optimizer.step()
            if len(found) < epochs:
                scheduler.step()
    return np.array(found)


class Draw(NamedTuple):
    """Random arguments that float32 represents, so that both sides have the same."""

    rng: np.random.Generator

    def number(self, low: float, high: float) -> float:
        return float(np.float32(self.rng.uniform(low, high)))

    def count(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def length(self, high: int) -> int:
        """A count, and in one draw of five 0, which torch treats unlike its formula."""
        return self.count(1, high) if self.count(0, 4) else 0

    def base(self) -> float:
        return float(np.float32(10 ** self.rng.uniform(-4, 0)))


class Case(NamedTuple):
    base: float
    schedule: ours.Schedule
    build: Callable[[Any], Any]
    epochs: int = EPOCHS
    key: str = "lr"


def constant(d: Draw) -> Case:
    base, arguments = d.base(), (d.number(0.01, 1), d.length(150))
    return Case(
        base,
        ours.constant(base, *arguments),
        lambda opt: theirs.ConstantLR(opt, *arguments),
    )


def linear(d: Draw) -> Case:
    base = d.base()
    arguments = (d.number(0.01, 1), d.number(0, 1), d.length(250))
    return Case(
        base,
        ours.linear(base, *arguments),
        lambda opt: theirs.LinearLR(opt, *arguments),
    )


def exponential(d: Draw) -> Case:
    base, gamma = d.base(), d.number(0.9, 1.01)
    return Case(
        base,
        ours.exponential(base, gamma),
        lambda opt: theirs.ExponentialLR(opt, gamma),
    )


def step(d: Draw) -> Case:
    base, arguments = d.base(), (d.count(1, 60), d.number(0.1, 1))
    return Case(
        base, ours.step(base, *arguments), lambda opt: theirs.StepLR(opt, *arguments)
    )


def multi_step(d: Draw) -> Case:
    base, gamma = d.base(), d.number(0.1, 1)
    milestones = [d.count(0, 180) for _ in range(3)]
    milestones.append(milestones[0])  # unordered, and one of them twice
    return Case(
        base,
        ours.multi_step(base, milestones, gamma),
        lambda opt: theirs.MultiStepLR(opt, milestones, gamma),
    )


def _wave(epoch: Any) -> Any:
    """A factor as a function that both sides can call."""
    if isinstance(epoch, int):
        return 1 - 0.25 * (epoch % 5) / 8
    return 1 - 0.25 * (epoch % 5).astype(jnp.result_type(float)) / 8


def multiplicative(d: Draw) -> Case:
    base = d.base()
    return Case(
        base,
        ours.multiplicative(base, _wave),
        lambda opt: theirs.MultiplicativeLR(opt, _wave),
    )


def lambda_(d: Draw) -> Case:
    base = d.base()
    return Case(
        base, ours.lambda_(base, _wave), lambda opt: theirs.LambdaLR(opt, _wave)
    )


def polynomial(d: Draw) -> Case:
    base, arguments = d.base(), (d.length(250), d.number(0, 3))
    return Case(
        base,
        ours.polynomial(base, *arguments),
        lambda opt: theirs.PolynomialLR(opt, *arguments),
    )


def cosine_annealing(d: Draw) -> Case:
    base, T_max = d.base(), d.count(1, 250)
    eta_min = d.number(0, 1) * base * d.count(0, 1)
    eta_min = float(np.float32(eta_min))
    return Case(
        base,
        ours.cosine_annealing(base, T_max, eta_min),
        lambda opt: theirs.CosineAnnealingLR(opt, T_max, eta_min),
    )


def cosine_annealing_warm_restarts(d: Draw) -> Case:
    base, arguments = (
        d.base(),
        (d.count(1, 30), d.count(1, 4), 2.0**-20 * d.count(0, 1)),
    )
    return Case(
        base,
        ours.cosine_annealing_warm_restarts(base, *arguments),
        lambda opt: theirs.CosineAnnealingWarmRestarts(opt, *arguments),
    )


def _halved(x: Any) -> Any:
    if isinstance(x, int):
        return 1 / (1 + x)
    return 1 / (1 + x.astype(jnp.result_type(float)))


def cyclic(d: Draw, momentum: bool = False) -> Case:
    base, top = d.base(), d.base()
    up, down = d.count(1, 80), [None, d.count(1, 80)][d.count(0, 1)]
    kind = d.count(0, 4)
    rest = {
        "mode": ["triangular", "triangular2", "exp_range", "custom", "custom"][kind],
        "gamma": d.number(0.97, 1),
        "scale_fn": _halved if kind > 2 else None,
        "scale_mode": "iterations" if kind == 4 else "cycle",
    }
    if momentum:
        low, high = d.number(0.5, 0.8), d.number(0.8, 1)
        bounds = {"base_momentum": low, "max_momentum": high}
        schedule = ours.cyclic(high, low, up, down, **rest)
    else:
        bounds = {"cycle_momentum": False}
        schedule = ours.cyclic(base, top, up, down, **rest)
    return Case(
        base,
        schedule,
        lambda opt: theirs.CyclicLR(opt, base, top, up, down, **rest, **bounds),
        key="momentum" if momentum else "lr",
    )


def one_cycle(d: Draw, momentum: bool = False) -> Case:
    top, total = d.base(), d.count(3, EPOCHS)
    length: dict[str, Any] = {"total_steps": total}
    if d.count(0, 1):
        length = {"epochs": d.count(2, 10), "steps_per_epoch": d.count(4, 20)}
        total = length["epochs"] * length["steps_per_epoch"]
    rest: dict[str, Any] = {
        **length,
        "pct_start": [0.0, 0.5, d.number(0, 1)][d.count(0, 2)],
        "anneal_strategy": ["cos", "linear"][d.count(0, 1)],
        "three_phase": bool(d.count(0, 1)),
    }
    levels = {"div_factor": d.number(1, 50), "final_div_factor": d.number(1, 1e4)}
    if momentum:
        levels = {"base_momentum": d.number(0.5, 1), "max_momentum": d.number(0.5, 1)}
        schedule: ours.Schedule = ours.one_cycle_momentum(**levels, **rest)
    else:
        schedule = ours.one_cycle(top, **levels, **rest)
    return Case(
        top,
        schedule,
        lambda opt: theirs.OneCycleLR(
            opt, top, **rest, **levels, cycle_momentum=momentum
        ),
        total + 1,  # torch allows one step more than there are
        key="momentum" if momentum else "lr",
    )


def sequential(d: Draw) -> Case:
    base, first = d.base(), d.count(1, 50)
    milestones = [first, first + d.count(1, 50), first + d.count(60, 100)]
    factor, gamma, T_max = d.number(0.1, 1), d.number(0.9, 1), d.count(10, 150)
    T_0, total_iters = d.count(3, 30), d.count(1, 60)
    return Case(
        base,
        ours.sequential(
            [
                ours.linear(base, factor, total_iters=total_iters),
                ours.cosine_annealing(base, T_max),
                ours.cosine_annealing_warm_restarts(base, T_0, 2),
                ours.exponential(base, gamma),
            ],
            milestones,
        ),
        lambda opt: theirs.SequentialLR(
            opt,
            [
                theirs.LinearLR(opt, factor, total_iters=total_iters),
                theirs.CosineAnnealingLR(opt, T_max),
                theirs.CosineAnnealingWarmRestarts(opt, T_0, 2),
                theirs.ExponentialLR(opt, gamma),
            ],
            milestones,
        ),
    )


def chained(d: Draw) -> Case:
    base, factor, gamma = d.base(), d.number(0.1, 1), d.number(0.95, 1)
    total_iters, step_size = d.count(1, 60), d.count(5, 60)
    # After T_max torch's recursion has multiplied by 0 (`chained` says so).
    T_max = d.count(EPOCHS, 2 * EPOCHS)
    return Case(
        base,
        ours.chained(
            [
                ours.constant(base, factor, total_iters),
                ours.chained([ours.exponential(base, gamma)]),
                ours.step(base, step_size, 0.5),
                ours.multi_step(base, [30, 90], 0.5),
                ours.linear(base, 0.5, 1.0, total_iters),
                ours.polynomial(base, 2 * EPOCHS, 0.5),
                ours.multiplicative(base, _wave),
                ours.cosine_annealing(base, T_max),
            ]
        ),
        lambda opt: theirs.ChainedScheduler(
            [
                theirs.ConstantLR(opt, factor, total_iters),
                theirs.ExponentialLR(opt, gamma),
                theirs.StepLR(opt, step_size, 0.5),
                theirs.MultiStepLR(opt, [30, 90], 0.5),
                theirs.LinearLR(opt, 0.5, 1.0, total_iters),
                theirs.PolynomialLR(opt, 2 * EPOCHS, 0.5),
                theirs.MultiplicativeLR(opt, _wave),
                theirs.CosineAnnealingLR(opt, T_max),
            ]
        ),
    )


def cyclic_momentum(d: Draw) -> Case:
    return cyclic(d, momentum=True)


def one_cycle_momentum(d: Draw) -> Case:
    return one_cycle(d, momentum=True)


DRAWS = [
    constant,
    linear,
    exponential,
    step,
    multi_step,
    multiplicative,
    lambda_,
    polynomial,
    cosine_annealing,
    cosine_annealing_warm_restarts,
    cyclic,
    cyclic_momentum,
    one_cycle,
    one_cycle_momentum,
    sequential,
    chained,
]


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__)
def test_equals_torch(draw):
    rng = np.random.default_rng(sum(map(ord, draw.__name__)))
    steps = np.arange(EPOCHS + 1, dtype=np.int32)
    for _ in range(CONFIGURATIONS):
        case = draw(Draw(rng))
        expected = reference(case.base, case.build, case.epochs, case.key)
        scale = np.abs(expected).max()
        with jax.enable_x64(True):
            wide = values(case.schedule, steps)
            assert wide.dtype == np.float64
        narrow = values(case.schedule, steps)
        assert narrow.dtype == np.float32
        # torch multiplies from epoch to epoch and, at the foot of a cosine, subtracts
        # nearly equal numbers; 1e-12 of the largest value allows it that.
        np.testing.assert_allclose(
            wide[: case.epochs],
            expected,
            rtol=1e-12,
            atol=1e-12 * scale,
            err_msg=repr(case.schedule),
        )
        # An exponent rounded to float32 moves `exp` by as much times its size, which is
        # up to 21 here; a value of `one_cycle` near its start is reached from one 50
        # times as large, at a phase's end that is rounded.
        np.testing.assert_allclose(
            narrow[: case.epochs],
            wide[: case.epochs],
            rtol=3e-6,
            err_msg=repr(case.schedule),
        )
