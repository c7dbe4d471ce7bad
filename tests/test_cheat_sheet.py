"""The cheat sheet names what exists."""

import re
from functools import reduce
from pathlib import Path

import pytest

import optifunc as of
import optifunc.compat.optax

PAGE = (Path(__file__).parents[1] / "docs" / "cheat_sheet.md").read_text()
CODE = re.findall(r"`([^`]+)`", PAGE)
NAMES = {name for code in CODE for name in re.findall(r"\bof\.([\w.]+)", code)}


def test_the_names_of_the_page_exist():
    assert len(NAMES) > 20
    for name in NAMES:
        reduce(getattr, name.split("."), of)
    assert callable(optifunc.compat.optax.from_optax_state)


def test_the_names_of_optax_exist():
    optax = pytest.importorskip("optax", reason="the page's names of optax")
    for code in CODE:
        for name in re.findall(r"\boptax\.([\w.]+)", code):
            if not name.startswith("from_optax"):
                reduce(getattr, name.split("."), optax)


def test_a_warmup_has_the_arguments_of_the_page():
    assert "`of.schedules.warmup_cosine(1e-3, 100, 1000)`" in PAGE
    schedule = of.schedules.warmup_cosine(1e-3, 100, 1000)
    assert float(schedule(100)) == pytest.approx(1e-3)  # rounded to float32
    assert float(schedule(1000)) == pytest.approx(0.0, abs=1e-9)
