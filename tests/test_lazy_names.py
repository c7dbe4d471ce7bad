"""The package loads what is used, when it is used, in whatever order that is."""

import ast
import graphlib
import importlib
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

import optifunc as of

ROOT = Path(of.__file__).parent
LISTING = """
import sys
loaded = [name for name in sys.modules if name.partition(".")[0] == "optifunc"]
print(*sorted(loaded))
"""


def fresh(code):
    """What a new process prints that runs ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent
    )
    assert not done.returncode, done.stderr
    return done.stdout.split()


def test_the_import_loads_no_optimizer():
    assert fresh(f"import optifunc{LISTING}") == [
        "optifunc",
        "optifunc._public",
        "optifunc._suggestions",
        # Their names are in the main namespace.
        "optifunc.optimizers",
        "optifunc.transforms",
        "optifunc.wrappers",
    ]


def test_a_name_loads_what_it_needs():
    loaded = fresh(f"from optifunc import adam; adam(1e-3){LISTING}")
    assert "optifunc.optimizers._adam" in loaded
    for package in ("fused", "interop", "linalg", "losses", "optim", "sharding"):
        assert f"optifunc.{package}" not in loaded
    of_optimizers = {n for n in loaded if n.startswith("optifunc.optimizers._")}
    assert not of_optimizers & {"optifunc.optimizers._muon", "optifunc.optimizers._sgd"}


def test_names_may_be_loaded_while_jax_traces():
    """A file that made an array would then keep a traced value for ever."""
    code = """
import jax

def load(x):
    import optifunc
    from optifunc.optim.lr_scheduler import ExponentialLR

    packages = [optifunc, optifunc.optim]
    packages += [getattr(optifunc, n) for n in ("fused", "interop", "linalg", "losses")]
    packages += [optifunc.projections, optifunc.schedules, optifunc.sharding]
    for package in packages:
        for name in package.__all__:
            getattr(package, name)
    return x

traced = jax.make_jaxpr(load)(1.0)
print(len(traced.eqns), len(traced.consts))
"""
    assert fresh(code) == ["0", "0"]


def test_lists_that_files_fill_are_whole_whatever_is_loaded():
    code = """
from optifunc import _transformation
from optifunc._public import load_all
from optifunc.optim._signatures import nearest_class

keys = "lr lr_decay eps weight_decay initial_accumulator_value maximize".split()
before = set(_transformation._DECLARED)
load_all("optifunc")
print(nearest_class(keys), *_transformation._DECLARED - before)
"""
    assert fresh(code) == ["Adagrad"]


def test_pickles_load_in_a_process_that_has_imported_nothing():
    code = """
import pickle, subprocess, sys
import optifunc as of

values = pickle.dumps((of.adam, of.adam(1e-3), of.schedules.constant(2.0)))
code = f"import pickle; print(pickle.loads({values!r})[0].__module__)"
subprocess.run([sys.executable, "-c", code], check=True)
"""
    assert fresh(code) == ["optifunc.optimizers._adam"]


def imports(path):
    """The files that loading one file of the package loads, but for its folders'."""
    package = path.parent.relative_to(ROOT.parent).parts
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            origin = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield from origins(origin, alias.name)


def origins(module, name):
    """The files that ``from module import name`` loads."""
    path = ROOT.parent.joinpath(*module.split("."))
    if not path.is_dir():
        yield path.with_suffix(".py")
    elif path.joinpath(f"{name}.py").exists():
        yield path / f"{name}.py"
    else:
        yield path / "__init__.py"
        found = getattr(importlib.import_module(module), name)
        if hasattr(found, "__module__"):
            yield Path(importlib.import_module(found.__module__).__file__)


def test_type_checkers_know_what_they_are_to_read():
    """They know ``TYPE_CHECKING`` by that name alone."""
    files = ROOT.rglob("*.py")
    assert not [path for path in files if "TYPE_CHECKING as" in path.read_text()]


def test_files_may_be_loaded_in_any_order():
    """No file loads one that loads it; that of its folder is loaded before."""
    graph = {}
    for path in ROOT.rglob("*.py"):
        folders = {folder / "__init__.py" for folder in path.parents}
        graph[path] = {*imports(path)} - folders - {path}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", [of, of.losses, of.optim.lr_scheduler])
def test_a_name_that_does_not_exist_is_an_error(module):
    with pytest.raises(AttributeError, match=f"^module '{module.__name__}' has no "):
        module.nothing_like_it  # noqa: B018
    assert not hasattr(module, "__wrapped__")


def test_a_package_without_its_source_says_so(tmp_path, monkeypatch):
    source = tmp_path / "bare.py"
    source.write_text("from optifunc._public import offered\noffered(__name__)\n")
    py_compile.compile(str(source), cfile=str(tmp_path / "bare.pyc"))
    source.unlink()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"found no bare as a \.py file") as caught:
        importlib.import_module("bare")
    assert caught.value.name == "bare"
