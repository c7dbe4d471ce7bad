"""How each class is called, where no ``__init__`` in its body says so."""

import inspect
import sys
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: griffe.ParameterKind.positional_only,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.VAR_POSITIONAL: griffe.ParameterKind.var_positional,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
    inspect.Parameter.VAR_KEYWORD: griffe.ParameterKind.var_keyword,
}
FIELD_SPECIFIERS = ("dataclasses.field", "optifunc._dataclass.static")


class Constructors(griffe.Extension):
    """Give every class an ``__init__`` with the arguments that the class takes.

    Decorators such as `optifunc.transformation` make it when the module is run, so the
    class is imported and asked. Annotations and defaults stay as the code has them.
    """

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        # All before the first is set, which the classes below it would inherit.
        parameters = [(cls, _parameters(cls)) for cls in _classes(pkg)]
        for cls, found in parameters:
            # The source shown with a constructor is the class's.
            init = griffe.Function(
                "__init__",
                lineno=cls.lineno,
                endlineno=cls.endlineno,
                parameters=griffe.Parameters(*found),
            )
            cls.set_member("__init__", init)


def _classes(module: griffe.Module) -> list[griffe.Class]:
    found = []
    for member in module.members.values():
        if isinstance(member, griffe.Module):
            found += _classes(member)
        elif isinstance(member, griffe.Class):
            found.append(member)
    return found


def _parameters(cls: griffe.Class) -> list[griffe.Parameter]:
    value = griffe.dynamic_import(cls.path, import_paths=[ROOT, *sys.path])
    is_state = hasattr(value, "_fields")  # a named tuple, whose fields are asked for
    if "__init__" in cls.members or not ("__init__" in vars(value) or is_state):
        return list(cls.parameters)  # its own, or those of the class above it
    parameters = inspect.signature(value).parameters.values()
    declared = _factory_parameters(cls, getattr(value, "factory", None))
    return [_parameter(cls, parameter, declared) for parameter in parameters]


def _factory_parameters(cls: griffe.Class, factory: Any) -> dict[str, griffe.Parameter]:
    """The arguments of a stateful class's factory, as its code declares them."""
    if factory is None:
        return {}
    path = f"{factory.__module__}.{factory.__name__}".partition(".")[2]
    return {parameter.name: parameter for parameter in cls.package[path].parameters}


def _parameter(
    cls: griffe.Class,
    parameter: inspect.Parameter,
    declared: dict[str, griffe.Parameter],
) -> griffe.Parameter:
    """A parameter as the field of that name or the factory declares it, or as it is."""
    field = cls.all_members.get(parameter.name)
    has_default = parameter.default is not parameter.empty
    if field is None:  # of a stateful class, whose constructor is that of its factory
        annotation: Any = parameter.annotation
        if parameter.name in declared:
            annotation = declared[parameter.name].annotation
        return griffe.Parameter(
            parameter.name,
            annotation=annotation,
            kind=KINDS[parameter.kind],
            default=repr(parameter.default) if has_default else None,
        )
    return griffe.Parameter(
        parameter.name,
        annotation=field.annotation,
        kind=KINDS[parameter.kind],
        default=_default(field.value) if has_default else None,
    )


def _default(value: Any) -> Any:
    """A field's default, which `static` and `dataclasses.field` have as an argument."""
    if isinstance(value, griffe.ExprCall) and value.canonical_path in FIELD_SPECIFIERS:
        for argument in value.arguments:
            if not isinstance(argument, griffe.ExprKeyword):
                return argument
            if argument.name == "default":
                return argument.value
    return value
