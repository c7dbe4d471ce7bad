"""Every public name of the installed optax: here with its signature, or optax's own."""

import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import optax
import pytest

import optifunc.compat.optax as compat

from .own import OWN

MODULES = (
    "",
    "assignment",
    "contrib",
    "experimental",
    "losses",
    "microbatching",
    "perturbations",
    "projections",
    "schedules",
    "second_order",
    "transforms",
    "tree",
    "tree_utils",
)
ROOT = Path(__file__).parents[2]
# optax.GradientTransformation is a named tuple, and MultiSteps is not one; their
# constructors are compared as functions are.


def module_of(package, path):
    for part in filter(None, path.split(".")):
        package = getattr(package, part)
    return package


def names_in(path):
    module = module_of(optax, path)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        # Of a file, what it imports is not its own.
        and name not in ("functools", "typing")
    ]


NAMES = [(path, name) for path in MODULES for name in names_in(path)]
IS_OWN = {(path, name) for path, names in OWN.items() for name in names}


def is_built(path, name):
    return name in vars(module_of(compat, path))


@pytest.mark.cheap
@pytest.mark.parametrize(("path", "name"), NAMES)
def test_a_name_is_built_or_listed_as_optaxs_own(path, name):
    assert is_built(path, name) != ((path, name) in IS_OWN)
    # Both are reached alike.
    assert getattr(module_of(compat, path), name) is not None


def test_the_list_names_nothing_else():
    assert {*NAMES} >= IS_OWN
    assert all(reason for names in OWN.values() for reason in names.values())


def parameters(value):
    """Names, kinds and defaults of a signature; functions by their names."""

    def comparable(default):
        if hasattr(default, "update"):
            # A transformation, as optax's `lbfgs` has one; its numbers are compared
            # elsewhere.
            return "a transformation"
        return getattr(default, "__name__", default)

    return [
        (p.name, p.kind, comparable(p.default))
        for p in inspect.signature(value).parameters.values()
    ]


BUILT = [(path, name) for path, name in NAMES if is_built(path, name)]
# Protocols and aliases of types have no arguments.
TYPES = {
    "ConditionFn",
    "MaskOrFn",
    "OptState",
    "Params",
    "ScalarOrSchedule",
    "Schedule",
    "ShouldSkipUpdateFunction",
    "TransformInitFn",
    "TransformUpdateExtraArgsFn",
    "TransformUpdateFn",
    "Updates",
}


@pytest.mark.cheap
@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, name in BUILT if name not in TYPES]
)
def test_a_built_name_has_optaxs_arguments(path, name):
    ours = getattr(module_of(compat, path), name)
    theirs = getattr(module_of(optax, path), name)
    assert parameters(ours) == parameters(theirs)
    assert ours.__doc__
    if hasattr(theirs, "_fields") and name not in (
        "GradientTransformation",
        "GradientTransformationExtraArgs",
    ):
        assert ours._fields == theirs._fields
        assert ours.__name__ == theirs.__name__


def test_types_can_be_evaluated_in_annotations():
    source = "\n".join(
        f"def f_{name}(x: optax.{name}, y: 'optax.{name} | None' = None): ..."
        f"\nclass C_{name}(NamedTuple):\n    x: Optional[optax.{name}]"
        f"\ny_{name}: tuple[optax.{name}, ...] = ()"
        for name in [*sorted(TYPES - {"ConditionFn"}), "EmptyState", "MaskedNode"]
    )
    scope = {"optax": compat}
    exec(f"from typing import NamedTuple, Optional\n{source}", scope)
    for name, value in scope.items():
        if name.startswith("f_"):
            assert "y" in inspect.get_annotations(value, eval_str=False)


def test_nothing_in_the_library_imports_it():
    """In the source, and when the library is imported."""
    for path in (ROOT / "optifunc").rglob("*.py"):
        # `import optifunc` does not load the command that mentions it.
        if "compat" not in path.parts and "migrate" not in path.parts:
            assert not re.search(r"\bcompat\b", path.read_text()), path
    code = "import sys, optifunc; print([m for m in sys.modules if 'compat.' in m])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "optifunc" not in run.stdout


WITHOUT = """
import sys
sys.modules["optax"] = None
import optifunc.compat.optax as optax
import jax.numpy as jnp

tx = optax.chain(optax.clip(1.0), optax.adamw(optax.linear_schedule(0.0, 1e-3, 10)))
params = {"w": jnp.ones(3)}
tx.update(params, tx.init(params), params)
try:
    optax.multi_normal
except AttributeError as error:
    print(error)
"""


def test_it_works_without_optax_and_says_what_needs_it():
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "'multi_normal'" in run.stdout
    assert "not installed" in run.stdout


def test_a_name_that_optax_lacks_is_an_error():
    with pytest.raises(AttributeError, match="optax has no 'adamww'"):
        compat.adamww  # noqa: B018
