"""Each schedule and its scheduler agree where a setting is degenerate, and are twins.

General settings are compared with torch on both sides (`test_torch_parity.py`,
`tests/optim/test_lr_scheduler_parity.py`). Here are the edges: phases of no length,
factors 0 and 1, counts 0 and 1.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc.optim as optim
import optifunc.schedules as pure

stateful = optim.lr_scheduler

# name of a schedule -> name of its scheduler
TWINS = {
    "chained": "ChainedScheduler",
    "constant": "ConstantLR",
    "cosine_annealing": "CosineAnnealingLR",
    "cosine_annealing_warm_restarts": "CosineAnnealingWarmRestarts",
    "cyclic": "CyclicLR",
    "exponential": "ExponentialLR",
    "lambda_": "LambdaLR",
    "linear": "LinearLR",
    "multi_step": "MultiStepLR",
    "multiplicative": "MultiplicativeLR",
    "one_cycle": "OneCycleLR",
    "polynomial": "PolynomialLR",
    "sequential": "SequentialLR",
    "step": "StepLR",
    "Schedule": "LRScheduler",
}
BASE = 0.5
STEPS = np.arange(25, dtype=np.int32)


@jax.jit
def values(schedule):
    return jax.vmap(schedule)(STEPS)


def stepped(build, epochs, key="lr", library=stateful, optimizer=None):
    """The values of a scheduler at epochs 0, 1, ... ``epochs - 1``."""
    optimizer = optimizer or optim.SGD([jnp.zeros(())], lr=BASE, momentum=0.9)
    scheduler = build(library, optimizer)
    found = [optimizer.param_groups[0][key]]
    optimizer.step()
    for _ in range(epochs - 1):
        scheduler.step()
        found.append(optimizer.param_groups[0][key])
    return np.array(found)


@pytest.mark.parametrize("name", TWINS)
def test_files_of_twins_have_one_name(name):
    here, there = getattr(pure, name), getattr(stateful, TWINS[name])
    assert here.__module__.rpartition(".")[2] == there.__module__.rpartition(".")[2]


def test_every_scheduler_has_a_twin():
    public = {name for name in vars(stateful) if not name.startswith("_")}
    # `reduce_on_plateau` is a transformation: it needs the loss.
    assert public - {"ReduceLROnPlateau"} == set(TWINS.values())


def half(step):
    return 0.5


# name of a schedule -> arguments of both, without base and optimizer
DEGENERATE = {
    "constant": [(0.5, 0), (0.5, 1), (0.0, 3), (0.0, 0), (1.0, 5)],
    "linear": [(0.5, 1.0, 0), (0.5, 0.0, 1), (1.0, 0.0, 5)],
    "polynomial": [(0, 1.0), (1, 2.0), (5, 0.0), (1, 0.0)],
    "exponential": [(0.0,), (1.0,)],
    "step": [(1, 0.5), (1, 0.0), (30, 0.0)],
    "multi_step": [([], 0.5), ([0], 0.5), ([0, 0, 1], 0.5), ([1, 2], 0.0)],
    "lambda_": [(half,)],
    "multiplicative": [(half,)],
    "cosine_annealing": [(1, 0.0), (1, 0.125), (1, BASE), (2, 0.0), (25, BASE)],
    "cosine_annealing_warm_restarts": [(1, 1), (1, 2), (1, 3), (2, 1, BASE), (30, 1)],
}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [(name, arguments) for name, each in DEGENERATE.items() for arguments in each],
)
def test_degenerate_settings(name, arguments):
    expected = stepped(
        lambda library, o: getattr(library, TWINS[name])(o, *arguments), len(STEPS)
    )
    schedule = getattr(pure, name)(BASE, *arguments)
    for found in (values(schedule), [schedule(int(step)) for step in STEPS]):
        # Some roundings of float32; where a cosine is at its foot, the recursion leaves
        # 1e-17 or so, in float64, and the closed form 0.
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-15)


@pytest.mark.parametrize("arguments", [(1, 1), (1, 0), (5, 0), (1, None), (1, 30)])
@pytest.mark.parametrize("bounds", [(0.25, 1.0), (0.5, 0.5), (1.0, 0.25)])
def test_degenerate_cycles(arguments, bounds):
    for mode in ("triangular", "triangular2", "exp_range"):
        expected = stepped(
            lambda library, o, mode=mode: library.CyclicLR(
                o, *bounds, *arguments, mode
            ),
            len(STEPS),
        )
        found = values(pure.cyclic(*bounds, *arguments, mode))
        np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("milestones", [[0, 9], [4, 4], [0, 0], [1, 2], [24, 30]])
def test_degenerate_sequences(milestones):
    expected = stepped(
        lambda library, o: library.SequentialLR(
            o,
            [
                library.ConstantLR(o, 0.5, 0),
                library.ExponentialLR(o, 0.5),
                library.LinearLR(o, 0.25, 1.0, 1),
            ],
            milestones,
        ),
        len(STEPS),
    )
    members = (
        pure.constant(BASE, 0.5, 0),
        pure.exponential(BASE, 0.5),
        pure.linear(BASE, 0.25, 1.0, 1),
    )
    found = values(pure.sequential(members, milestones))
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def cycles():
    """Numbers of steps and rising parts where one of the phases has no length.

    ``1 / n`` as a float is a little off, and its product with ``n`` may be.
    """
    for n in (1, 2, 3, 5, 9, 10, 11, 14, 24):
        for pct_start in {0.0, 1 / n, min(2 / n, 1.0), 0.5, (n + 1) / (2 * n), 1.0}:
            yield n, min(pct_start, 1.0)


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_one_cycle_with_phases_of_no_length(three_phase, anneal):
    rest = {"anneal_strategy": anneal, "three_phase": three_phase}
    for n, pct_start in cycles():
        shape = {"total_steps": n, "pct_start": pct_start, **rest}
        for key, schedule in (
            ("lr", pure.one_cycle(1.0, **shape)),
            ("momentum", pure.one_cycle_momentum(0.5, 0.875, **shape)),
        ):
            expected = stepped(
                lambda library, o, shape=shape: library.OneCycleLR(
                    o, 1.0, base_momentum=0.5, max_momentum=0.875, **shape
                ),
                n + 1,
                key,
            )
            for found in (
                values(schedule)[: n + 1],  # its numbers are traced
                jax.vmap(schedule)(jnp.arange(n + 1)),  # its numbers are known
            ):
                # float32 near the end of a cycle whose values span 1 to 4e-6; a line
                # extrapolated beyond its end cancels, hence the absolute part.
                np.testing.assert_allclose(
                    found, expected, rtol=1e-5, atol=1e-6, err_msg=f"{key} {shape}"
                )


@pytest.mark.parametrize(("n", "pct_start"), [(10, 0.1), (2, 0.5), (5, 0.2)])
@pytest.mark.parametrize("three_phase", [False, True])
def test_a_rise_of_one_step_begins_at_the_top(n, pct_start, three_phase):
    """As one of slightly less than a step does, in torch too."""
    shape = {"pct_start": pct_start, "three_phase": three_phase}
    assert pure.one_cycle(0.5, n, **shape)(0) == 0.5
    assert pure.one_cycle_momentum(0.75, 0.875, n, **shape)(0) == 0.75
    if not three_phase:
        below = {"pct_start": pct_start * (1 - 1e-12)}
        expected = torch_first_lr(n, **below)
        assert math.isclose(expected, 0.5, rel_tol=1e-9)


def torch_first_lr(n, **shape):
    torch = pytest.importorskip("torch", reason="parity needs torch (extra `parity`)")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=BASE, momentum=0.9)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, n, **shape)
    return optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("name", [name for name in DEGENERATE if name != "lambda_"])
def test_schedulers_follow_torch_where_torch_does_not_fail(name):
    torch = pytest.importorskip("torch", reason="parity needs torch (extra `parity`)")
    compared = 0
    for arguments in DEGENERATE[name]:

        def build(library, o, arguments=arguments):
            return getattr(library, TWINS[name])(o, *arguments)

        optimizer = torch.optim.SGD([torch.zeros(1)], lr=BASE, momentum=0.9)
        try:
            expected = stepped(
                build, 25, library=torch.optim.lr_scheduler, optimizer=optimizer
            )
        except ZeroDivisionError:
            continue
        # The same recursions in float64, up to the order of operations.
        np.testing.assert_allclose(
            stepped(build, 25), expected, rtol=1e-12, atol=1e-300
        )
        compared += 1
    assert compared


def test_closed_forms_of_no_epochs():
    """`step(epoch)`, where torch divides by 0, agrees with `step()`."""
    for build in (
        lambda o: stateful.LinearLR(o, 0.5, total_iters=0),
        lambda o: stateful.PolynomialLR(o, total_iters=0),
    ):
        found = []
        for epoch in (None, 1):
            optimizer = optim.SGD([jnp.zeros(())], lr=BASE)
            scheduler = build(optimizer)
            optimizer.step()
            if epoch is None:
                scheduler.step()
            else:
                with pytest.warns(UserWarning, match="epoch parameter"):
                    scheduler.step(epoch)
            found.append(optimizer.param_groups[0]["lr"])
        assert found[0] == found[1]


def test_what_no_epochs_can_mean_is_checked_at_construction():
    optimizer = optim.SGD([jnp.zeros(())], lr=BASE, momentum=0.9)
    before = dict(optimizer.param_groups[0])
    for build, message in (
        (lambda: stateful.StepLR(optimizer, 0), "step_size other than 0"),
        (lambda: stateful.CosineAnnealingLR(optimizer, 0), "T_max other than 0"),
        (
            lambda: stateful.CyclicLR(optimizer, 0.1, 1.0, step_size_up=0),
            "step_size_up other than 0",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            build()
    assert dict(optimizer.param_groups[0]) == before
