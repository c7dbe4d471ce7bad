"""Docstrings as pages: arguments described where they are asked for, names as links."""

import functools
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import griffe

DOCS = Path(__file__).parent
PAGES = sorted([*(DOCS / "api").glob("*.md"), *(DOCS / "optimizers").glob("*.md")])
HEADING = "**Arguments:**"
# An entry of a list, with the lines that continue it.
ENTRY = re.compile(r"^- .*(?:\n(?:  .*|(?=\n  )))*", re.MULTILINE)
SEE = re.compile(r"\bsee\s+`(\w+)`\.?$")
NAMES = re.compile(r"``(\w+)``")
ONLY_NAMES = re.compile(r"- ``\w+``(?:(?:,| and)\s+``\w+``)*")


class References(griffe.Extension):
    """Spell out the entries that say "see `adam`", then link the public names."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        objects = list(_objects(pkg))
        paths = public_paths()
        counts = Counter(obj.name for obj in objects)
        docs = {
            obj.name: obj.docstring.value
            for obj in objects
            if obj.name in paths and counts[obj.name] == 1
        }
        for obj in objects:
            parameters = {p.name for p in getattr(obj, "parameters", ())}
            text = spelled_out(obj.docstring.value, docs, parameters)
            obj.docstring.value = linked(text, paths, but=obj.name)


def _objects(module: griffe.Module) -> Any:
    """Functions and classes of all modules that have a docstring.

    Without `compat`, whose functions are called as ours and have no pages.
    """
    for member in module.members.values():
        if isinstance(member, griffe.Module):
            if member.name != "compat":
                yield from _objects(member)
        elif (
            isinstance(member, griffe.Class | griffe.Function)
            and member.docstring is not None
        ):
            yield member


@functools.cache
def listed_paths() -> list[str]:
    """What the API pages list, as they list it."""
    return [
        path
        for page in PAGES
        for path in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    ]


def public_paths() -> dict[str, str]:
    """Short name -> path of what the API pages list, where that is unambiguous."""
    listed = listed_paths()
    counts = Counter(path.rpartition(".")[2] for path in listed)
    short = {path.rpartition(".")[2]: path for path in listed}
    return {name: path for name, path in short.items() if counts[name] == 1}


def _section(doc: str) -> tuple[int, int]:
    """Where the list of arguments starts and ends in a docstring."""
    start = doc.find(HEADING)
    if start < 0:
        return len(doc), len(doc)
    start += len(HEADING)
    end = doc.find("\n\n**", start)
    return start, len(doc) if end < 0 else end


def described(
    name: str, docs: Mapping[str, str], seen: frozenset[str]
) -> dict[str, str]:
    """Argument -> its entry in the list of a function, with references followed."""
    doc = docs.get(name, "")
    start, end = _section(doc)
    found: dict[str, str] = {}
    for entry in ENTRY.findall(doc[start:end]):
        names, _, text = entry.partition(":")
        see = SEE.search(text)
        if see and see[1] not in seen:
            there = described(see[1], docs, seen | {name})
            wanted = NAMES.findall(names)
            if not wanted:  # "the others"
                found = there | found
            found |= {n: there[n] for n in wanted if n in there}
        else:
            found |= dict.fromkeys(NAMES.findall(names), entry)
    return found


def spelled_out(doc: str, docs: Mapping[str, str], parameters: set[str]) -> str:
    """A docstring with the descriptions in place of references to them.

    ``parameters``: those of the function; if empty, "the others" are all there are.
    """
    start, end = _section(doc)
    body = doc[start:end]
    heads = [entry.partition(":")[0] for entry in ENTRY.findall(body)]
    told = {name for head in heads for name in NAMES.findall(head)}

    def replaced(match: re.Match[str]) -> str:
        entry = match[0]
        names, _, text = entry.partition(":")
        see = SEE.search(text)
        if see is None:
            return entry
        there = described(see[1], docs, frozenset())
        wanted = NAMES.findall(names)
        # What says more than the names, as "and the flags", stays as it is.
        if wanted and not (
            ONLY_NAMES.fullmatch(names) and all(name in there for name in wanted)
        ):
            return entry
        if not wanted:
            wanted = [
                name
                for name in there
                if name not in told and (not parameters or name in parameters)
            ]
        # An entry may describe several arguments: it stands once.
        entries = dict.fromkeys(there[name] for name in wanted)
        return "\n".join(entries) or entry

    return doc[:start] + ENTRY.sub(replaced, body) + doc[end:]


def linked(doc: str, paths: Mapping[str, str], but: str) -> str:
    """A docstring whose public names in single backticks are links."""

    def link(match: re.Match[str]) -> str:
        name = match[1].rpartition(".")[2]
        path = paths.get(name)
        is_path = path is not None and (path == match[1] or name == match[1])
        if path is None or not is_path or name == but:
            return match[0]
        return f"[`{match[1]}`][{path}]"

    pattern = re.compile(r"(?<![`\[])`([A-Za-z_][\w.]*)`(?![`\]])")
    # Lines of code are indented by four.
    lines = doc.split("\n")
    return "\n".join(
        line if line.startswith("    ") else pattern.sub(link, line) for line in lines
    )
