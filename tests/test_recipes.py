"""The recipes as a whole: found, complete, and true about a kill.

That each runs, and prints what its page says, is tested in `test_readme.py`.
"""

import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from .test_readme import CODE, ROOT

RECIPES = ROOT / "docs" / "recipes"
PAGES = {
    path.name: path.read_text()
    for path in RECIPES.glob("*.md")
    if path.name != "index.md"
}
# What a reader would type into the search of the site.
SEARCHED = (
    *("checkpoints", "early stopping", "reduce on plateau", "warmup", "freezing"),
    *("learning rate finder", "no decay on biases", "gradient accumulation"),
    *("layer-wise learning rates", "tensorboard", "bfloat16", "8-bit", "zero"),
    *("equinox", "flax nnx", "flax linen", "l-bfgs", "gan", "target networks"),
)


@pytest.mark.parametrize("words", SEARCHED)
def test_a_heading_has_the_words(words):
    headings = re.findall(r"^#+ (.*)$", "\n".join(PAGES.values()), re.MULTILINE)
    assert any(words in heading.lower() for heading in headings)


def test_index_and_navigation_list_every_page():
    index = (RECIPES / "index.md").read_text()
    lines = re.findall(r"^- \[[^\]]+\]\((\w+\.md)\): \S", index, re.MULTILINE)
    assert sorted(lines) == sorted(PAGES)
    navigation = (ROOT / "mkdocs.yml").read_text()
    found = re.findall(r"recipes/(\w+\.md)$", navigation, re.MULTILINE)
    assert sorted(found) == sorted([*PAGES, "index.md"])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_one_program_with_its_output(page):
    first, *_ = CODE.finditer(PAGES[page])
    assert "import optifunc as of" in first["code"]
    assert any(found["output"] for found in CODE.finditer(PAGES[page]))


KILL_AFTER_STEP = """
import os, signal
first = folder / "10"
step_before = train_step

def train_step(params, state, x):
    if first.exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return step_before(params, state, x)

train(100_000)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_run_resumes_with_the_same_bits(tmp_path):
    page, *_ = CODE.finditer(PAGES["checkpoints.md"])
    program, _, _ = page["code"].partition("\ntrain(25)")

    def run(lines, folder):
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-c", f"{program}\n{lines}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert run(KILL_AFTER_STEP, killed).returncode == -signal.SIGKILL
    save = "np.save('w.npy', train({})['w'])"
    # Which step was saved last depends on when the signal came.
    latest = "max(int(name) for name in os.listdir(folder) if name.isdecimal())"
    save = "import os, numpy\nnumpy.save('w.npy', train({} + 10)['w'])"
    resumed = run(save.format(latest), killed)
    assert resumed.returncode == 0, resumed.stderr
    begun = int(re.search(r"begins after (\d+) steps", resumed.stdout)[1])
    assert begun >= 10
    other = run(save.format(begun), whole)
    assert other.returncode == 0, other.stderr
    np.testing.assert_array_equal(np.load(killed / "w.npy"), np.load(whole / "w.npy"))
