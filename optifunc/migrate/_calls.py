"""A call of an optax function, as text, written with this library's names."""

from __future__ import annotations

import ast
import inspect
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

from ._rules import RULES, Call, Given, Rule, Same, Scaled


@dataclass(frozen=True)
class Argument:
    """An argument of a call, as it is written.

    **Arguments:**

    - ``code``: the expression.
    - ``keyword``: its keyword; None if it is positional.
    - ``star``: ``"*"`` or ``"**"`` if several arguments are unpacked.
    """

    code: str
    keyword: str | None = None
    star: str = ""

    def __str__(self) -> str:
        name = "" if self.keyword is None else f"{self.keyword}="
        return f"{self.star}{name}{self.code}"


def renamed(name: str) -> str | None:
    """The name here, if the arguments of a call do not change."""
    for rule in RULES.get(name, ()):
        if isinstance(rule, Same):
            return rule.ours
    return None


def translated(name: str, arguments: Sequence[Argument]) -> str | None:
    """The call with this library's names; None if it would not be the same.

    **Arguments:**

    - ``name``: that of optax's function.
    - ``arguments``: those of the call.
    """
    for rule in RULES.get(name, ()):
        code = _written(rule, name, arguments)
        if code is not None:
            return code
    return None


def climbs(name: str, arguments: Sequence[Argument]) -> bool:
    """Whether a call has a negative number as its learning rate."""
    binding = _binding(name, arguments) if name in RULES else None
    return binding is not None and binding.climbs


def _written(rule: Rule, name: str, arguments: Sequence[Argument]) -> str | None:
    if isinstance(rule, Same):
        return f"{rule.ours}({', '.join(map(str, arguments))})"
    if isinstance(rule, Scaled):
        code = _written(rule.call, name, arguments)
        return None if code is None else f"({rule.factor} * {code})"
    binding = _binding(name, arguments)
    return None if binding is None else binding.written(rule)


def _binding(name: str, arguments: Sequence[Argument]) -> _Binding | None:
    if any(argument.star for argument in arguments):
        return None
    try:
        return _Binding(name, arguments)
    except TypeError:  # optax would not take these arguments either
        return None


class _Binding:
    """The arguments of a call by optax's parameters."""

    def __init__(self, name: str, arguments: Sequence[Argument]) -> None:
        signature = inspect.signature(_function_of_optax(name))
        bound = signature.bind_partial(
            *(a.code for a in arguments if a.keyword is None),
            **{a.keyword: a.code for a in arguments if a.keyword is not None},
        )
        self.given: Mapping[str, str] = bound.arguments
        self.parameters = signature.parameters
        self.defaults = {
            parameter.name: repr(parameter.default)
            for parameter in signature.parameters.values()
            if parameter.default is not parameter.empty
        }

    def written(self, rule: Call) -> str | None:
        """The rule's call; None if it does not cover the arguments."""
        templates = [*rule.positional, *rule.keywords.values()]
        covered = {name for template in templates for name in self._names(template)}
        ignored = self.given.keys() - covered
        if any(self.given[name] != self.defaults.get(name) for name in ignored):
            return None
        if self.climbs or any(self._is_missing(x) for x in rule.positional):
            return None
        positional = [self._filled(template) for template in rule.positional]
        defaults = _defaults(rule.ours)
        keywords = {
            keyword: self._filled(template)
            for keyword, template in rule.keywords.items()
            if self._is_needed(template, defaults.get(keyword))
        }
        values = [*positional, *keywords.values()]
        if None in values:
            return None
        texts = [str(x) for x in positional]
        texts += [f"{keyword}={value}" for keyword, value in keywords.items()]
        return f"{rule.ours}({', '.join(texts)})"

    @property
    def climbs(self) -> bool:
        """Whether the learning rate is a negative number."""
        return self.given.get("learning_rate", "").startswith("-")

    def _is_missing(self, template: str) -> bool:
        """Whether an argument that is required here is optional in optax."""
        values = {**self.defaults, **self.given}
        return any(values.get(name) == "None" for name in self._names(template))

    def _is_needed(self, template: str, ours: Any) -> bool:
        names = self._names(template)
        if any(self.given.get(name, "None") != "None" for name in names):
            return True
        if isinstance(template, Given) or any(name in self.given for name in names):
            return False
        filled = self._filled(template)
        return filled is None or _literal(filled) != ours

    def _names(self, template: str) -> list[str]:
        """optax's parameters in a template."""
        if template in self.parameters:
            return [template]
        fields = string.Formatter().parse(template)
        return [field for _, field, _, _ in fields if field]

    def _filled(self, template: str) -> str | None:
        """The expression of a template; None if an argument is missing."""
        names = self._names(template)
        values = {name: self.given.get(name, self.defaults.get(name)) for name in names}
        if None in values.values():
            return None
        if names == [template]:
            return values[template]
        operands = {name: _operand(str(code)) for name, code in values.items()}
        return template.format(**operands)


def _operand(code: str) -> str:
    """An expression that can be used next to an operator."""
    tree = ast.parse(code, mode="eval").body
    operations = (
        ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.Lambda | ast.UnaryOp
    )
    return f"({code})" if isinstance(tree, operations) else code


def _literal(code: str) -> Any:
    """The value of a literal; the text of anything else."""
    try:
        return ast.literal_eval(code)
    except ValueError:
        return code


@cache
def _function_of_optax(name: str) -> Callable[..., Any]:
    from ..compat import optax

    function: Callable[..., Any] = attrgetter(name)(optax)
    return function


@cache
def _defaults(ours: str) -> Mapping[str, Any]:
    import optifunc

    function = attrgetter(ours.removeprefix("of."))(optifunc)
    parameters = inspect.signature(function).parameters
    return {name: parameter.default for name, parameter in parameters.items()}
