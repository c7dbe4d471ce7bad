"""The gallery shows every experiment, by a command that exists and its picture."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "gallery.md").read_text()


def test_every_example_is_shown():
    runnable = {
        path.name
        for path in (ROOT / "examples").glob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    assert (
        set(re.findall(r"^python examples/(\w+\.py)", PAGE, re.MULTILINE)) == runnable
    )


def test_options_exist():
    for script, options in re.findall(r"^python examples/(\S+)(.*)$", PAGE, re.M):
        code = (ROOT / "examples" / script).read_text()
        for option in re.findall(r"--[\w-]+", options):
            assert f'"{option}"' in code, f"{script} has no {option}"


def test_pictures_exist_and_are_described():
    pictures = re.findall(r"!\[(.*?)\]\((.*?)\)", PAGE)
    assert len(pictures) >= len(re.findall(r"^## ", PAGE, re.MULTILINE))
    for description, picture in pictures:
        assert (ROOT / "docs" / picture).is_file(), picture
        assert len(description) > 20
