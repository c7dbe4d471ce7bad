"""Names from other libraries: what is suggested exists, and is what the docs say."""

import inspect
import re
from pathlib import Path

import pytest

import optifunc as of
from optifunc._suggestions import (
    ARGUMENTS,
    PUBLIC_NAMES,
    check_argument_names,
    suggestion,
)

from .members import members

PAGE = (Path(__file__).parents[1] / "docs" / "names.md").read_text()
OPTAX_ROWS = re.findall(
    r"^\| (?:=|~) \| ([^|]+) \| ([^|]+) \|", PAGE.split("\n## optax\n")[1], re.M
)
PLACES = (of, of.linalg, of.losses, of.optim, of.optim.lr_scheduler, of.schedules)


def all_arguments():
    functions = (
        value
        for place in PLACES
        for name, value in members(place).items()
        if callable(value) and not name.startswith("_")
        # Exceptions have the signature of their base.
        if not (inspect.isclass(value) and issubclass(value, Exception))
    )
    return {name for f in functions for name in inspect.signature(f).parameters}


def test_every_argument_that_is_suggested_exists():
    known = all_arguments()
    assert {own for meant in ARGUMENTS.values() for own in meant} <= known


def test_every_name_that_is_suggested_exists():
    for dotted in PUBLIC_NAMES.values():
        found = of
        for part in dotted.split("."):
            found = getattr(found, part)
        assert callable(found)
    # A name that exists here is never looked up.
    assert not [name for name in PUBLIC_NAMES if hasattr(of, name)]


def test_the_names_are_those_of_the_docs():
    """Each name of optax that the page gives a counterpart, if it is another name."""
    counted = 0
    for theirs, ours in OPTAX_ROWS:
        targets = re.findall(r"`of\.([\w.]+)`", ours)
        if not targets:
            continue
        for name in re.findall(r"`([\w.]+)`", theirs):
            name = name.rpartition(".")[2]
            found = PUBLIC_NAMES.get(name, name)
            # The counterpart itself, or a class whose method it is.
            assert any(
                target == found
                or target.rpartition(".")[2] == found
                or target.startswith(f"{found}.")
                for target in targets
            ), (name, found, targets)
            counted += 1
    assert counted > 100


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("apply_if_finite", "skip_not_finite"),
        ("AdamW", "adamw"),
        ("Adam", "adam"),
        ("RMSprop", "rmsprop"),
        ("adamww", "adamw"),
        ("cosine_decay_schedule", "schedules.warmup_cosine"),
        ("l2_loss", "losses.mse_loss"),
        ("nothing_like_it", ""),
    ],
)
def test_names_of_the_package(name, meant):
    assert suggestion(name, of.__all__, PUBLIC_NAMES) == meant


def test_names_within_a_module():
    assert (
        suggestion("join_schedules", of.schedules.__all__, PUBLIC_NAMES) == "sequential"
    )
    assert suggestion("adamw", of.optim.__all__, PUBLIC_NAMES) == "AdamW"


def test_an_argument_is_one_that_the_function_has():
    for known, meant in (("alpha", "alpha"), ("rho", "rho"), ("momentum", "momentum")):
        assert suggestion("decay", ["lr", known], ARGUMENTS) == meant
    with pytest.raises(
        TypeError, match=r"^f\(\) has no argument 'b1'; it takes lr, eps"
    ):
        check_argument_names("f", {"lr": 1, "b1": 2}, ["lr", "eps"])
