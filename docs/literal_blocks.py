"""Docstrings introduce code with ``::``; in Markdown a single colon (or none) does."""

import re
from typing import Any

import griffe


class LiteralBlocks(griffe.Extension):
    """Rewrite the colons, before the docstrings become pages."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            text = re.sub(r"^ *::$", "", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = re.sub(r"::$", ":", text, flags=re.MULTILINE)
