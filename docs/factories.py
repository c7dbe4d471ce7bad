"""The functions that build optimizers, by name: each has a page."""

import inspect
from collections.abc import Callable

import optifunc as of

_OFFERED = {name: getattr(of.optimizers, name) for name in of.optimizers.__all__}
# `assemble` is what they are made with.
FACTORIES: dict[str, Callable[..., of.GradientTransformation]] = {
    name: value
    for name, value in _OFFERED.items()
    if inspect.isfunction(value) and name != "assemble"
}
