"""What makes a picture hard to read is found, and the documentation's are readable."""

import re

import numpy as np
import pytest

from .running import EXAMPLES, ROOT
from .watched import faults

plt = pytest.importorskip("matplotlib.pyplot", reason="the extra `examples`")
to_rgb = pytest.importorskip("matplotlib.colors").to_rgb


@pytest.fixture
def figure():
    with plt.rc_context():
        plt.rcdefaults()  # an example may have left its style
        figure, ax = plt.subplots()
        ax.set(xlabel="step", ylabel="cross-entropy (nats)")
        yield figure
        plt.close(figure)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda ax: ax.set_xlabel(""), "'' has no label along x"),
        (lambda ax: ax.set(ylabel="", title="loss"), "'loss' has no label along y"),
        (lambda ax: ax.set_ylabel("cross-entropy"), "'cross-entropy' has no unit"),
        (lambda ax: ax.set_ylabel("128 x 64"), "digits of '128 x 64' are rotated"),
        (lambda ax: ax.tick_params(axis="x", rotation=90), "'0.2' are rotated"),
        (lambda ax: ax.set_title(r"$1 - \beta_1$"), "is a formula in italics"),
        (lambda ax: ax.set_title("1", style="italic"), "'1' is in italics"),
        (lambda ax: ax.plot(np.eye(9), color="tab:blue"), "'' has 9 lines in color"),
    ],
)
def test_what_is_hard_to_read_is_found(figure, spoil, message):
    assert faults(figure) == []
    spoil(figure.axes[0])
    assert any(message in fault for fault in faults(figure)), faults(figure)


def test_gray_lines_powers_of_ten_and_names_are_no_faults(figure):
    ax = figure.axes[0]
    ax.plot(np.eye(9) + 1e-3, color="0.8")
    ax.set_yscale("log")
    figure.add_subplot(2, 2, 1).barh(["sgd", "adam"], [1, 2])
    figure.axes[1].set(xlabel="time (s)")
    assert faults(figure) == []


# --- In the dark ----------------------------------------------------------------------

# Of the dark scheme: hsla(232, 15%, 14%, 1).
PAGE = np.array([0.119, 0.1246, 0.161])


def linear(rgb):
    """Light, from numbers of sRGB."""
    rgb = np.asarray(rgb)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """As WCAG 2 defines it."""
    light = [linear(x) @ [0.2126, 0.7152, 0.0722] + 0.05 for x in (one, other)]
    return max(light) / min(light)


def in_the_dark(color):
    """A color of a picture as the style sheet has it shown on a dark page.

    The filters are those of the W3C's Filter Effects: `invert` mixes a number with 1
    less that number, and `hue-rotate(180deg)` is 2 L - 1, where L has each color
    channel as its luma. Then `screen` blends with what is below.
    """
    css = (ROOT / "docs" / "extra.css").read_text()
    rule = re.search(r'scheme="slate"\][^{]*img[^{]*\{([^}]*)\}', css)[1]
    amount = float(
        re.search(r"filter: invert\(([\d.]+)\) hue-rotate\(180deg\);", rule)[1]
    )
    assert "mix-blend-mode: screen;" in rule
    rgb = np.array(to_rgb(color))
    rgb = rgb * (1 - amount) + (1 - rgb) * amount
    luma = rgb @ [0.213, 0.715, 0.072]
    rgb = np.clip(2 * luma - rgb, 0, 1)
    return 1 - (1 - rgb) * (1 - PAGE)


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    with plt.rc_context():
        yield pytest.importorskip("support.pictures")


def test_text_and_lines_can_be_seen_on_a_white_page_and_on_a_dark_one(pictures):
    # WCAG asks for 4.5 of text and for 3 of graphics.
    for text in ("black", "0.3", "0.35", "0.4"):
        assert contrast(to_rgb(text), np.ones(3)) > 4.5
        assert contrast(in_the_dark(text), PAGE) > 4.5
    for line in (pictures.BLUE, pictures.ORANGE, pictures.GREEN):
        assert contrast(to_rgb(line), np.ones(3)) > 3
        assert contrast(in_the_dark(line), PAGE) > 3


def test_white_is_the_page_in_the_dark():
    np.testing.assert_allclose(in_the_dark("white"), PAGE, atol=0.02)
