"""Values of formulas: as much LaTeX as the pages of optimizers are written in."""

import re

import numpy as np

TOKEN = re.compile(r"\\[a-zA-Z]+\*?|\\[,;]|\d+(?:\.\d+)?|[^\s]")
ACCENTS = (r"\bar", r"\hat", r"\tilde")
FUNCTIONS = {
    r"\max": np.maximum,
    r"\min": np.minimum,
    r"\tanh": np.tanh,
    r"\exp": np.exp,
    r"\cos": np.cos,
    "sign": np.sign,
    "atan2": np.arctan2,
    "clip": np.clip,
    "RMS": lambda x: np.sqrt(np.mean(x**2)),
    "mean": np.mean,
}
# What ends a product.
ENDS = ("+", "-", ",", ")", "]", "}", r"\right", r"\rVert", r"\rangle", "=", None)


class Formula:
    """Evaluates one side of an equation. ``lookup(name, index)`` has the values."""

    def __init__(self, latex, lookup):
        # Sizes of parentheses and spaces mean nothing.
        latex = re.sub(r"\\left(?![a-z])|\\right(?![a-z])|\\quad|\\[,;]", " ", latex)
        self.tokens = [*TOKEN.findall(latex), None]
        self.at = 0
        self.lookup = lookup
        self.bars = 0

    def peek(self):
        return self.tokens[self.at]

    def take(self, *expected):
        token = self.peek()
        if expected and token not in expected:
            raise ValueError(f"expected {expected} and found {token} in {self.tokens}")
        self.at += 1
        return token

    def value(self):
        found = self.sum()
        self.take(None)
        return found

    def sum(self):
        sign = -1 if self.peek() == "-" else 1
        if self.peek() == "-":
            self.take()
        found = sign * self.product()
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            found = found + sign * self.product()
        return found

    def product(self):
        found = self.power()
        while self.peek() not in ENDS and not (self.peek() == "|" and self.bars):
            if self.peek() == "/":
                self.take()
                found = found / self.power()
            elif self.peek() == r"\times":
                self.take()
            else:
                found = found * self.power()
        return found

    def power(self):
        found = self.factor()
        if self.peek() == "^":
            self.take()
            found = found ** self.group()
        return found

    def group(self):
        """What stands in braces, or one token."""
        if self.peek() != "{":
            token = self.take()
            return float(token) if token.isdigit() else self.lookup(token, "")
        self.take("{")
        found = self.sum()
        self.take("}")
        return found

    def text(self):
        """What stands in braces or is one token, as it is written."""
        if self.peek() != "{":
            return self.take()
        self.take("{")
        parts = []
        while self.peek() != "}":
            parts.append(self.text() if self.peek() == "{" else self.take())
        self.take("}")
        return "".join(parts)

    def arguments(self):
        self.take("(")
        found = [self.sum()]
        while self.peek() == ",":
            self.take()
            found.append(self.sum())
        self.take(")")
        return found

    def factor(self):
        token = self.take()
        if token == "(":
            found = self.sum()
            self.take(")")
            return found
        if token == "|":
            self.bars += 1
            found = self.sum()
            self.bars -= 1
            self.take("|")
            return np.abs(found)
        if token == r"\lVert":
            found = self.sum()
            self.take(r"\rVert")
            order = 2
            if self.peek() == "_":
                self.take()
                order = int(self.take())
            return np.linalg.norm(found, order)
        if token == r"\langle":
            left = self.sum()
            self.take(",")
            right = self.sum()
            self.take(r"\rangle")
            return np.sum(left * right)
        if token in (r"\frac", r"\tfrac"):
            return self.group() / self.group()
        if token == r"\sqrt":
            if self.peek() == "[":
                self.take()
                root = float(self.take())
                self.take("]")
                inside = self.group()
                return np.sign(inside) * np.abs(inside) ** (1 / root)
            return np.sqrt(self.group())
        if token == r"\sum":
            return np.sum(self.product())
        if token == r"\operatorname":
            return FUNCTIONS[self.text()](*self.arguments())
        if token in FUNCTIONS and self.peek() == "(":
            return FUNCTIONS[token](*self.arguments())
        if token == r"\nabla":
            self.take("f")
            self.arguments()
            return self.lookup(r"\nabla f", "")
        if re.fullmatch(r"\d+(\.\d+)?", token):
            return float(token)
        return self.lookup(*self.symbol(token))

    def symbol(self, token):
        """The name and the index of a symbol."""
        name = token
        if token in ACCENTS:
            name = f"{token} {self.text()}"
        index = ""
        while self.peek() in ("_", "'"):
            if self.take() == "_":
                index = self.text()
            else:
                name += "'"
        if name == "f" and self.peek() == "(":
            self.arguments()
        return name, index
