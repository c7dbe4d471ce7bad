"""Runs an example and fails if a picture that it saves is hard to read.

    python tests/examples/watched.py examples/quickstart.py --epochs 1

A number along an axis needs a label that says what it counts, and a cross-entropy its
unit. Digits are upright: neither rotated nor in italics, as in a formula. Of more than
a few lines, all but some are gray.
"""

import colorsys
import re
import runpy
import sys
from pathlib import Path

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

MOST_LINES = 8  # in color, in one panel
POWER = re.compile(r"\$\\mathdefault\{[^$]*\}\$")  # a tick in upright digits


def faults(figure):
    """What is hard to read in a picture: a list of sentences."""
    figure.canvas.draw()
    found = []
    for text in figure.findobj(Text):
        words = text.get_text()
        if not text.get_visible() or not words.strip():
            continue
        if re.search(r"\d", words) and text.get_rotation() != 0:
            found.append(f"the digits of {words!r} are rotated")
        upright = matplotlib.rcParams["mathtext.default"] == "regular"
        if "$" in words and not POWER.fullmatch(words) and not upright:
            found.append(f"{words!r} is a formula in italics")
        if text.get_style() != "normal":
            found.append(f"{words!r} is in italics")
    for ax in figure.findobj(matplotlib.axes.Axes):
        if not (ax.get_visible() and ax.axison):
            continue
        title = ax.get_title()
        for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
            ticks = [t.get_text() for t in axis.get_ticklabels() if t.get_visible()]
            numbers = [text for text in ticks if re.search(r"\d", text)]
            label = axis.label.get_text()
            if numbers and not label:
                found.append(f"{title!r} has no label along {name}")
            if "entropy" in label and "nats" not in label:
                found.append(f"{label!r} has no unit")
        bright = [line for line in ax.lines if has_color(line)]
        if len(bright) > MOST_LINES:
            found.append(f"{title!r} has {len(bright)} lines in color")
    return found


def has_color(line):
    return (
        len(line.get_xdata()) > 2
        and line.get_linestyle() != "None"
        and colorsys.rgb_to_hls(*to_rgb(line.get_color()))[2] > 0.1
    )


def watch():
    savefig = Figure.savefig

    def watched(figure, *arguments, **keywords):
        found = faults(figure)
        if found:
            sys.exit("\n".join(found))
        return savefig(figure, *arguments, **keywords)

    Figure.savefig = watched


if __name__ == "__main__":
    watch()
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
