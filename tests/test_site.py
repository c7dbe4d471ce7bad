"""What the site makes of its pages: a home page from the README, tables that break."""

import html
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def hook(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_home_page_has_every_word_and_no_dead_link():
    readme = (ROOT / "README.md").read_text()
    page = hook("home").home_page(readme)
    links = re.findall(r"\]\(([^)#]+)", page)
    assert len(links) > 20
    for link in links:
        assert link.startswith("https://arxiv.org/") or (ROOT / "docs" / link).is_file()

    def words(text):
        text = re.sub(r"^\[!\[.*$", "", text, flags=re.MULTILINE)  # badges
        return re.findall(r"\w+", re.sub(r"\]\([^)]*\)|[\[\]]", " ", text))

    assert words(page) == words(readme)
    assert "badge" not in page


@pytest.mark.parametrize(
    ("cell", "pieces"),
    [
        ("of.schedules.one_cycle", ["of.", "schedules.", "one_", "cycle"]),
        ("of.adamw(lr=1e-3)", ["of.", "adamw(", "lr=1e-3)"]),
        ("jax.grad(loss_fn)()", ["jax.", "grad(", "loss_", "fn)()"]),
        ("eps=0.0, __init__", ["eps=0.0, __init__"]),
        ('group["lr"] = 1.5e-4', ['group["lr"] = 1.5e-4']),
    ],
)
def test_code_in_tables_breaks_at_seams(cell, pieces):
    row = f"<table><tr><td><code>{html.escape(cell)}</code></td></tr></table>"
    found = hook("tables").with_breaks(row)
    text = re.search(r"<code>(.*)</code>", found)[1]
    parts = [
        html.unescape(re.sub(r"</?span[^>]*>", "", part))
        for part in re.split("<wbr[^>]*>", text)
    ]
    assert parts == pieces
    for number in re.findall(r"\d\S*e-\d", cell):
        assert f'<span class="number">{number}</span>' in text


def test_text_outside_tables_and_links_stay_as_they_are():
    tables = hook("tables")
    outside = "<p><code>of.adamw(lr=1e-3)</code> and 1e-3</p>"
    assert tables.with_breaks(outside) == outside
    link = '<td><a href="names.md#lr-1e-3">here</a></td>'
    assert tables.with_breaks(link) == link
