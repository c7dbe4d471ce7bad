"""What holds of every public name: documented, typed and, if torch has it, torch's."""

import inspect
import pydoc
import re
from pathlib import Path
from typing import Annotated, get_origin

import pytest

import optifunc as of
import optifunc.interop.torch

from .members import members

ROOT = Path(__file__).parents[1]
NAMESPACES = {
    "optifunc": of,
    "optifunc.interop": of.interop,
    "optifunc.interop.torch": optifunc.interop.torch,
    "optifunc.linalg": of.linalg,
    "optifunc.losses": of.losses,
    "optifunc.optim": of.optim,
    "optifunc.optim.clip_grad": of.optim.clip_grad,
    "optifunc.optim.lr_scheduler": of.optim.lr_scheduler,
    "optifunc.optim.swa_utils": of.optim.swa_utils,
    "optifunc.projections": of.projections,
    "optifunc.schedules": of.schedules,
    "optifunc.sharding": of.sharding,
}
# Arguments of torch that choose an implementation, or that we have no use for.
TORCH_ONLY = {"params", "foreach", "fused", "capturable", "differentiable"}


def public_names():
    """Qualified name -> object, for all that a user can reach without underscores."""
    return {
        f"{namespace}.{name}": value
        for namespace, module in NAMESPACES.items()
        for name, value in members(module).items()
        if not inspect.ismodule(value)
    }


PUBLIC = public_names()
SHORT = {name.rpartition(".")[2]: value for name, value in PUBLIC.items()}
CALLABLES = {
    name: value
    for name, value in PUBLIC.items()
    if callable(value)
    # The roles of state are annotations: `Shared` and its kin.
    and get_origin(value) is not Annotated
    and not (inspect.isclass(value) and issubclass(value, Warning | Exception))
}


def test_the_api_pages_list_each_public_name_once():
    listed = [
        name
        for folder in ("api", "optimizers")
        for page in sorted((ROOT / "docs" / folder).glob("*.md"))
        for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE)
    ]
    assert sorted(listed) == sorted(PUBLIC)


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_completion_and_star_imports_offer_no_internals(namespace):
    module = NAMESPACES[namespace]
    documented = {
        name.rpartition(".")[2]
        for name in PUBLIC
        if name.rpartition(".")[0] == namespace
    }
    offered = {name for name in dir(module) if not name.startswith("__")}
    assert not [name for name in offered if name.startswith("_")]
    assert documented <= set(module.__all__) <= offered
    rest = offered - documented
    assert all(inspect.ismodule(getattr(module, name)) for name in rest), rest


def test_the_version_is_that_of_the_package():
    assert "__version__" in dir(of)
    assert re.fullmatch(r"\d+\.\d+\.\d+", of.__version__)
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{of.__version__}]" in changes


@pytest.fixture(scope="module")
def api_pages():
    """The package as the API pages show it."""
    griffe = pytest.importorskip("griffe", reason="part of the extra `docs`")
    extensions = griffe.load_extensions(ROOT / "docs" / "constructors.py")
    return griffe.load(
        "optifunc", search_paths=[ROOT], extensions=extensions, resolve_aliases=True
    )


def test_the_api_pages_show_the_arguments(api_pages):
    """Of classes too, whose constructors decorators make, or that inherit one."""
    for name, value in CALLABLES.items():
        shown = api_pages[name.removeprefix("optifunc.")]
        if hasattr(value, "_fields"):  # a state: the page lists its fields
            assert [m for m in value._fields if m in shown.members] == [*value._fields]
            fields = [p.name for p in shown.members["__init__"].parameters]
            assert fields == [*value._fields]
            continue
        if inspect.isclass(value):
            shown = shown.members["__init__"]
        found = [p for p in shown.parameters if p.name != "self"]
        expected = list(inspect.signature(value).parameters.values())
        assert [(p.name, p.kind.value) for p in found] == [
            (p.name, p.kind.description) for p in expected
        ], name
        for ours, theirs in zip(found, expected, strict=True):
            if theirs.kind in (theirs.VAR_POSITIONAL, theirs.VAR_KEYWORD):
                continue
            assert ours.required == (theirs.default is theirs.empty), (name, ours)
            if isinstance(theirs.default, bool | int | str | None):
                assert str(ours.default) == repr(theirs.default), (name, ours)


