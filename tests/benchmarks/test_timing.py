"""Turns and ratios, with contenders that only count."""

import itertools
from collections import Counter
from functools import partial

import numpy as np
import pytest

from benchmarks import timing
from benchmarks.growth import exponent
from benchmarks.memory import peak_memory
from benchmarks.results import Group
from benchmarks.steps import parts
from benchmarks.timing import Budget, interleaved, settled
from benchmarks.workloads import in_ten_leaves


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a turn says so."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def pass_seconds(seconds):
        now[0] += seconds
        return seconds

    return pass_seconds


@pytest.mark.parametrize(("seconds", "uncounted"), [(0.007, 3), (0.02, 1), (1.0, 1)])
def test_a_turn_counts_after_at_least_one_and_20_ms_of_others(
    clock, seconds, uncounted
):
    turns = itertools.count()

    def turn():
        clock(seconds)
        return next(turns)

    assert settled(turn) == uncounted


def test_contenders_take_turns(clock):
    order = []

    def turn(name):
        order.append(name)
        clock(1)
        return len(order)

    turns = {name: partial(turn, name) for name in "ABC"}
    results = interleaved(turns, Budget(seconds=0, at_least=3))
    rounds = ["".join(order[i : i + 3]) for i in (0, 3, 6)]
    assert [sorted(r) for r in rounds] == [["A", "B", "C"]] * 3
    for name, taken in results.items():
        assert taken == [3 * i + r.index(name) + 1 for i, r in enumerate(rounds)]


def test_no_contender_has_a_place_or_a_neighbour_of_its_own():
    order = []
    turns = {name: partial(order.append, name) for name in "ABC"}
    interleaved(turns, Budget(seconds=60, at_most=300))
    first = Counter(order[::3])
    # A third of 300 drawn rounds: off by 40 once in a million times.
    assert all(60 < first[name] < 140 for name in "ABC"), first
    before = Counter(b for b, a in itertools.pairwise(order) if a == "A")
    assert 80 < before["B"] < 220, before


@pytest.mark.parametrize(
    ("seconds", "at_least", "at_most", "rounds"),
    [(10, 1, 99, 5), (10, 7, 99, 7), (10, 1, 3, 3)],
)
def test_rounds_end_with_the_budget(clock, seconds, at_least, at_most, rounds):
    turns = {"A": partial(clock, 1), "B": partial(clock, 1)}
    results = interleaved(turns, Budget(seconds, at_least, at_most))
    assert {len(taken) for taken in results.values()} == {rounds}


@pytest.mark.parametrize(("cost", "rounds"), [(20, 1), (5, 3), (30, 1)])
def test_a_contender_that_takes_all_the_time_has_one_turn(clock, cost, rounds):
    turns = {"A": partial(clock, 1), "B": partial(clock, cost), "C": partial(clock, 2)}
    results = interleaved(turns, Budget(seconds=10, at_least=3, at_most=3))
    assert [len(taken) for taken in results.values()] == [3, rounds, 3]


def test_where_all_take_long_none_is_left_out(clock):
    turns = {"A": partial(clock, 20), "B": partial(clock, 30)}
    results = interleaved(turns, Budget(seconds=10, at_least=3))
    assert results == {"A": [20] * 3, "B": [30] * 3}


def test_ratios_are_taken_round_by_round():
    # The machine is ten times slower in the second round, for both.
    group = Group("step", "x", "y", "s", {"A": [1.0, 10.0, 2.0], "B": [2.0, 20.0, 8.0]})
    assert group.baseline == "A"
    assert group.ratio("B").median == 2
    assert group.ratio("A", "B").median == 0.5
    assert group.ratio("B").count == 3
    assert group.spread("A").median == 2


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_the_exponent_of_a_power_is_its_power(power):
    sizes = np.array([10, 30, 100, 300, 1000])
    assert exponent(sizes, 3 * sizes**power) == pytest.approx(power)


def test_the_exponent_looks_at_the_larger_sizes():
    sizes = np.array([10, 30, 100, 300, 1000, 3000])
    values = 1e-4 + 1e-5 * sizes  # a constant and something linear
    assert 0.9 < exponent(sizes, values) < 1


def test_parts_fit_into_memory_and_have_the_baseline():
    workload = in_ten_leaves(10**6)  # 12 MB a contender
    assert [*parts(list("ABCDE"), workload, memory=40e6)] == [
        ["A", "B", "C"],
        ["A", "D", "E"],
    ]
    assert [*parts(list("ABC"), workload, memory=1e9)] == [["A", "B", "C"]]
    assert [*parts(list("ABC"), workload, memory=0)] == [["A", "B"], ["A", "C"]]
    assert [*parts(["A"], workload, memory=0)] == [["A"]]


def test_peak_memory_sees_what_was_freed_again():
    with peak_memory() as before:
        np.ones(1000).sum()
    with peak_memory() as peak:
        for _ in range(20):
            np.ones(2**24)  # 128 MB, which no other test takes and gives back here
    assert peak[0] > before[0] + 64e6
