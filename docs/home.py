"""The site's home page is the README, with its links as they are in the site."""

import re
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"
BADGES = re.compile(r"^\[!\[.*\n", re.MULTILINE)
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)#]+)(?P<anchor>#[^)]*)?\)")


def home_page(readme: str) -> str:
    """The README without badges, which the site would fetch from a foreign host.

    Links into ``docs`` lose that folder. Links to other files of the repository, which
    the site does not hold, become their text.
    """
    return LINK.sub(_in_the_site, BADGES.sub("", readme))


def _in_the_site(link: re.Match[str]) -> str:
    target = link["target"]
    if target.startswith("docs/"):
        anchor = link["anchor"] or ""
        return f"[{link['text']}]({target.removeprefix('docs/')}{anchor})"
    return link[0] if "://" in target else link["text"]


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Put the README in place of the page ``index.md``."""
    if page.file.src_uri != "index.md":
        return markdown
    return home_page(README.read_text())


def on_serve(server: Any, **kwargs: Any) -> Any:
    """Build the site again when the README has changed."""
    server.watch(str(README))
    return server
