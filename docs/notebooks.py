"""Notebooks of some recipes, made from their pages.

    python docs/notebooks.py

writes them to `docs/recipes/`, without outputs. A test executes them, and compares them
with the pages.
"""

import json
import re
from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"
NAMES = ("early_stopping", "flax_nnx", "lbfgs_physics")

# What a page shows as printed is left out: the notebook prints it.
BLOCK = re.compile(
    r"^```(?P<language>python|text)\n(?P<code>.*?)\n```$", re.MULTILINE | re.DOTALL
)
# Links between pages lead nowhere from a notebook: their text alone is kept.
LINK = re.compile(r"\[([^\]]*)\]\((?!https?://|#)[^)]*\.md(?:#[^)]*)?\)")
TO_ITSELF = re.compile(r"^\[This page as a notebook\].*\n", re.MULTILINE)


def cell(kind, text, number):
    """A cell of this kind, "code" or "markdown"."""
    found = {
        "cell_type": kind,
        "id": f"cell-{number}",
        "metadata": {},
        "source": text.splitlines(keepends=True),
    }
    if kind == "code":
        found |= {"execution_count": None, "outputs": []}
    return found


def pieces(page):
    """The page's text and code in order: (kind, text)."""
    end = 0
    for block in BLOCK.finditer(page):
        yield "markdown", page[end : block.start()]
        if block["language"] == "python":
            yield "code", block["code"]
        end = block.end()
    yield "markdown", page[end:]


def notebook(page):
    """The notebook of a page, as the text of its file."""
    page = LINK.sub(r"\1", TO_ITSELF.sub("", page))
    texts = ((kind, text.strip()) for kind, text in pieces(page))
    cells = [cell(*each, i) for i, each in enumerate(x for x in texts if x[1])]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main():
    for name in NAMES:
        page = (RECIPES / f"{name}.md").read_text()
        (RECIPES / f"{name}.ipynb").write_text(notebook(page))


if __name__ == "__main__":
    main()