@pytest.mark.cheap
@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_a_summary_of_one_line(name):
    value = PUBLIC[name]
    # A dataclass without a docstring has one all the same: its signature.
    doc = inspect.getdoc(value)
    assert doc, f"{name} has no docstring"
    assert not doc.startswith(f"{name.rpartition('.')[2]}("), f"{name} has no docstring"
    summary, *rest = doc.splitlines()
    assert summary.endswith("."), f"{name}: {summary!r}"
    assert not rest or not rest[0].strip(), f"{name}: the summary runs on"
    # The rest is read with `help` in a terminal.
    assert max(map(len, doc.splitlines())) <= 88


@pytest.mark.cheap
@pytest.mark.parametrize("name", CALLABLES)
def test_public_callables_are_typed(name):
    value = CALLABLES[name]
    signature = inspect.signature(value)
    untyped = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    assert not untyped
    assert inspect.isclass(value) or signature.return_annotation is not signature.empty


@pytest.mark.cheap
@pytest.mark.parametrize("name", CALLABLES)
def test_help_shows_annotations_as_they_are_written(name):
    """Names such as `Hyperparameter`, and not the unions that they stand for."""
    for parameter in inspect.signature(CALLABLES[name]).parameters.values():
        # `NamedTuple` keeps them in an object of its own.
        found = getattr(parameter.annotation, "__forward_arg__", parameter.annotation)
        assert isinstance(found, str)
        # A line of a terminal holds it with its name, and in 80 columns.
        assert len(f"    {parameter.name}: {found},") <= 80


def test_help_is_readable_in_a_terminal():
    expected = {
        of.adam: "adam(lr: Hyperparameter = 0.001, betas: tuple[Hyperparameter, ",
        of.optim.AdamW: "AdamW(params: Any, lr: Any = 0.001, betas: tuple[Any, Any] = ",
        of.scale: "scale(factor: Value) -> None",
    }
    for value, head in expected.items():
        text = pydoc.plain(pydoc.render_doc(value))
        # Python 3.13 puts each argument on a line, with a bar before it in a class, and
        # 3.14 leaves the quotes out.
        text = re.sub(r"[\s|]+", " ", text.replace("'", "")).replace("( ", "(")
        assert head in text


@pytest.mark.cheap
@pytest.mark.parametrize("name", CALLABLES)
def test_docstrings_name_every_argument(name):
    doc = inspect.getdoc(CALLABLES[name])
    # Arguments that two names share are described once: "see `adam`".
    for shared in re.findall(r"\b(?:as|of|see)\s+`(\w+)`", doc):
        doc += inspect.getdoc(SHORT.get(shared)) or ""
    missing = [
        p.name
        for p in inspect.signature(CALLABLES[name]).parameters.values()
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        and p.name != "cls"  # of a class decorator
        and not re.search(rf"\b{p.name}\b", doc)
    ]
    assert not missing


def torch_optimizers():
    import torch

    base = torch.optim.Optimizer
    return {
        name: cls
        for name, cls in vars(torch.optim).items()
        if inspect.isclass(cls) and issubclass(cls, base) and cls is not base
    }


def factory_name(torch_name):
    return {"SparseAdam": "sparse_adam"}.get(torch_name, torch_name.lower())


@pytest.mark.torch
def test_factories_have_torchs_arguments():
    """Names, order and defaults; what we add is by keyword and has a default."""
    optimizers = torch_optimizers()
    assert len(optimizers) == 15
    for torch_name, cls in optimizers.items():
        theirs = {
            p.name: p.default
            for p in inspect.signature(cls).parameters.values()
            if p.name not in TORCH_ONLY
        }
        ours = inspect.signature(getattr(of, factory_name(torch_name))).parameters
        shared = {name: p.default for name, p in ours.items() if name in theirs}
        assert list(shared.items()) == list(theirs.items()), torch_name
        added = [p for name, p in ours.items() if name not in theirs]
        assert all(p.kind is p.KEYWORD_ONLY for p in added), torch_name
        assert all(p.default is not p.empty for p in added), torch_name
