"""LBFGS against torch: the same parameters after the same number of evaluations."""

import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .harness import tensors, torch

pytestmark = pytest.mark.torch

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(12, 4)), RNG.normal(size=12)


def rosenbrock(x):
    total = 100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2
    return total.sum()


def residuals(x, a, b):
    return ((a @ x - b) ** 2).sum()


PROBLEMS = {
    "rosenbrock 2": (rosenbrock, np.array([-1.0, 1.0]), 1e-3),
    "rosenbrock 100": (rosenbrock, np.linspace(-1.0, 1.0, 100), 1e-3),
    "least squares": (residuals, np.zeros(4), 1e-2),
}


@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_follows_torch(problem, line_search_fn, x64):
    function, start, lr = PROBLEMS[problem]
    data = (A, B) if function is residuals else ()
    kwargs = {"lr": 1 if line_search_fn else lr, "line_search_fn": line_search_fn}
    optimizer = of.optim.LBFGS({"x": jnp.asarray(start)}, **kwargs)
    (x,) = tensors([start])
    reference = torch.optim.LBFGS([x], **kwargs)

    def loss(params, *data):
        return function(params["x"], *data)

    def closure():
        reference.zero_grad()
        value = function(x, *map(torch.tensor, data))
        value.backward()
        return value

    for _ in range(3):
        value = optimizer.step(loss, *map(jnp.asarray, data))
        expected = reference.step(closure)
        np.testing.assert_allclose(value, expected.item(), rtol=1e-7, atol=1e-12)
    found = optimizer.state_dict()["state"][0]
    wanted = reference.state_dict()["state"][0]
    assert found["func_evals"] == wanted["func_evals"]
    assert found["n_iter"] == wanted["n_iter"]
    # Rosenbrock's function magnifies the last bit in each of 60 iterations.
    np.testing.assert_allclose(optimizer.params["x"], x.detach().numpy(), atol=1e-5)
