"""The Python code in the README and the documentation runs, page by page."""

import contextlib
import io
import re
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "docs", ROOT / "docs" / "recipes")
PAGES = [
    "README.md",
    *(
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in folder.glob("*.md")
    ),
]
CODE = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\n+```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def code_of(page):
    """The Python blocks of a page, on the lines where they stand in it.

    Each with the text under it, which is what it prints, or None.
    """
    text = (ROOT / page).read_text()
    blocks = [
        ("\n" * text.count("\n", 0, found.start("code")) + found["code"], found)
        for found in CODE.finditer(text)
    ]
    return [
        (compile(code, ROOT / page, "exec"), found["output"]) for code, found in blocks
    ]


WITH_CODE = [page for page in sorted(PAGES) if code_of(page)]
SLOW = {
    "docs/composing.md",
    *(f"docs/recipes/{name}.md" for name in ("eight_bit", "flax_nnx", "gan")),
}


def check_output(printed, shown):
    """The same words, and the same numbers to two of their digits.

    More digits depend on the processor and on the version of JAX.
    """
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", shown).split()
    found, expected = (
        np.array(NUMBER.findall(text), float) for text in (printed, shown)
    )
    # The last digit shown, of numbers with three of them behind the point.
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-3)


def test_the_pages_with_code_are_found():
    expected = {
        "README.md",
        *(f"docs/{p}.md" for p in ("getting_started", "composing", "from_optax")),
        *(f"docs/recipes/{p}.md" for p in ("flax_nnx", "early_stopping", "gan")),
    }
    assert expected <= set(WITH_CODE)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())
        for page in WITH_CODE
    ],
)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    """A page is read from the top: its blocks share their names, and nothing else.

    Under the settings that a reader's JAX has, which are laxer than this suite's.
    """
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": page}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block, output in code_of(page):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(block, namespace)
            if output is not None:
                check_output(printed.getvalue(), output)


def test_badges_say_what_the_project_says():
    page = (ROOT / "README.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: "
    versions = [c.removeprefix(prefix) for c in project["classifiers"] if prefix in c]
    assert f"[Python {versions[0]} to {versions[-1]}]" in page
    assert f"[License: {project['license']}]" in page


def test_links_of_the_readme_lead_somewhere():
    page = (ROOT / "README.md").read_text()
    for link in re.findall(r"\]\(([^)]+)\)", page):
        if link.startswith("#"):
            title = link.removeprefix("#").replace("-", " ")
            assert re.search(rf"^#+ {title}$", page, re.MULTILINE | re.IGNORECASE)
        elif not link.startswith("https://"):
            assert (ROOT / link.partition("#")[0]).exists(), link
