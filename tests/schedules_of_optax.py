"""Pairs of schedules that the page of names calls the same, optax's first."""

import optax

import optifunc as of


def schedules():
    s = of.schedules
    decay = optax.exponential_decay(2.0, 5, 0.5)
    return {
        "constant_schedule": (optax.constant_schedule(2.0), s.constant(2.0)),
        "cosine_decay_schedule": (
            optax.cosine_decay_schedule(2.0, 20, alpha=0.1),
            s.warmup_cosine(2.0, 0, 20, end_value=0.2),
        ),
        "warmup_cosine_decay_schedule": (
            optax.warmup_cosine_decay_schedule(0.1, 2.0, 5, 20, 0.3),
            s.warmup_cosine(2.0, 5, 20, 0.1, 0.3),
        ),
        "warmup_constant_schedule": (
            optax.warmup_constant_schedule(0.1, 2.0, 5),
            s.warmup_stable_decay(2.0, 5, 0, 1, 0.1, end_value=2.0),
        ),
        "warmup_exponential_decay_schedule": (
            optax.warmup_exponential_decay_schedule(0.5, 2.0, 5, 10, 0.5),
            s.sequential([s.from_to(0.5, 2.0, 5), s.exponential(2.0, 0.5**0.1)], [5]),
        ),
        "linear_schedule": (
            optax.linear_schedule(2.0, 0.5, 15),
            s.from_to(2.0, 0.5, 15),
        ),
        "polynomial_schedule": (
            optax.polynomial_schedule(2.0, 0.5, 3, 15),
            s.from_to(2.0, 0.5, 15, "power", 3),
        ),
        "exponential_decay": (decay, s.exponential(2.0, 0.5 ** (1 / 5))),
        "piecewise_constant_schedule": (
            optax.piecewise_constant_schedule(2.0, {5: 0.5, 10: 0.1}),
            s.piecewise_constant(2.0, [5, 10], [0.5, 0.1]),
        ),
        "piecewise_interpolate_schedule": (
            optax.piecewise_interpolate_schedule("cosine", 2.0, {5: 0.5, 10: 0.1}),
            s.piecewise_interpolated(2.0, [5, 10], [0.5, 0.1], "cosine"),
        ),
        "sgdr_schedule": (
            optax.sgdr_schedule(
                [
                    {"init_value": 0.1, "peak_value": p, "warmup_steps": w} | steps
                    for p, w, steps in (
                        (2.0, 2, {"decay_steps": 6}),
                        (1.0, 1, {"decay_steps": 9}),
                    )
                ]
            ),
            s.sgdr([2.0, 1.0], [6, 9], [2, 1], 0.1),
        ),
        "cosine_onecycle_schedule": (
            optax.cosine_onecycle_schedule(20, 2.0),
            s.one_cycle(2.0, 20, timing="optax"),
        ),
        "linear_onecycle_schedule": (
            optax.linear_onecycle_schedule(20, 2.0),
            s.one_cycle(
                *(2.0, 20),
                anneal_strategy="linear",
                three_phase=True,
                timing="optax",
            ),
        ),
        "join_schedules": (
            optax.join_schedules([optax.constant_schedule(1.0), decay], [7]),
            s.sequential([lambda step: 1.0, s.exponential(2.0, 0.5 ** (1 / 5))], [7]),
        ),
    }


def schedules_from_or_to_zero():
    """Programs start at 0, or end there, more often than not."""
    s = of.schedules
    return {
        "linear_schedule, from": (
            optax.linear_schedule(0.0, 2.0, 5),
            s.from_to(0.0, 2.0, 5),
        ),
        "linear_schedule, to": (
            optax.linear_schedule(2.0, 0.0, 5),
            s.from_to(2.0, 0.0, 5),
        ),
        "polynomial_schedule, from": (
            optax.polynomial_schedule(0.0, 2.0, 3, 5),
            s.from_to(0.0, 2.0, 5, "power", 3),
        ),
        "polynomial_schedule, to": (
            optax.polynomial_schedule(2.0, 0.0, 3, 5),
            s.from_to(2.0, 0.0, 5, "power", 3),
        ),
        "cosine_decay_schedule, to": (
            optax.cosine_decay_schedule(2.0, 10),
            s.warmup_cosine(2.0, 0, 10),
        ),
        "warmup_cosine_decay_schedule, from and to": (
            optax.warmup_cosine_decay_schedule(0.0, 2.0, 5, 20),
            s.warmup_cosine(2.0, 5, 20),
        ),
        "warmup_constant_schedule, from": (
            optax.warmup_constant_schedule(0.0, 2.0, 5),
            s.warmup_stable_decay(2.0, 5, 0, 1, 0.0, end_value=2.0),
        ),
        "warmup_exponential_decay_schedule, from": (
            optax.warmup_exponential_decay_schedule(0.0, 2.0, 5, 10, 0.5),
            s.sequential([s.from_to(0.0, 2.0, 5), s.exponential(2.0, 0.5**0.1)], [5]),
        ),
        "piecewise_constant_schedule, to": (
            optax.piecewise_constant_schedule(2.0, {5: 0.5, 10: 0.0}),
            s.piecewise_constant(2.0, [5, 10], [0.5, 0.0]),
        ),
        "piecewise_interpolate_schedule, to": (
            optax.piecewise_interpolate_schedule("linear", 2.0, {5: 0.5, 10: 0.0}),
            s.piecewise_interpolated(2.0, [5, 10], [0.5, 0.0], "linear"),
        ),
        "sgdr_schedule, from and to": (
            optax.sgdr_schedule(
                [
                    {
                        "init_value": 0.0,
                        "peak_value": 2.0,
                        "warmup_steps": 2,
                        "decay_steps": 6,
                    }
                ]
            ),
            s.sgdr([2.0], [6], [2], 0.0),
        ),
    }
