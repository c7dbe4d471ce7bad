"""The uses of optax and torch in a program, and their replacements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst.helpers import get_absolute_module_for_import
from libcst.metadata import (
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameProvider,
    QualifiedNameSource,
)

from ._calls import Argument, climbs, renamed, translated
from ._remarks import OF_OPTAX, OF_TORCH, is_watched, remark, torch_call

CLIMBS = "a negative learning rate climbs in optax; here it is an error: maximize=True"
# optax's top level also has what these submodules contain.
TWICE = re.compile(r"^optax\.(schedules|losses|transforms)\.(?=\w)")
EMPTY = cst.Module([])


@dataclass
class Finding:
    """A use and its replacement.

    **Arguments:**

    - ``line``: its line.
    - ``before``: the expression of the program.
    - ``after``: the replacement; ``before`` if nothing is equivalent.
    - ``remarks``: what differs, one line per name.
    """

    line: int
    before: str
    after: str = ""
    remarks: list[str] = field(default_factory=list)


class Translator(cst.CSTTransformer):
    """Rewrite each use, from the inside out.

    **Arguments:**

    - ``exact``: whether to write only replacements that give the same numbers.
    """

    METADATA_DEPENDENCIES = (
        ParentNodeProvider,
        PositionProvider,
        QualifiedNameProvider,
    )

    def __init__(self, exact: bool = False) -> None:
        super().__init__()
        self.exact = exact
        self.findings: list[Finding] = []
        self.written = 0
        self._imported: set[str] = set()
        self._open: list[Finding] = []
        self._depth = 0

    # Names in imports are not uses.
    def visit_Import(self, node: cst.Import) -> bool:
        names = (alias.evaluated_name for alias in node.names)
        self._imported.update(name.partition(".")[0] for name in names)
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        module = get_absolute_module_for_import(None, node) or ""
        self._imported.add(module.partition(".")[0])
        return False

    def visit_Call(self, node: cst.Call) -> None:
        if self._name_of_call(node):
            self._enter(node)

    def leave_Call(
        self, original_node: cst.Call, updated_node: cst.Call
    ) -> cst.BaseExpression:
        name = self._name_of_call(original_node)
        if not name:
            return updated_node
        new_name = renamed(name.removeprefix("optax."))
        if new_name is not None:
            function = cst.parse_expression(new_name)
            return self._leave(updated_node.with_changes(func=function), [], True)
        arguments = [_argument(arg) for arg in updated_node.args]
        code, remarks = self._advice(name, original_node, arguments)
        if code is None:
            return self._leave(updated_node, remarks)
        return self._leave(cst.parse_expression(code), remarks, True)

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        if self._is_bare(node):
            self._enter(node)
        # The names inside a dotted name are not separate uses.
        return self._name(node) is None

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        if not self.exact:
            self._note_context(original_node)
        return self._leave_bare(original_node, updated_node)

    def visit_Name(self, node: cst.Name) -> None:
        if self._is_bare(node):
            self._enter(node)

    def leave_Name(
        self, original_node: cst.Name, updated_node: cst.Name
    ) -> cst.BaseExpression:
        return self._leave_bare(original_node, updated_node)

    def _leave_bare(
        self,
        original: cst.Name | cst.Attribute,
        updated: cst.Name | cst.Attribute,
    ) -> cst.BaseExpression:
        if not self._is_bare(original):
            return updated
        name = self._name(original)
        assert name is not None
        return self._leave(updated, [*remark(name)])

    def _advice(
        self, name: str, node: cst.Call, arguments: Sequence[Argument]
    ) -> tuple[str | None, list[str]]:
        """The replacement for a call, and remarks about it."""
        library, _, short = name.partition(".")
        if library != "optax":
            return (None if self.exact else torch_call(name, arguments)), [
                *remark(name)
            ]
        inner = _function_injected(node)
        if inner is not None:
            wrapped = self._name(inner)
            if wrapped and wrapped.startswith("optax."):
                code = translated(wrapped.removeprefix("optax."), arguments)
                return (None if self.exact else code), [*remark(name)]
        code = translated(short, arguments)
        if code is not None:
            return code, []
        return None, [*remark(name), *([CLIMBS] if climbs(short, arguments) else [])]

    def _enter(self, node: cst.CSTNode) -> None:
        if not self._open:
            line = self.get_metadata(PositionProvider, node).start.line
            self._open.append(Finding(line, EMPTY.code_for_node(node)))
        self._depth += 1

    def _leave(
        self,
        result: cst.BaseExpression,
        remarks: Sequence[str],
        is_new: bool = False,
    ) -> cst.BaseExpression:
        self.written += is_new
        finding = self._open[0]
        finding.remarks += [r for r in remarks if r not in finding.remarks]
        self._depth -= 1
        if not self._depth:
            finding.after = EMPTY.code_for_node(result)
            self.findings.append(self._open.pop())
        return result

    def _note_context(self, node: cst.Attribute) -> None:
        """The remark about an attribute of an object that a library created."""
        for library, texts in (("optax", OF_OPTAX), ("torch", OF_TORCH)):
            text = texts.get(node.attr.value)
            if text and library in self._imported:
                code = EMPTY.code_for_node(node)
                line = self.get_metadata(PositionProvider, node).start.line
                if all(text not in finding.remarks for finding in self.findings):
                    self.findings.append(Finding(line, code, code, [text]))

    def _name_of_call(self, node: cst.Call) -> str | None:
        if _function_injected(node) is not None and isinstance(node.func, cst.Call):
            return self._name(node.func.func)
        parent = self.get_metadata(ParentNodeProvider, node, None)
        if (
            isinstance(parent, cst.Call)
            and parent.func is node
            and _function_injected(parent)
        ):
            return None  # the inner call of the two
        return self._name(node.func)

    def _is_bare(self, node: cst.Name | cst.Attribute) -> bool:
        """Whether a name is used without being called."""
        if self._name(node) is None:
            return False
        parent = self.get_metadata(ParentNodeProvider, node, None)
        if isinstance(parent, cst.Attribute):
            return parent.value is node and self._name(parent) is None
        return not (isinstance(parent, cst.Call) and parent.func is node)

    def _name(self, node: cst.CSTNode) -> str | None:
        """The full name of an imported object, if it is tracked."""
        root, rest = _dotted(node)
        if root is None:
            return None
        for found in self.get_metadata(QualifiedNameProvider, root, set()):
            if found.source is QualifiedNameSource.IMPORT:
                name = ".".join([found.name, *rest])
                if is_watched(name):
                    return TWICE.sub("optax.", name)
        return None


def _function_injected(node: cst.Call) -> cst.BaseExpression | None:
    """The function passed to `inject_hyperparams`, in a call of its result."""
    inner = node.func
    if not isinstance(inner, cst.Call) or len(inner.args) != 1:
        return None
    _, rest = _dotted(inner.func)
    name = rest[-1] if rest else getattr(inner.func, "value", "")
    return inner.args[0].value if name == "inject_hyperparams" else None


def _dotted(node: cst.CSTNode) -> tuple[cst.Name | None, list[str]]:
    """The first name of a dotted name, and the others."""
    rest: list[str] = []
    while isinstance(node, cst.Attribute):
        rest.insert(0, node.attr.value)
        node = node.value
    return (node, rest) if isinstance(node, cst.Name) else (None, [])


def _argument(arg: cst.Arg) -> Argument:
    keyword = None if arg.keyword is None else arg.keyword.value
    return Argument(EMPTY.code_for_node(arg.value), keyword, arg.star)


def findings(source: str) -> Iterator[Finding]:
    """The uses in a program, in order of their lines."""
    translator = Translator()
    MetadataWrapper(cst.parse_module(source)).visit(translator)
    yield from sorted(translator.findings, key=lambda finding: finding.line)
