"""The skeleton in CONTRIBUTING.md is an optimizer that passes the harness."""

import inspect
import re
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from . import test_every_transformation as harness

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"^   ```python\n(.*?)^   ```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def skeleton():
    """The names that the page's blocks define."""
    # Annotations are looked up in the module of what they annotate.
    module = sys.modules["tests.skeleton"] = types.ModuleType("tests.skeleton")
    for block in BLOCKS:
        exec(re.sub(r"^   ", "", block, flags=re.MULTILINE), vars(module))
    yield vars(module)
    del sys.modules["tests.skeleton"]


# The functions of the harness that need a row and nothing else.
PROPERTIES = [
    test
    for name, test in vars(harness).items()
    if name.startswith("test_") and [*inspect.signature(test).parameters] == ["row"]
]


@pytest.mark.parametrize("test", PROPERTIES, ids=lambda test: test.__name__)
def test_it_has_every_property_of_the_harness(test, skeleton):
    test(skeleton["row"])


def test_the_harness_is_found():
    assert len(PROPERTIES) >= 10


def test_its_numbers_and_its_class(skeleton):
    params, grad = np.array([1.0, -2.0]), np.array([0.5, 0.25])
    velocity, expected = np.zeros(2), params
    for _ in range(3):
        velocity = 0.9 * velocity + grad
        expected = expected - 0.1 * (velocity + 0.01 * expected)
    optimizer = skeleton["HeavyBall"]([jnp.asarray(params)], 0.1, weight_decay=0.01)
    for _ in range(3):
        optimizer.step(grads=[jnp.asarray(grad)])
    # float32, three steps with numbers of order 1
    np.testing.assert_allclose(optimizer.params[0], expected, rtol=1e-6)
    assert optimizer.state[0].keys() == {"velocity"}
    other = skeleton["HeavyBall"](optimizer.params)
    other.load_state_dict(optimizer.state_dict())
    for each in (optimizer, other):
        each.step(grads=[jnp.asarray(grad)])
    jax.tree.map(np.testing.assert_array_equal, optimizer.params, other.params)
