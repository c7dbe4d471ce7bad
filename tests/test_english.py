"""Phrases that no native writer would use, and British spellings, do not come back."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What to write instead stands behind each.
PHRASES = {
    r"\banew\b": "again",
    r"\bin the place of\b": "in place of",
    r"\bone's own\b": "your own",
    r"\b(?:two|pure|stateful|torch-style) faces?\b": "functional API, stateful API",
    r"(?<!import optifunc )\bas of `": "that of, as in",
    r"\b(?:that|which|it|what) is (?-i:none)\b": "is not a ...",
    r"\bwhose is\b": "matched by",
    r"\bwhat is of (?:a|the)\b": "a parameter's ...",
    r"\b(?:is|are) yours to\b": "you can",
    r"\b(?:behavi|col|fav|hon|neighb)our\w*": "-or",
    # Not at the beginning of a word of a paper's title.
    r"(?-i:\b(?:initial|normal|optim|orthogonal|quant|regular|factor|summar|organ)"
    r"is(?:e|es|ed|er|ers|ing|ation)\b)": "-ize",
    r"(?-i:\b(?:label|model|travel|cancel)l(?:ed|ing)\b)": "one l",
    r"\b(?:centre|grey|metre)s?\b": "center, gray, meter",
}
SUFFIXES = {".md", ".py", ".toml", ".yml"}


def files():
    found = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.skip("needs the repository, whose files git lists")
    paths = [ROOT / name for name in found.stdout.splitlines()]
    return [p for p in paths if p.suffix in SUFFIXES and p != Path(__file__)]


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_is_not_used(phrase):
    pattern = re.compile(phrase, re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files()
        for match in pattern.finditer(path.read_text())
    ]
    assert not found, f"write {PHRASES[phrase]!r}"
