"""The pages of optimizers: what each of `docs/optimizers/` has in common is added here.

A page has a title, the rule as a block ```math with remarks, and the names whose
documentation stands on it. From `choosing.md` and `costs.md` come when to
take the optimizer and what it costs; from `images/paths/` its picture; from the
signature the meaning of the usual symbols. `api/optimizers.md` lists the pages, which
makes tables there and the navigation.
"""

import inspect
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import mathml
from references import ENTRY, listed_paths

import optifunc as of
from optifunc.optimizers._factory import all_factories

FACTORIES = all_factories()
DOCS = Path(__file__).parent
INDEX = "api/optimizers.md"
FOLDER = "optimizers"
# Pages whose tables are lists of names.
LINKED = ("cheat_sheet.md", "choosing.md", "costs.md", "names.md")
FAMILY = re.compile(
    r"^## (?P<title>.+)\n(?P<text>(?:(?!## )(?!<!--).*\n)*)"
    r"<!-- optimizers: (?P<names>[\w\s]+) -->$",
    re.MULTILINE,
)
CHOICE = re.compile(
    r"^\| `of\.(?P<name>\w+)` \| (?P<state>[\d.]+) \| (?P<lr>[\d.e-]+) "
    r"\| .+? \| (?P<when>.+) \|$",
    re.MULTILINE,
)
COST = re.compile(r"^\| `of\.(\w+)` \| ([\d.]+)(?: \([\d.-]+\))? \|", re.MULTILINE)
OBJECT = re.compile(
    r"^::: optifunc\.(?P<path>[\w.]+)(?P<options>\n    options:)?$", re.M
)
LINK = re.compile(r"\]\((?!https?://)(?P<page>[\w/.]*)(?P<anchor>#[^)]*)?\)")
NAME = re.compile(r"(?<!\[)`of\.(?P<path>[\w.]+)`")
# Symbol -> the argument that it usually is.
SYMBOLS = {
    r"\eta": "lr",
    r"\beta_": "betas",
    r"\beta": "beta",
    r"\mu": "momentum",
    r"\tau": "dampening",
    r"\nu_": "nus",
    r"\nu": "nu",
    r"\alpha": "alpha",
    r"\gamma": "gamma",
    r"\rho": "rho",
    r"\epsilon_": "eps",
    r"\epsilon": "eps",
    r"\lambda": "weight_decay",
}


class Choice(NamedTuple):
    """What a row of the page on choosing says, besides what the optimizer does."""

    state: str
    lr: str
    when: str


def families() -> dict[str, list[str]]:
    """Title -> names of optimizers, as the index lists them."""
    text = (DOCS / INDEX).read_text()
    return {found["title"]: found["names"].split() for found in FAMILY.finditer(text)}


def choices() -> dict[str, Choice]:
    text = (DOCS / "choosing.md").read_text()
    return {
        found["name"]: Choice(*found.group("state", "lr", "when"))
        for found in CHOICE.finditer(text)
    }


def costs() -> dict[str, str]:
    """Name -> the time of a step over AdamW's; not all are measured."""
    return dict(COST.findall((DOCS / "costs.md").read_text()))


def paths() -> dict[str, Any]:
    """Name -> what its picture shows, or why there is none."""
    return json.loads((DOCS / "images" / "paths" / "paths.json").read_text())


def source(name: str) -> str:
    return (DOCS / FOLDER / f"{name}.md").read_text()


def title(name: str) -> str:
    return source(name).partition("\n")[0].removeprefix("# ")


def names_on(page: str) -> list[str]:
    """What a page documents, as names below `optifunc`."""
    return [found["path"] for found in OBJECT.finditer(page)]


def linked(markdown: str, folder: str) -> str:
    """Text whose names are links, those of optimizers to their pages in ``folder``."""
    listed = {path.removeprefix("optifunc.") for path in listed_paths()}

    def link(found: re.Match[str]) -> str:
        path = found["path"]
        if path in FACTORIES:
            return f"[{found[0]}]({folder}{path}.md)"
        return f"[{found[0]}][optifunc.{path}]" if path in listed else found[0]

    return NAME.sub(link, markdown)


