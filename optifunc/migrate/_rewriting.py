"""A program that imports optax as one that imports this library."""

from __future__ import annotations

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor, RemoveImportsVisitor
from libcst.helpers import get_absolute_module_for_import
from libcst.metadata import MetadataWrapper

from ._program import Translator

MODULE = "optifunc.compat.optax"


class _Imports(cst.CSTTransformer):
    """The imports of optax as those of the module with optax's names."""

    def leave_Import(
        self, original_node: cst.Import, updated_node: cst.Import
    ) -> cst.Import:
        names = [self._moved(alias) for alias in updated_node.names]
        return updated_node.with_changes(names=names)

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom:
        module = updated_node.module
        if updated_node.relative or module is None:
            return updated_node
        return updated_node.with_changes(module=_elsewhere(module))

    @staticmethod
    def _moved(alias: cst.ImportAlias) -> cst.ImportAlias:
        name = _elsewhere(alias.name)
        if name is alias.name:
            return alias
        if alias.asname is not None:
            return alias.with_changes(name=name)
        # `import optax.contrib` binds `optax`, which has `contrib`.
        return alias.with_changes(
            name=cst.parse_expression(MODULE),
            asname=cst.AsName(cst.Name("optax")),
        )


def _elsewhere(
    name: cst.Name | cst.Attribute,
) -> cst.Name | cst.Attribute:
    """A dotted name that starts with optax, in the module with its names."""
    code = cst.Module([]).code_for_node(name)
    if not _is_of_optax(code):
        return name
    moved = cst.parse_expression(MODULE + code.removeprefix("optax"))
    assert isinstance(moved, cst.Name | cst.Attribute)
    return moved


def imports_changed(source: str) -> str:
    """The program with its imports changed, so that it runs without other changes."""
    return cst.parse_module(source).visit(_Imports()).code


class _OfOptax(cst.CSTVisitor):
    """What a program imports from optax: module, name within it, and name here."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str | None, str | None]] = []

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            if _is_of_optax(alias.evaluated_name):
                self.found.append((alias.evaluated_name, None, alias.evaluated_alias))

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        module = get_absolute_module_for_import(None, node) or ""
        if _is_of_optax(module) and not isinstance(node.names, cst.ImportStar):
            for alias in node.names:
                name = alias.evaluated_name
                self.found.append((module, name, alias.evaluated_alias))


def _is_of_optax(module: str) -> bool:
    return module == "optax" or module.startswith("optax.")


def rewritten(source: str) -> str:
    """The program with each call replaced that gives the same numbers here.

    All other names of optax come from the module that has them.
    """
    translator = Translator(exact=True)
    module = MetadataWrapper(cst.parse_module(source)).visit(translator)
    context = CodemodContext()
    if translator.written:
        AddImportsVisitor.add_needed_import(context, "optifunc", asname="of")
        module = AddImportsVisitor(context).transform_module(module)
    imports = _OfOptax()
    module.visit(imports)
    for imported in imports.found:
        RemoveImportsVisitor.remove_unused_import(context, *imported)
    module = RemoveImportsVisitor(context).transform_module(module)
    return imports_changed(module.code)
