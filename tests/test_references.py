"""On the API pages arguments are described where they are asked for."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def references(monkeypatch):
    pytest.importorskip("griffe", reason="part of the extra `docs`")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    yield __import__("references")
    sys.modules.pop("references", None)


@pytest.fixture(scope="module")
def shown():
    """The package as the API pages show it."""
    griffe = pytest.importorskip("griffe", reason="part of the extra `docs`")
    extensions = griffe.load_extensions(ROOT / "docs" / "references.py")
    return griffe.load(
        "optifunc", search_paths=[ROOT], extensions=extensions, resolve_aliases=True
    )


def test_entries_that_refer_are_spelled_out_once(references):
    docs = {
        "adam": "A.\n\n**Arguments:**\n\n- ``lr``: a rate.\n- ``a``, ``b``: two\n"
        "  lines.\n\n**Raises:** no.",
        "adamw": "B.\n\n**Arguments:**\n\n- ``lr``, ``a``, ``b``: see `adam`.\n"
        "- ``wd``: a share.",
    }
    doc = "C.\n\n**Arguments:**\n\n- ``params``: a tree.\n- the others: see `adamw`.\n"
    expected = (
        "C.\n\n**Arguments:**\n\n- ``params``: a tree.\n- ``lr``: a rate.\n"
        "- ``a``, ``b``: two\n  lines.\n- ``wd``: a share.\n"
    )
    assert references.spelled_out(doc, docs, set()) == expected


def test_names_are_links_but_not_in_code_or_on_themselves(references):
    paths = {"adam": "optifunc.adam", "lion": "optifunc.lion"}
    doc = "See `adam`, `lion` and ``adam``:\n\n    `adam`\n"
    expected = "See [`adam`][optifunc.adam], `lion` and ``adam``:\n\n    `adam`\n"
    assert references.linked(doc, paths, but="lion") == expected


def test_the_page_of_a_class_says_what_betas_are(shown):
    doc = shown["optim.AdamW"].docstring.value
    assert "- ``betas``: decay rates of the two moments" in doc
    assert "``mask``:" not in doc  # the class does not take it
