"""Schedulers of both libraries on equal optimizers, with settings drawn at random.

Both libraries compute in float64 with the same recursions, so they differ by rounding
only: by how much is bounded relative to the value.
"""

import copy
import math

import jax.numpy as jnp
import pytest
from hypothesis import strategies as st

import optifunc.optim as optim

torch = pytest.importorskip("torch", reason="parity needs torch (extra `parity`)")

EPOCHS = 200
TOLERANCE = 1e-12

ours = optim.lr_scheduler
theirs = torch.optim.lr_scheduler
# SWALR lives elsewhere in both libraries.
MODULES = {
    ours: (optim.lr_scheduler, optim.swa_utils),
    theirs: (torch.optim.lr_scheduler, torch.optim.swa_utils),
}


class Power:
    """A ``lr_lambda`` or ``scale_fn`` whose attributes are part of a checkpoint."""

    def __init__(self, base):
        self.base = base

    def __call__(self, x):
        return self.base**x


class Ripple(Power):
    """A factor near 1."""

    def __call__(self, x):
        return 1 + self.base * math.sin(x)


def floats(low, high):
    return st.floats(low, high, allow_nan=False)


def per_group(values):
    return values | st.lists(values, min_size=2, max_size=2)


decays = floats(0.5, 1.1)
small = floats(1e-3, 1.0)
iters = st.integers(1, 250)

CONFIGURATIONS = {
    "LambdaLR": {"lr_lambda": per_group(st.builds(Power, floats(0.9, 1.01)))},
    "MultiplicativeLR": {"lr_lambda": per_group(st.builds(Ripple, floats(-0.1, 0.1)))},
    "StepLR": {"step_size": st.integers(1, 80), "gamma": decays},
    "MultiStepLR": {
        "milestones": st.lists(st.integers(0, 220), max_size=6),
        "gamma": decays,
    },
    "ConstantLR": {"factor": floats(0.01, 1), "total_iters": iters},
    "LinearLR": {
        "start_factor": floats(0.01, 1),
        "end_factor": floats(0.01, 1),
        "total_iters": iters,
    },
    "ExponentialLR": {"gamma": floats(0.9, 1.01)},
    "PolynomialLR": {"total_iters": iters, "power": floats(0.1, 3)},
    "CosineAnnealingLR": {
        "T_max": iters,
        "eta_min": st.sampled_from([0, 0.0, 1e-3, 0.05]),
    },
    "CosineAnnealingWarmRestarts": {
        "T_0": st.integers(1, 60),
        "T_mult": st.integers(1, 3),
        "eta_min": st.sampled_from([0, 1e-3]),
    },
    "CyclicLR": {
        "base_lr": per_group(small),
        "max_lr": per_group(small),
        "step_size_up": st.integers(1, 60),
        "step_size_down": st.none() | st.integers(1, 60),
        "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]),
        "gamma": floats(0.9, 1),
        "scale_fn": st.none() | st.builds(Power, floats(0.9, 1)),
        "scale_mode": st.sampled_from(["cycle", "iterations"]),
        "cycle_momentum": st.booleans(),
        "base_momentum": per_group(floats(0.5, 0.8)),
        "max_momentum": per_group(floats(0.8, 0.95)),
    },
    "OneCycleLR": {
        "max_lr": per_group(small),
        "total_steps": st.integers(EPOCHS, 300),
        "pct_start": floats(0.05, 0.45),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "cycle_momentum": st.booleans(),
        "base_momentum": per_group(floats(0.5, 0.8)),
        "max_momentum": per_group(floats(0.8, 0.95)),
        "div_factor": floats(2, 50),
        "final_div_factor": floats(2, 1e5),
        "three_phase": st.booleans(),
    },
    "SWALR": {
        "swa_lr": per_group(small),
        "anneal_epochs": st.integers(0, 100),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
    },
}
# Those that multiply the learning rate, and so can be several on one optimizer.
CHAINABLE = [
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
]


def configuration(name):
    return st.tuples(st.just(name), st.fixed_dictionaries(CONFIGURATIONS[name]))


def members(names, least, most):
    one = st.sampled_from(names).flatmap(configuration)
    return st.lists(one, min_size=least, max_size=most)


@st.composite
def sequences(draw):
    # OneCycleLR and CyclicLR write "lr" when they are built, for all others too.
    names = [*CHAINABLE, "LambdaLR", "CosineAnnealingWarmRestarts"]
    schedulers = draw(members(names, 1, 4))
    milestones = st.lists(
        st.integers(1, 190),
        min_size=len(schedulers) - 1,
        max_size=len(schedulers) - 1,
        unique=True,
    )
    return ("SequentialLR", {"of": schedulers, "milestones": sorted(draw(milestones))})


chains = st.tuples(
    st.just("ChainedScheduler"),
    st.fixed_dictionaries({"of": members(CHAINABLE, 1, 3)}),
)
ALL = {name: configuration(name) for name in CONFIGURATIONS} | {
    "ChainedScheduler": chains,
    "SequentialLR": sequences(),
}


def build(library, optimizer, spec):
    name, kwargs = spec
    # A callable with state belongs to one scheduler.
    kwargs = copy.deepcopy(kwargs)
    if "of" in kwargs:
        inner = [build(library, optimizer, member) for member in kwargs.pop("of")]
        if name == "ChainedScheduler":
            return library.ChainedScheduler(inner, optimizer)
        return library.SequentialLR(optimizer, inner, **kwargs)
    module = next(m for m in MODULES[library] if hasattr(m, name))
    return getattr(module, name)(optimizer, **kwargs)


def optimizers(lrs, kind="SGD"):
    """The same optimizer of two groups in both libraries, after its first step."""
    pair = []
    for library, zeros in (
        (optim, lambda: jnp.zeros(2)),
        (torch.optim, lambda: torch.nn.Parameter(torch.zeros(2))),
    ):
        extra = {"momentum": 0.9} if kind == "SGD" else {}
        groups = [{"params": [zeros()], "lr": lr} for lr in lrs]
        pair.append(getattr(library, kind)(groups, **extra))
    return pair


def step(optimizer):
    optimizer.step()  # no gradients: nothing but the call


def close(found, expected):
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for key in expected:
            close(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            close(f, e)
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=1e-300)
    else:
        assert found == expected


WATCHED = ("lr", "initial_lr", "momentum", "betas", "max_lr", "min_lr", "swa_lr")


def close_groups(found, expected):
    for mine, reference in zip(found.param_groups, expected.param_groups, strict=True):
        for key in WATCHED:
            assert (key in mine) == (key in reference)
            if key in reference:
                close(mine[key], reference[key])


learning_rates = st.tuples(small, small)


def sgd(lr=0.1, groups=2, **kwargs):
    params = [{"params": [jnp.zeros(2)], "lr": lr} for _ in range(groups)]
    return optim.SGD(params, **kwargs)
