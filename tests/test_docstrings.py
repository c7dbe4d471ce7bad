"""Docstrings name the arguments as signatures do; files and functions stay short."""

import ast
import inspect
import re
from collections import defaultdict
from pathlib import Path

import pytest

import optifunc as of

from .test_public_api import CALLABLES, PUBLIC, ROOT, SHORT

# What a class documents once, for every subclass.
PROTOCOL = {
    of.GradientTransformation: vars(of.GradientTransformation),
    of.Stateless: vars(of.Stateless),
    of.schedules.Schedule: vars(of.schedules.Schedule),
}
ITEM = re.compile(r"- (?P<names>``\w+``(?:, ``\w+``)*)(?::|, and )")
OTHERS = re.compile(r"- the others: see `(?P<name>\w+)`\.")


def section(doc, title):
    """The items of a list under a title, each in one line, or None."""
    found = re.search(rf"^\*\*{title}:\*\*\n\n((?:(?:- |  ).*|)(?:\n|$))+", doc, re.M)
    if found is None:
        return None
    text = "\n".join(found.group(0).splitlines()[2:])
    return [" ".join(item.split()) for item in re.split(r"^(?=- )", text, flags=re.M)]


def documented(doc, known):
    """The names that a docstring's list has, in its order."""
    names = []
    for line in section(doc, "Arguments") or section(doc, "Fields") or ():
        if item := ITEM.match(line):
            names += re.findall(r"``(\w+)``", item["names"])
        elif others := OTHERS.match(line):
            there = documented(inspect.getdoc(SHORT[others["name"]]), ())
            # torch's flags are described on the base.
            flags = {"foreach", "fused", "capturable", "differentiable"}
            rest = [n for n in known if n not in names]
            assert {*rest} <= {*there} | flags, (rest, there)
            names += rest
    return names


def parameters(value):
    signature = inspect.signature(value)
    return [name for name in signature.parameters if name != "self"]


def methods():
    """Public methods and functions by qualified name, each where it is defined."""
    found = {}
    for name, cls in PUBLIC.items():
        if not inspect.isclass(cls) or hasattr(cls, "_fields"):
            continue
        for key, value in vars(cls).items():
            inherited = any(
                key in protocol and issubclass(cls, base) and cls is not base
                for base, protocol in PROTOCOL.items()
            )
            if inspect.isfunction(value) and not key.startswith("_") and not inherited:
                found[f"{name}.{key}"] = value
    return found


METHODS = methods()


@pytest.mark.cheap
@pytest.mark.parametrize("name", CALLABLES)
def test_the_arguments_of_public_names_are_a_list(name):
    value = CALLABLES[name]
    known = parameters(value)
    assert documented(inspect.getdoc(value), known) == known


@pytest.mark.cheap
@pytest.mark.parametrize("name", METHODS)
def test_the_arguments_of_methods_are_a_list(name):
    value = METHODS[name]
    doc = inspect.getdoc(value)
    # A method that overrides one is described where that is.
    owner = getattr(of, name.split(".")[1], None)
    if not value.__doc__:
        assert doc or owner, f"{name} has no docstring"
        return
    known = parameters(value)
    assert documented(doc, known) == known


# --- sizes ----------------------------------------------------------------------------

FILES = sorted(
    path
    for folder in ("optifunc", "tests", "benchmarks", "examples", "docs")
    for path in (ROOT / folder).rglob("*.py")
)
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def test_no_file_is_above_500_lines():
    lines = {p: len(p.read_text().splitlines()) for p in FILES}
    assert {str(p): n for p, n in lines.items() if n > 500} == {}


def length(function):
    """Lines of a function without its docstring."""
    doc = ast.get_docstring(function, clean=False)
    total = function.end_lineno - function.lineno + 1
    return total - (0 if doc is None else doc.count("\n") + 1)


def test_no_function_is_above_70_lines():
    found = {
        f"{path}:{node.name}": length(node)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and length(node) > 70
    }
    assert found == {}


def test_no_private_helper_has_two_meanings():
    """One name, one meaning: of a function or class of the package, not of a file."""
    bodies = defaultdict(set)
    for path, tree in TREES.items():
        if Path("optifunc") in path.relative_to(ROOT).parents:
            for node in tree.body:
                is_named = isinstance(node, ast.FunctionDef | ast.ClassDef)
                if is_named and node.name.startswith("_") and node.name[:2] != "__":
                    bodies[node.name].add((path, ast.dump(node)))
    twice = {name: sorted(p.name for p, _ in x) for name, x in bodies.items()}
    assert {name: files for name, files in twice.items() if len(files) > 1} == {}
