"""Each optimizer's path through Rosenbrock's valley, for its page.

    python docs/landscape_paths.py
    python docs/landscape_paths.py --optimizers adam lion

writes a picture for each to `docs/images/paths/`, and to `paths.json` what its page
says of it, or for those in `WITHOUT` why there is none. Needs the extra `examples`.
"""

import argparse
import functools
import inspect
import json
import sys
from pathlib import Path

import contourpy
import jax
import jax.numpy as jnp
import numpy as np

import optifunc as of
from optifunc.optimizers._factory import all_factories

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "images" / "paths"
sys.path.insert(0, str(ROOT / "examples"))
from support.landscapes import LANDSCAPES  # noqa: E402
from support.sparse import sparsify  # noqa: E402

VALLEY = LANDSCAPES["rosenbrock"]
LEFT, RIGHT, BOTTOM, TOP = VALLEY.window
STEPS = 500
FACTORIES = all_factories()
RATES = np.geomspace(1e-5, 10, 128, dtype=np.float32)

PROJECTS = (
    "it projects the rows or columns of a matrix, and two numbers, which leave nothing "
    "to project, have AdamW's rule"
)
WITHOUT = {
    "apollo": PROJECTS,
    "galore": PROJECTS,
    "sophia_g": "it needs gradients with labels drawn from a model's predictions, and "
    "a landscape has no labels",
}
# The learning rate is not to be found: it is the default.
AS_IT_IS = (
    *("prodigy", "dadapt_adam", "dadapt_sgd", "dadapt_adagrad", "dadapt_lion"),
    *("dadapt_adan", "dog", "dowg", "cocob", "polyak_sgd", "momo", "lbfgs"),
)
# The point is a matrix of one row.
MATRICES = ("muon", "normuon", "adamuon", "dion", "scion", "soap", "splus", "kron")
# The path is that of the parameters to evaluate.
EVALUATED = (
    *("schedule_free_sgd", "schedule_free_adamw", "schedule_free_radam", "gpa_adamw"),
    *("ranger", "splus"),
)
ARGUMENTS = {
    "sgd": {"momentum": 0.9},
    # An update is an iteration, with as many evaluations as its line search needs.
    "lbfgs": {"max_iter": 1, "max_eval": 25, "line_search_fn": "strong_wolfe"},
}


def build(name, lr):
    """The optimizer; without weight decay, which moves the minimum."""
    arguments = inspect.signature(FACTORIES[name]).parameters
    still = {"weight_decay": 0.0} if "weight_decay" in arguments else {}
    tx = FACTORIES[name](lr, **still, **ARGUMENTS.get(name, {}))
    return of.chain(sparsify(), tx) if name == "sparse_adam" else tx


@functools.partial(jax.jit, static_argnums=0)
def walks(name, rates):
    """Where the optimizer is, [rates, steps + 1, 2], and how high."""

    def height(point):
        x, y = point.ravel()
        return VALLEY.height(x, y)

    def walk(lr):
        tx = build(name, lr)

        def step(carry, _):
            point, state = carry
            value, grad = jax.value_and_grad(height)(point)
            shown = of.eval_params(tx, state, point) if name in EVALUATED else point
            updates, state = tx.update(grad, state, point, value=value, value_fn=height)
            moved = of.apply_updates(point, updates)
            return (moved, state), (shown.ravel(), height(shown))

        start = jnp.asarray(VALLEY.start)
        point = start[None] if name in MATRICES else start
        return jax.lax.scan(step, (point, tx.init(point)), length=STEPS + 1)[1]

    return jax.vmap(walk)(rates)


