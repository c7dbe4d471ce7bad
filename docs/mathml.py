"""Formulas as MathML, which browsers draw.

A block of formulas has the lines of LaTeX's `aligned`, and as a third column of a line
the case in words, in which `code` and $formulas$ may stand:

    ```math
    m_t &= \\beta m_{t-1} + g_t
    d_t &= m_t + g_t & with `nesterov`
    ```

What the converter does not know it would show as it is, so that is an error here.
"""

import html
import inspect
import re
from typing import Any
from xml.etree import ElementTree

from latex2mathml import exceptions
from latex2mathml.converter import convert

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
ERRORS = tuple(x for x in vars(exceptions).values() if inspect.isclass(x))
# How many parts these have.
PARTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "msubsup": 3, "munderover": 3}
IN_WORDS = re.compile(r"`(?P<code>[^`]+)`|\$(?P<math>[^$]+)\$|(?P<words>[^`$]+)")
INLINE = re.compile(r"(?P<code>`[^`]+`)|\$(?P<math>(?:(?!\n\n)[^$`])+)\$")


def element(latex: str) -> ElementTree.Element:
    """A formula as the element `math`; `ValueError` if it is not understood."""
    try:
        markup = convert(latex)
    except ERRORS as error:
        raise ValueError(f"{type(error).__name__} in the formula {latex}") from error
    if latex.count("{") != latex.count("}"):
        raise ValueError(f"the braces do not match in the formula {latex}")
    try:
        # The converter leaves a lone & as it is.
        found = ElementTree.fromstring(markup)
    except ElementTree.ParseError as error:
        raise ValueError(f"& in the formula {latex}") from error
    for node in found.iter():
        tag = node.tag.removeprefix(f"{{{NAMESPACE}}}")
        if re.search(r"[\\{}&]", node.text or ""):
            raise ValueError(f"{node.text} is not known, in the formula {latex}")
        if tag == "mo" and re.fullmatch(r"(?!mod)[a-zA-Z]{2,}", node.text or ""):
            # The name of a function, with its argument right behind it.
            node.attrib |= {"lspace": "0.167em", "rspace": "0"}
        if tag in PARTS and len(node) != PARTS[tag]:
            raise ValueError(f"a part of {tag} is missing in the formula {latex}")
    return found


def _markup(node: ElementTree.Element) -> str:
    ElementTree.register_namespace("", NAMESPACE)
    return ElementTree.tostring(node, encoding="unicode")


def inline(latex: str) -> str:
    """The markup of a formula in a line of text.

    In a `span`, as Markdown would take `math` at a line's start for a block.
    """
    return f'<span class="formula">{_markup(element(latex))}</span>'


def _inside(latex: str) -> str:
    """The markup of a formula without the element `math` around it."""
    if not latex.strip():
        return ""
    inner = "".join(_markup(child) for child in element(latex))
    return inner.replace(f' xmlns="{NAMESPACE}"', "")


def _in_words(text: str) -> str:
    """A case in words, such as "with `nesterov`"."""
    parts = []
    for found in IN_WORDS.finditer(text):
        if found["math"]:
            parts.append(_inside(found["math"]))
        else:
            kind = ' class="code"' if found["code"] else ""
            words = html.escape(found["code"] or found["words"])
            parts.append(f"<mtext{kind}>{words.replace(' ', '&#160;')}</mtext>")
    return "".join(parts)


def block(source: str) -> str:
    """The markup of the lines of a block."""
    rows = []
    for line in source.strip().splitlines():
        left, *others = line.split("&")
        if not 1 <= len(others) <= 2:
            raise ValueError(f"expected one or two & in the line {line}")
        right, case = (others[0], _in_words(others[1].strip() if others[1:] else ""))
        cells = [
            f'<mstyle displaystyle="true">{_inside(part)}</mstyle>'
            for part in (left, right)
        ]
        cells.append(case)
        rows.append(f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in cells)}</mtr>")
    table = f'<mtable class="formulas">{"".join(rows)}</mtable>'
    math = f'<math xmlns="{NAMESPACE}" display="block">{table}</math>'
    return f'<div class="formulas">{math}</div>'


def fence(source: str, *args: Any, **kwargs: Any) -> str:
    """What `pymdownx.superfences` calls for a block ```math."""
    return block(source)


def with_inline(markdown: str) -> str:
    """A page of Markdown whose $formulas$ are MathML; blocks and `code` stay."""

    def replaced(found: re.Match[str]) -> str:
        return found["code"] or inline(found["math"].replace("\n", " "))

    pieces = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        piece if piece.startswith("```") else INLINE.sub(replaced, piece)
        for piece in pieces
    )
