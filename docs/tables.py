"""Code in tables breaks between the parts of an expression, not inside a name."""

import re
from typing import Any

CELL = re.compile(r"<t[dh].*?</t[dh]>", re.DOTALL)
CODE = re.compile(r"<code>.*?</code>", re.DOTALL)
# A dot or an opening parenthesis after a name, where something follows.
SEAM = re.compile(r"(?<=[A-Za-z_])([.(])(?=[\w&])")
UNDERSCORE = re.compile(r"(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])")
EXPONENT = re.compile(r"\b\d[\d.]*e-\d+(?![^<]*>)")  # in text, not in a tag


def with_breaks(html: str) -> str:
    """Mark in table cells where a line may end, and where it must not.

    In code it may end after a dot or a parenthesis, and on telephones (see `extra.css`)
    also after an underscore. It must not end in a number such as 1e-3.
    """

    def in_code(code: re.Match[str]) -> str:
        return UNDERSCORE.sub('_<wbr class="narrow">', SEAM.sub(r"\1<wbr>", code[0]))

    def in_cell(cell: re.Match[str]) -> str:
        text = EXPONENT.sub(r'<span class="number">\g<0></span>', cell[0])
        return CODE.sub(in_code, text)

    return CELL.sub(in_cell, html)


def on_page_content(html: str, **kwargs: Any) -> str:
    """Called with each page as HTML."""
    return with_breaks(html)
