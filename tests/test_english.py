"""Phrases that no native writer would use, and British spellings, do not come back."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each with what to write instead. A space also matches the end of a line.
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
    # Not in a paper's title.
    r"(?-i:\btowards\b)": "toward",
    r"\bafterwards\b": "then, later",
    r"\b(?:thereof|whereof|henceforth)\b": "of it, from now on",
    r"\b(?:in float32 at least|at least in float32)\b": "in float32 or wider",
    r"\bfloat that JAX is set to\b": "JAX's default float type",
    r"\b(?:as|like) `\w+` takes (?:it|them)\b": "see `...`",
    r"\bcompiles? nothing\b": "does not trigger recompilation",
    r"\bstands? (?:last|first|before|after|behind|in place)\b": "is, comes",
    r"\bby themselves\b": "on their own",
    r"\b(?:that|which|it) is no (?!longer|more|less)\b": "is not a",
    r"\bis no (?:array|float|function|integer|matrix|name|number|scalar)\b": "is not a",
    r"\bif asked for\b": "optionally",
    r"\bwhose least\b": "with the smallest",
    r"\bparameters of their own\b": "their own parameters",
    r"\bto be had\b": "available",
    r"\bat the first try\b": "the first time",
    r"\bgoes over to\b": "switches to",
    r"\bis said (?:by|in)\b": "... says",
}
SUFFIXES = {".md", ".py", ".toml", ".yml"}


@pytest.fixture(scope="module")
def texts():
    """Each file's text, with single spaces between words."""
    found = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.skip("needs the repository, whose files git lists")
    paths = [ROOT / name for name in found.stdout.splitlines()]
    return {
        path.relative_to(ROOT): re.sub(r"\s+(?:#:? )?", " ", path.read_text())
        for path in paths
        if path.suffix in SUFFIXES and path != Path(__file__)
    }


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_is_not_used(texts, phrase):
    pattern = re.compile(phrase, re.IGNORECASE)
    found = [
        f"{path}: {match[0]}"
        for path, text in texts.items()
        for match in pattern.finditer(text)
    ]
    assert not found, f"write {PHRASES[phrase]!r}"
