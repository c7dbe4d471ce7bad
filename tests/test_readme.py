"""The Python code in the README and the documentation runs, page by page."""

import re
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_of(page):
    """The Python blocks of a page, on the lines where they stand in it."""
    text = (ROOT / page).read_text()
    blocks = [
        "\n" * text.count("\n", 0, found.start(1)) + found.group(1)
        for found in CODE.finditer(text)
    ]
    return [compile(block, ROOT / page, "exec") for block in blocks]


WITH_CODE = [page for page in sorted(PAGES) if code_of(page)]


def test_the_pages_with_code_are_found():
    expected = {
        "README.md",
        *(
            f"docs/{p}.md"
            for p in ("index", "getting_started", "composing", "from_optax")
        ),
    }
    assert expected <= set(WITH_CODE)


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    """A page is read from the top: its blocks share their names, and nothing else.

    Under the settings that a reader's JAX has, which are laxer than this suite's.
    """
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": page}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in code_of(page):
            exec(block, namespace)
