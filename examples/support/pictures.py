"""How the examples' pictures look: one style, and one way to save them.

Backgrounds are white and text is dark. The pages of the documentation turn pictures
round in their dark scheme (`docs/extra.css`), so an example draws each only once.
"""

import matplotlib
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

matplotlib.use("Agg")  # draws into files; needs no screen
import matplotlib.pyplot as plt

# Okabe and Ito's colors, which color-blind readers can tell apart too.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, YELLOW = "#56B4E9", "#E69F00"  # for wide lines and areas: too light for others
COLORS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY)
BEHIND = "0.82"  # lines that are there to compare with

plt.rcParams.update(
    {
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 11,
        "figure.constrained_layout.use": True,
        "font.size": 10,
        "grid.alpha": 0.25,
        "legend.frameon": False,
        "mathtext.default": "regular",  # upright
    }
)


def plain_ticks(axis):
    """Plain digits on an axis that is logarithmic, and whose limits are set.

    1, 2 and 5 of each decade, or 1 alone if the decades are many.
    """
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def save(figure, path, dpi=110):
    figure.savefig(path, dpi=dpi)
    plt.close(figure)
