"""Every optimizer has a page with its rule, its picture and both of its APIs."""

import inspect
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from .members import FACTORIES

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "images" / "paths"
PATHS = json.loads((PICTURES / "paths.json").read_text())
PAGES = {
    path.stem: path.read_text() for path in (ROOT / "docs" / "optimizers").glob("*.md")
}
MATH = "{http://www.w3.org/1998/Math/MathML}"
# Arguments of `update`, not of the factory.
EXTRA = {"value_fn", "sampled_grad", "previous_grad"}


def test_every_optimizer_has_a_page_that_the_index_lists_once(optimizer_pages):
    listed = [name for names in optimizer_pages.families().values() for name in names]
    assert sorted(listed) == sorted(PAGES) == sorted(FACTORIES)


@pytest.mark.cheap
@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_the_page_has_the_rule_and_both_interfaces(name, optimizer_pages):
    page = PAGES[name]
    assert page.count("\n```math\n") == 1
    # Raises for a formula that the converter does not know.
    shown = optimizer_pages.optimizer_page(name)
    assert f"\n::: optifunc.{name}\n" in shown
    assert ("## Stateful API" in shown) == ("::: optifunc.optim." in page)
    formulas = page.partition("```math\n")[2].partition("```")[0]
    assert optimizer_pages.mathml.block(formulas).count("<mtr>") >= 2
    # It is read by itself, unlike the rows of tables.
    assert not re.search("same (source|paper|with)|as above", shown)
    assert "$" not in re.sub(r"```.*?```", "", shown, flags=re.DOTALL)


@pytest.mark.cheap
@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_the_arguments_in_the_rule_exist(name):
    rule = PAGES[name].partition("\n::: ")[0]
    rule = re.sub(r"\[.*?\]\[optifunc\.\w+(?:\.\w+)*\]", "", rule)  # links
    known = {*inspect.signature(FACTORIES[name]).parameters} | EXTRA
    named = re.findall(r"`([a-zA-Z]\w*)(?:=[^`]*)?`", rule.replace("```", ""))
    assert {*named} <= known


@pytest.mark.cheap
@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_the_picture_is_there_or_why_not(name, optimizer_pages):
    picture = PICTURES / f"{name}.svg"
    if isinstance(PATHS[name], str):
        assert len(PATHS[name]) > 40
        assert not picture.exists()
        assert PATHS[name] in optimizer_pages.optimizer_page(name)
        return
    assert f"](../images/paths/{name}.svg)" in optimizer_pages.optimizer_page(name)
    assert picture.stat().st_size < 25_000
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_the_pictures_are_of_no_other_optimizers():
    pictures = {path.stem for path in PICTURES.glob("*.svg")}
    assert pictures <= PATHS.keys() == FACTORIES.keys()
    assert len(pictures) >= 78


def test_the_page_of_adamw_says_what_betas_are(optimizer_pages):
    page = optimizer_pages.optimizer_page("adamw")
    legend = page.partition("</div>")[2] or page
    assert re.search(r"</math></span> are `betas`", legend)
    # The state's type is on the page of Adam, its fields here too.
    assert "::: optifunc.ScaleByAdamState" not in page
    assert "- ``exp_avg_sq``: " in page
    assert "\n::: optifunc.optim.AdamW\n" in page


def test_the_picture_of_sgd_is_its_path():
    """The last height, by NumPy in float64."""
    path = PATHS["sgd"]
    x, y = -2.0, 2.0
    velocity = np.zeros(2)
    for _ in range(500):
        grad = np.array([2 * (x - 1) - 400 * x * (y - x**2), 200 * (y - x**2)])
        velocity = path["arguments"]["momentum"] * velocity + grad
        x, y = np.array([x, y]) - path["lr"] * velocity
    # Two digits of the height are recorded, 3.4e-4: half a unit of the last is 1.5 %.
    height = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    assert height == pytest.approx(path["height"], rel=0.02)


def test_the_index_and_the_tables_of_names_link_the_pages(optimizer_pages):
    index = optimizer_pages.index_page(
        (ROOT / "docs" / "api" / "optimizers.md").read_text()
    )
    links = re.findall(r"\]\(\.\./optimizers/(\w+)\.md\)", index)
    assert sorted(links) == sorted(FACTORIES)
    for page in ("choosing.md", "costs.md"):
        text = (ROOT / "docs" / page).read_text()
        rows = re.findall(r"^\| `of\.(\w+)`", text, re.MULTILINE)
        shown = optimizer_pages.with_links(text)
        assert re.findall(
            r"^\| \[`of\.\w+`\]\(optimizers/(\w+)\.md\)", shown, re.M
        ) == [row for row in rows if row in FACTORIES]
    row = "| `of.adam`, `of.scale_by_adam`, `of.nothing` |"
    assert optimizer_pages.with_links(f"{row}\n`of.adam`") == (
        "| [`of.adam`](optimizers/adam.md), "
        "[`of.scale_by_adam`][optifunc.scale_by_adam], `of.nothing` |\n`of.adam`"
    )


def test_a_formula_is_presentation_mathml(optimizer_pages):
    math = optimizer_pages.mathml.element(r"\frac{a}{b_1}")
    (fraction,) = math.iter(f"{MATH}mfrac")
    assert ["".join(part.itertext()) for part in fraction] == ["a", "b1"]


@pytest.mark.parametrize(
    "formula",
    [
        r"a &= \unknown x",
        r"a &= \frac{a}",
        r"a &= \frac{a}{b",
        r"a &= b}",
        r"a &= b_",
        r"a &= \left( b",
        "a",
        "a &= b & with `c` & d",
    ],
)
def test_what_is_not_understood_is_an_error(formula, optimizer_pages):
    with pytest.raises(ValueError, match=re.escape(formula.rpartition("&= ")[2])):
        optimizer_pages.mathml.block(formula)


def test_formulas_in_text_but_not_in_code(optimizer_pages):
    shown = optimizer_pages.mathml.with_inline(
        "$a$ and `$b$`\n\n```sh\necho $c $d\n```\n"
    )
    assert shown.count("<math ") == 1
    assert "`$b$`" in shown
    assert "echo $c $d" in shown