def stateful(name: str) -> str | None:
    """`optim.Adam` for "adam"; None where there is no class."""
    classes = [path for path in names_on(source(name)) if path.startswith("optim.")]
    return classes[0] if classes else None


# --- The parts of a page --------------------------------------------------------------


def summary(name: str) -> str:
    """The first line of the docstring, without the optimizer's name."""
    first = inspect.getdoc(getattr(of, name)).splitlines()[0]
    text = re.sub(r"^(`[\w.]+`|\S+): ", "", first)
    return f"{text[0].upper()}{text[1:]}"


def advice(name: str) -> str:
    """When to take the optimizer, as the page on choosing has it, for its own page."""
    # Rows that follow each other share a source, which the docstring has too.
    when = choices()[name].when.replace(" (same source)", "")
    when = LINK.sub(
        lambda found: f"](../{found['page'] or 'choosing.md'}{found['anchor'] or ''})",
        when,
    )
    return linked(when, "")


def unbroken(rows: Iterable[str]) -> str:
    """A table whose names stay in one piece."""
    return "\n".join(('<div class="names" markdown>\n', *rows, "\n</div>"))


def facts(name: str) -> str:
    """Both names, the size of the state, the default rate and the time of a step."""
    choice = choices()[name]
    cells = {"functional": f"[`of.{name}`][optifunc.{name}]"}
    if path := stateful(name):
        cells["stateful"] = f"[`{path}`][optifunc.{path}]"
    cells["default lr"] = choice.lr
    cells["[state, numbers a parameter](../choosing.md#the-optimizers)"] = choice.state
    if name in costs():
        cells["[time of a step over AdamW's](../costs.md)"] = costs()[name]
    rows = (cells, ["---"] * len(cells), cells.values())
    return unbroken(f"| {' | '.join(row)} |" for row in rows)


def legend(name: str, formulas: str, remarks: str) -> str:
    """What the usual symbols are, of those that the formulas have."""
    arguments = inspect.signature(getattr(of, name)).parameters
    found = []
    if r"\theta" in formulas:
        found.append(r"$\theta$ are the parameters")
    gradient = next(
        (g for g in (r"\nabla f", "G_t", "g_t", "g_k") if g in formulas), None
    )
    if gradient is not None and f"${gradient}$ is the gradient" not in remarks:
        found.append(f"${gradient}$ is the gradient")
    for symbol, argument in SYMBOLS.items():
        pattern = re.escape(symbol) + (r"[1-9]" if symbol[-1] == "_" else r"(?![a-z_])")
        shown = sorted({*re.findall(pattern, formulas + remarks)})
        if shown and argument in arguments and f"is `{argument}`" not in remarks:
            verb = "is" if len(shown) == 1 else "are"
            found.append(f"${', '.join(shown)}$ {verb} `{argument}`")
    if re.search(r"(?<![a-z])t(?![a-z])", formulas):
        found.append("$t$ counts updates from 1")
    text = f"{', '.join(found[:-1])} and {found[-1]}."
    if r"\top" not in formulas and "element by element" not in remarks:
        text += " Products, quotients and roots are taken element by element."
    return text


def picture(name: str) -> str:
    """The path on the landscape and what it shows, or why there is none."""
    path = paths()[name]
    if isinstance(path, str):
        return f"There is no picture for this optimizer: {path}."
    given = "".join(f", `{key}={value!r}`" for key, value in path["arguments"].items())
    rate = "the best of 128 rates" if path["found"] else "the default"
    text = (
        f"500 updates from (−2, 2) with `lr={path['lr']:.2g}`, {rate}{given}, and no "  # noqa: RUF001
        f"weight decay. A dot marks every 50th. The last height is {path['height']:g}; "
        "at the minimum, the cross, it is 0."
    )
    if path["evaluated"]:
        text += " Shown is what [`eval_params`][optifunc.eval_params] returns."
    if path["matrix"]:
        text += " The point is a matrix of one row, as the rule is one for matrices."
    if not path["stays"]:
        text += " The path leaves the map."
    alt = f"The path of {title(name)} through Rosenbrock's valley"
    return f"![{alt}](../images/paths/{name}.svg){{ .path }}\n\n{text}"


