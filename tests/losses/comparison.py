"""A loss of ours beside torch's of the same name: values and gradients."""

import functools
import math
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

import optifunc as of

REDUCTIONS = ("none", "mean", "sum")
# Of one element, which may be large: 8 rounding units of float32, or 4500 of float64.
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def cotangent(shape, dtype):
    """What a value is multiplied with before its gradient is taken: 1, if a scalar.

    All is positive, so as not to make the terms of a gradient cancel.
    """
    return np.linspace(0.5, 1, math.prod(shape), dtype=dtype).reshape(shape)


def run_optifunc(name, arrays, options, wrt):
    """Reduction -> the value, and the gradient of each argument that ``wrt`` names."""
    precise = arrays[wrt[0]].dtype == np.float64
    with jax.enable_x64(precise):
        program = _program(name, tuple(sorted(options.items())), wrt)
        return jax.tree.map(np.asarray, program(arrays))


@functools.cache
def _program(name, options, wrt):
    loss = functools.partial(getattr(of.losses, name), **dict(options))

    @jax.jit
    def program(arrays):
        results = {}
        for reduction in REDUCTIONS:

            def reduced(active, reduction=reduction):
                return loss(**{**arrays, **active}, reduction=reduction)

            value, pull_back = jax.vjp(reduced, {k: arrays[k] for k in wrt})
            (gradients,) = pull_back(cotangent(value.shape, value.dtype))
            results[reduction] = {"value": value, **gradients}
        return results

    return program


def run_torch(name, arrays, options, wrt):
    import torch

    results = {}
    for reduction in REDUCTIONS:
        tensors = {k: torch.tensor(v) for k, v in arrays.items()}
        for k in wrt:
            tensors[k].requires_grad_()
        with warnings.catch_warnings():
            # kl_div announces that its "mean" will change.
            warnings.filterwarnings("ignore", message="reduction: 'mean' divides")
            loss = getattr(torch.nn.functional, name)
            value = loss(**tensors, **options, reduction=reduction)
        seed = torch.tensor(cotangent(value.shape, arrays[wrt[0]].dtype))
        gradients = torch.autograd.grad(
            value, [tensors[k] for k in wrt], seed, materialize_grads=True
        )
        results[reduction] = {
            "value": value.detach().numpy(),
            **{k: g.numpy() for k, g in zip(wrt, gradients, strict=True)},
        }
    return results


def assert_like_torch(
    name: str,
    arrays: Mapping[str, np.ndarray],
    options: Mapping[str, Any],
    wrt: tuple[str, ...],
    better: tuple[str, ...] = (),
    terms: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Values and gradients of all reductions agree, also in where they are not finite.

    Of what ``better`` names, torch's may be infinite or NaN where ours is finite.
    ``terms`` are the sizes of the numbers that a value or a gradient is the difference
    of: they are rounded before they cancel, so that the tolerance is relative to them.
    """
    terms = {} if terms is None else terms
    arguments = (name, arrays, options, wrt)
    ours, theirs = run_optifunc(*arguments), run_torch(*arguments)
    tolerance = TOLERANCE[str(arrays[wrt[0]].dtype)]
    for reduction in REDUCTIONS:
        for what, expected in theirs[reduction].items():
            found = ours[reduction][what]
            where = f"{name} {options} {reduction}: {what}"
            assert found.dtype == expected.dtype, where
            assert found.shape == expected.shape, where
            is_finite = np.isfinite(expected)
            scale = np.maximum(1, np.abs(expected))
            if what == "value" and reduction != "none":
                each = np.maximum(np.abs(theirs["none"][what]), terms.get(what, 0))
                scale = np.maximum(scale, getattr(np, reduction)(each))
            else:
                scale = np.maximum(scale, terms.get(what, 0))
            with np.errstate(invalid="ignore"):  # inf - inf
                error = np.abs(found - expected) / scale
            close = error <= tolerance
            same = (found == expected) | (np.isnan(found) & np.isnan(expected))
            allowed = np.isfinite(found) if what in better else False
            good = np.where(is_finite, close, same | allowed)
            assert good.all(), (
                f"{where}\nours {found[~good]}\ntorch {expected[~good]}\n"
                f"arguments {arrays}"
            )