def find_path(name):
    """The points of the path that ends lowest, and what the page says of it."""
    default = inspect.signature(FACTORIES[name]).parameters["lr"].default
    rates = np.float32([default]) if name in AS_IT_IS else RATES
    points, heights = (np.asarray(x) for x in walks(name, rates))
    x, y = np.moveaxis(points, -1, 0)
    inside = ((x > LEFT) & (x < RIGHT) & (y > BOTTOM) & (y < TOP)).all(axis=1)
    # The mean of the last tenth, as some go up and down.
    last = heights[:, -STEPS // 10 :].astype(float)
    ends = np.nan_to_num(last, nan=np.inf).mean(axis=1)
    best = int(np.argmin(np.where(inside, ends, np.inf)))
    facts = {
        "lr": float(str(rates[best])),
        "found": name not in AS_IT_IS,
        "height": float(f"{heights[best, -1]:.1e}"),
        "stays": bool(inside[best]),
        "matrix": name in MATRICES,
        "evaluated": name in EVALUATED,
        "arguments": ARGUMENTS.get(name, {}),
    }
    return points[best], facts


# --- The picture ----------------------------------------------------------------------

UNIT = 100  # of the picture, for a unit of the landscape
MARGIN = 30
# Seen on a light and on a dark page.
LINES, PATH, GOAL = "#8796a5", "#e8590c", "#2f9e44"
TICKS = (-2, -1, 0, 1, 2, 3)


def pixels(points):
    """Places in the picture, whole numbers: y grows downwards."""
    x, y = np.moveaxis(np.asarray(points, float), -1, 0)
    places = np.stack([MARGIN + (x - LEFT) * UNIT, (TOP - y) * UNIT], -1)
    return np.clip(np.nan_to_num(places), -999, 1999).round().astype(int)


def outline(points):
    """A line through points as the text of `d`; what does not move is left out."""
    first, *others = np.diff(pixels(points), axis=0, prepend=0)
    steps = " ".join(f"{x},{y}" for x, y in others if x or y)
    return f"M{first[0]},{first[1]}l{steps or '0,0'}"


def contours():
    x, y = np.meshgrid(np.linspace(LEFT, RIGHT, 89), np.linspace(BOTTOM, TOP, 89))
    heights = np.log(np.asarray(VALLEY.height(x, y)) + 1e-3)
    found = contourpy.contour_generator(x, y, heights)
    levels = np.log(np.geomspace(0.3, 3000, 9))
    return "".join(outline(line) for level in levels for line in found.lines(level))


def axes():
    """Ticks with their numbers, and the names of the axes."""
    width, height = MARGIN + (RIGHT - LEFT) * UNIT, (TOP - BOTTOM) * UNIT
    below = [(pixels((tick, BOTTOM)), tick) for tick in TICKS if tick < RIGHT]
    beside = [(pixels((LEFT, tick)), tick) for tick in TICKS if tick > BOTTOM]
    texts = [
        *((place[0], place[1] + 20, tick) for place, tick in below),
        *((place[0] - 14, place[1] + 5, tick) for place, tick in beside),
        (round(width) - 8, round(height) + 20, "x"),
        (16, 14, "y"),
    ]
    return "".join(
        f'<text x="{x}" y="{y}">{str(text).replace("-", "−")}</text>'  # noqa: RUF001
        for x, y, text in texts
    )


def picture(name, points):
    """The picture as SVG, with a dot at every fiftieth step."""
    width, height = round(MARGIN + (RIGHT - LEFT) * UNIT), round((TOP - BOTTOM) * UNIT)
    map_ = f'x="{MARGIN}" y="0" width="{width - MARGIN}" height="{height}"'
    goal, start = pixels(VALLEY.minimum), pixels(VALLEY.start)
    places = pixels(points[::50])
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="4"/>' for x, y in places)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 26}" '
        f'font-family="sans-serif" font-size="16" text-anchor="middle">'
        f"<title>{name} in Rosenbrock's valley</title>"
        f'<clipPath id="map"><rect {map_}/></clipPath>'
        f'<g fill="none" clip-path="url(#map)">'
        f'<path stroke="{LINES}" stroke-opacity=".55" d="{contours()}"/>'
        f'<path stroke="{GOAL}" stroke-width="4" '
        f'd="M{goal[0] - 9},{goal[1] - 9}l18,18m0,-18l-18,18"/>'
        f'<path stroke="{PATH}" stroke-width="2.5" stroke-linejoin="round" '
        f'd="{outline(points)}"/>'
        f'<g fill="{PATH}">{dots}</g>'
        f'<circle cx="{start[0]}" cy="{start[1]}" r="8" stroke="{PATH}" '
        f'stroke-width="2.5"/></g>'
        f'<rect {map_} fill="none" stroke="{LINES}"/>'
        f'<g fill="{LINES}">{axes()}</g></svg>\n'
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*FACTORIES]
    parser.add_argument("--optimizers", nargs="+", choices=names, default=names)
    FOLDER.mkdir(parents=True, exist_ok=True)
    record = FOLDER / "paths.json"
    for name in parser.parse_args().optimizers:
        facts = WITHOUT.get(name)
        if facts is None:
            points, facts = find_path(name)
            (FOLDER / f"{name}.svg").write_text(picture(name, points))
            print(f"{name:<28} lr {facts['lr']:<8} height {facts['height']}")
        known = json.loads(record.read_text()) if record.exists() else {}
        known = dict(sorted((known | {name: facts}).items()))
        record.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
