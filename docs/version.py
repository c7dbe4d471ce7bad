"""The version at the foot of each page."""

import re
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1] / "optifunc" / "__init__.py"


def on_config(config: Any) -> Any:
    """Put the version that the package names into the pages' footer."""
    found = re.search(r'^__version__ = "(.+)"$', PACKAGE.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"found no __version__ in {PACKAGE}")
    config.copyright = f"optifunc {found[1]}"
    return config
