"""The formulas on the pages of optimizers, evaluated, take the library's steps."""

import inspect
import operator
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .latex_values import Formula
from .members import FACTORIES

STEPS = 8
START = np.array([0.7, -1.3])
# They get smaller, so that what remembers them counts where only signs do.
SCALES = np.geomspace(10, 0.1, STEPS)[:, None]
GRADS = np.random.default_rng(0).normal(size=(STEPS, 2)) * SCALES
LOSSES = 1 + np.abs(np.random.default_rng(1).normal(size=STEPS))
COMPARISONS = {
    r"\le": operator.le,
    r"\ge": operator.ge,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
# What the remarks of a page say in words, by symbol and index.
IN_WORDS = {
    "adabound": {(r"\eta", "0"): 0.05},
    "adan": {("k", ""): 0.92},
    "ademamix": {(r"\alpha", "t"): 2.0, (r"\bar \beta", "t"): 0.9999},
    "adopt": {("c", "t"): lambda t: (t - 1) ** 0.25},
    "amos": {(r"\xi", ""): 0.5},
    "asgd": {(r"\eta", "1"): 0.05, (r"\mu", "1"): 1.0},
    "dadapt_adagrad": {("a", "0"): 1e-6},
    "dog": {("r", "0"): 1e-6 * (1 + np.linalg.norm(START))},
    "kourkoutas": {("c", "1"): 1.0, ("c", "2"): 1.0},
    "momo": {(r"\beta", ""): lambda t: 0.9 if t > 1 else 0.0},
    "rmsprop": {("c", "t"): 1.0},
    "rprop": {
        (r"\eta", "-"): 0.5,
        (r"\eta", "+"): 1.2,
        (r"\Delta", r"\min"): 1e-6,
        (r"\Delta", r"\max"): 50.0,
    },
    "yogi": {("m", "0"): 1e-6, ("v", "0"): 1e-6},
}
AS_THEY_STAND = (
    *("sgd", "adam", "adamw", "radam", "adamax", "adagrad", "adadelta", "lion"),
    *("signum", "tiger", "lamb", "lars", "fromage", "novograd", "adabelief", "qhm"),
    *("madgrad", "qhadam", "simplified_ademamix", "laprop", "adam_mini", "momo_adam"),
    *("optimistic_gradient_descent", "optimistic_adam", "polyak_sgd", "diffgrad"),
    *("cocob", "acprop", "pid", "adam_atan2", "mars", "dadapt_sgd"),
    *("dadapt_adam", "dadapt_lion", "dadapt_adan"),
)


class Walk:
    """The steps that the formulas of a page say, of two parameters."""

    def __init__(self, name, arguments, symbols, page):
        self.name, self.arguments = name, arguments
        rule = page.partition("\n::: ")[0].partition("```math\n")[2]
        self.formulas, _, self.remarks = rule.partition("```")
        self.known = self.meanings(symbols) | IN_WORDS.get(name, {})
        self.history = [{r"\theta": START}]
        self.now, self.later = {}, {}

    def meanings(self, symbols):
        """Symbol and index -> number, of those that are arguments."""
        found = {}
        for symbol, argument in symbols.items():
            value = self.arguments.get(argument)
            if symbol.endswith("_") and isinstance(value, tuple):
                found |= {(symbol[:-1], str(i)): x for i, x in enumerate(value, 1)}
            elif not isinstance(value, tuple | None):
                found[symbol, ""] = value
        for symbol, argument in re.findall(
            r"\$([^$ ]+)\$\s+is\s+`(\w+)`", self.remarks
        ):
            name, _, index = symbol.partition("_")
            found[name, index.strip("{}")] = self.arguments.get(argument)
        # Letters that are arguments themselves.
        return {(x, ""): self.arguments[x] for x in self.arguments} | found

    def lookup(self, name, index):
        t = len(self.history)
        before = self.history[-1]
        constants = {
            ("t", ""): t,
            (r"\nabla f", ""): GRADS[t - 1],
            ("f", ""): LOSSES[t - 1],
            ("g'", "t"): GRADS[t - 2] if t > 1 else np.zeros(2),
            (r"\theta", "0"): START,
        }
        if (name, index) in constants:
            return constants[name, index]
        if (name, index) in self.known and index != "1":
            value = self.known[name, index]
            return value(t) if callable(value) else value
        if index == "t" and name in self.now:
            return self.now[name]
        if index == "t" and name == "g":
            return GRADS[t - 1]
        if index == "t" and t == 1:
            return self.known[name, "1"]
        if index == "t-1":
            if name == "g" and t > 1 and name not in before:
                return GRADS[t - 2]
            return before.get(name, self.known.get((name, "0"), 0.0))
        if index == "1":
            if (name, index) in self.known:
                return self.known[name, index]
            if name == "g" and name not in self.now:
                return GRADS[0]
            return (self.history[1] if t > 1 else self.now)[name]
        return self.now[name, index]

    def holds(self, case):
        """Whether a line counts, for each element: by default, at this step."""
        if case.startswith("for $t > 1$"):
            return len(self.history) > 1 and "`" not in case
        if case.startswith("where $"):
            left, sign, right = re.split(r" (\\le|\\ge|>|<|=) ", case[7:].strip("$"))
            compare = COMPARISONS[sign]
            left, right = (Formula(x, self.lookup).value() for x in (left, right))
            return compare(left, right)
        return "`" not in case or "default" in case

    def line(self, line):
        left, right, case = [*line.split("&"), ""][:3]
        holds = self.holds(case.strip())
        if holds is False:
            return
        pending = re.split(r", \\quad ", left + right)
        while pending:
            # The condition of an equation may follow it on the same line.
            equation = pending.pop(0)
            try:
                self.equation(equation, holds)
            except KeyError:
                if not pending:
                    raise
                pending.append(equation)

    def equation(self, equation, holds):
        left, _, right = equation.partition("=")
        target = Formula(left, self.lookup)
        name, index = target.symbol(target.take())
        t = len(self.history)
        if index == "1" and t > 1:
            return
        value = Formula(right, self.lookup).value()
        if index == "t+1":
            self.later[name] = value
        elif index in ("t", "1"):
            if holds is not True:
                value = np.where(holds, value, self.now.get(name, np.zeros(2)))
            self.now[name] = value
        else:
            self.now[name, index] = value

    def steps(self):
        for _ in range(STEPS):
            for line in self.formulas.strip().splitlines():
                self.line(line)
            self.history.append(self.history[-1] | self.now)
            self.now, self.later = self.later, {}
        return np.array([step[r"\theta"] for step in self.history[1:]])


@pytest.mark.cheap
@pytest.mark.parametrize("name", sorted({*AS_THEY_STAND, *IN_WORDS}))
@pytest.mark.filterwarnings("ignore:invalid value encountered in sqrt")
def test_the_formulas_take_the_steps_of_the_library(name, optimizer_pages):
    factory = FACTORIES[name]
    parameters = inspect.signature(factory).parameters
    given = {"lr": 0.05}
    if "weight_decay" in parameters:
        given["weight_decay"] = 0.03
    if "momentum" in parameters and parameters["momentum"].default == 0:
        given["momentum"] = 0.6
    arguments = {x: p.default for x, p in parameters.items()} | given
    expected = Walk(
        name, arguments, optimizer_pages.SYMBOLS, optimizer_pages.source(name)
    ).steps()
    with jax.enable_x64(True):
        tx, params, found = factory(**given), jnp.asarray(START), []
        state = tx.init(params)
        for grad, loss in zip(GRADS, LOSSES, strict=True):
            updates, state = tx.update(
                jnp.asarray(grad), state, params, value=jnp.asarray(loss)
            )
            params = params + updates
            found.append(np.asarray(params))
    # Of the way gone: both are computed in float64, some numbers of state in float32.
    way = np.abs(np.array(found) - START).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * way)
