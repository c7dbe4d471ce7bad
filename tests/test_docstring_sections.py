"""Docstrings of optimizers have their state, their errors, and the rule's source."""

import inspect
import re

import pytest

import optifunc as of

from .members import FACTORIES
from .test_public_api import PUBLIC

TRANSFORMATIONS = {
    name: value
    for name, value in PUBLIC.items()
    if inspect.isclass(value)
    and issubclass(value, of.GradientTransformation)
    and not inspect.isabstract(value)
    and value is not of.Stateless
}


def section(value, title):
    """The text under a bold title of a docstring."""
    found = re.search(
        rf"\*\*{title}:\*\*(.+?)(?=\n\n\*\*|\Z)", inspect.getdoc(value), re.DOTALL
    )
    return found[1] if found else None


@pytest.mark.cheap
@pytest.mark.parametrize("name", FACTORIES)
def test_an_optimizer_has_its_source_state_and_errors(name):
    factory = FACTORIES[name]
    for title in ("Arguments", "State", "Raises", "Source"):
        assert section(factory, title), f"{name} has no **{title}:**"
    source = section(factory, "Source")
    other = re.search(r"see `(\w+)`", source)
    if "](https://" not in source:
        assert other, f"the source of {name} has no link"
        assert "](https://" in section(FACTORIES[other[1]], "Source")


@pytest.mark.cheap
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_transformation_has_its_state_and_errors(name):
    cls = TRANSFORMATIONS[name]
    if not issubclass(cls, of.Stateless):
        assert section(cls, "State"), f"{name} has no **State:**"
    # Without arguments there is nothing to get wrong.
    if inspect.signature(cls).parameters:
        assert section(cls, "Raises"), f"{name} has no **Raises:**"