def fields(state: str) -> str:
    """The list of fields in the docstring of a state's type."""
    doc = inspect.getdoc(getattr(of, state)) or ""
    listed = doc.partition("**Fields:**")[2].partition("\n\n**")[0]
    return "\n".join(ENTRY.findall(listed))


def states_elsewhere(name: str) -> str:
    """The fields of state whose types are documented on other pages."""
    doc = (inspect.getdoc(getattr(of, name)) or "").partition("**State:**")[2]
    here = names_on(source(name))
    found = dict.fromkeys(re.findall(r"`(\w+State)`", doc.partition("\n\n")[0]))
    return "\n\n".join(
        f"### State: [`{state}`][optifunc.{state}]\n\n{fields(state)}"
        for state in found
        if state not in here
    )


def objects(page: str, stateful_ones: bool) -> str:
    """The entries of one of both interfaces, as headings of the third level."""
    blocks = re.split(r"\n(?=::: )", page[page.index("\n::: ") :])
    wanted = [
        OBJECT.sub(
            lambda found: (
                f"::: optifunc.{found['path']}\n    options:\n      heading_level: 3"
            ),
            block.strip(),
        )
        for block in blocks
        if block.strip() and ("::: optifunc.optim." in block) == stateful_ones
    ]
    return "\n\n".join(wanted)


def optimizer_page(name: str) -> str:
    """The whole page of an optimizer, as Markdown."""
    page = source(name)
    rule = page[page.index("```math") : page.index("\n::: ")].strip()
    formulas, _, remarks = rule.removeprefix("```math").partition("```")
    parts = [
        f"# {title(name)}",
        summary(name),
        facts(name),
        f"**When, and when not:** {advice(name)}.",
        "## The rule",
        f"```math{formulas}```",
        f"{legend(name, formulas, remarks)} {remarks.strip()}",
        "## In Rosenbrock's valley",
        picture(name),
        "## Functional API",
        objects(page, stateful_ones=False),
        states_elsewhere(name),
    ]
    if stateful(name):
        parts += [
            "## Stateful API",
            "Its methods are those of [`Optimizer`][optifunc.optim.Optimizer].",
            objects(page, stateful_ones=True),
        ]
    return mathml.with_inline("\n\n".join(part for part in parts if part))


# --- The index, and links to the pages ------------------------------------------------


def table(names: list[str]) -> str:
    """The rows of the index for one family."""
    rows = ["| | what it does | functional | stateful |", "|---|---|---|---|"]
    for name in names:
        link = f"../{FOLDER}/{name}.md"
        path = stateful(name)
        rows.append(
            f"| [{title(name)}]({link}) | {summary(name).removesuffix('.')} "
            f"| `of.{name}` | {f'`{path}`' if path else ''} |"
        )
    return unbroken(rows)


def index_page(markdown: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        rows = table(found["names"].split())
        return f"## {found['title']}\n{found['text']}{rows}"

    return FAMILY.sub(replaced, markdown)


def with_links(markdown: str) -> str:
    """A page whose tables link public names, and optimizers to their pages."""
    return "\n".join(
        linked(line, f"{FOLDER}/") if line.startswith("|") else line
        for line in markdown.split("\n")
    )


def on_config(config: Any) -> Any:
    """Blocks of formulas, and the navigation."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {})
    fences.setdefault("custom_fences", []).append(
        {"name": "math", "class": "math", "format": mathml.fence}
    )
    section = next(entry["Optimizers"] for entry in config.nav if "Optimizers" in entry)
    for family, names in families().items():
        pages = [{title(name): f"{FOLDER}/{name}.md"} for name in names]
        section.append({family: pages})
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fill in a page of an optimizer and the index, and link the names in tables."""
    uri = Path(page.file.src_uri)
    if uri.parent.as_posix() == FOLDER:
        return optimizer_page(uri.stem)
    if uri.as_posix() == INDEX:
        return index_page(markdown)
    if uri.as_posix() in LINKED:
        return with_links(markdown)
    return markdown
