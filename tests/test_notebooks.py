"""The notebooks are those of their pages, and they run."""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from .test_readme import ROOT, check_output, code_of

RECIPES = ROOT / "docs" / "recipes"


def _script():
    path = ROOT / "docs" / "notebooks.py"
    spec = importlib.util.spec_from_file_location("docs_notebooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()


@pytest.mark.parametrize("name", SCRIPT.NAMES)
def test_they_are_up_to_date(name):
    page = (RECIPES / f"{name}.md").read_text()
    written = (RECIPES / f"{name}.ipynb").read_text()
    assert written == SCRIPT.notebook(page), "run python docs/notebooks.py"


def test_all_of_them_are_tested():
    assert {path.stem for path in RECIPES.glob("*.ipynb")} == {*SCRIPT.NAMES}


def test_text_and_code_alternate_and_links_between_pages_are_text():
    page = "# A\n\nSee [B](b.md#c) and [C](https://c.org).\n\n```python\nx = 1\n```\n"
    cells = json.loads(SCRIPT.notebook(page + "\n```text\n1\n```\n\nEnd\n"))["cells"]
    found = [(each["cell_type"], "".join(each["source"])) for each in cells]
    assert found == [
        ("markdown", "# A\n\nSee B and [C](https://c.org)."),
        ("code", "x = 1"),
        ("markdown", "End"),
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the kernel's own packages
@pytest.mark.parametrize("name", SCRIPT.NAMES)
def test_they_run_and_print_what_the_pages_say(name, tmp_path, monkeypatch):
    reason = "the extra `notebooks` is not installed"
    nbformat = pytest.importorskip("nbformat", reason=reason)
    nbclient = pytest.importorskip("nbclient", reason=reason)
    pytest.importorskip("ipykernel", reason=reason)
    # The kernel is a process of its own, and imports what this one tests.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))

    book = nbformat.read(Path(RECIPES / f"{name}.ipynb"), as_version=4)
    nbformat.validate(book)
    client = nbclient.NotebookClient(
        book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    codes = [each for each in book.cells if each.cell_type == "code"]
    for each, (_, shown) in zip(codes, code_of(f"docs/recipes/{name}.md"), strict=True):
        if shown is not None:
            printed = "".join(o.text for o in each.outputs if o.get("name") == "stdout")
            check_output(printed, shown)
