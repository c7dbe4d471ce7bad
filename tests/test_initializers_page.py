"""The page of initializers: its functions draw from torch's distributions."""

import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

PAGE = (Path(__file__).parents[1] / "docs" / "initializers.md").read_text()
CODE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
DRAWN = {
    "uniform": [{}, {"a": -0.5, "b": 0.1}],
    "normal": [{}, {"mean": 1.0, "std": 0.3}],
    "trunc_normal": [
        {},
        {"mean": 0.1, "std": 0.5, "a": -0.3, "b": 0.4},
        {"std": 0.02},
    ],
    "xavier_uniform": [{}, {"gain": 5 / 3}],
    "xavier_normal": [{}, {"gain": 5 / 3}],
    "kaiming_uniform": [
        {},
        {"a": math.sqrt(5)},
        {"mode": "fan_out", "nonlinearity": "relu"},
    ],
    "kaiming_normal": [{}, {"a": 0.2}, {"mode": "fan_out", "nonlinearity": "tanh"}],
}
CASES = [(name, kwargs) for name, cases in DRAWN.items() for kwargs in cases]
FIXED = [
    ("zeros", {}, (3, 4)),
    ("ones", {}, (3, 4)),
    ("constant", {"val": 0.3}, (3, 4)),
    ("eye", {}, (3, 5)),
    ("eye", {}, (5, 3)),
    ("dirac", {}, (3, 5, 3)),
    ("dirac", {}, (6, 4, 3, 4)),
    ("dirac", {"groups": 3}, (6, 4, 3, 4)),
    ("dirac", {"groups": 2}, (4, 1, 2, 3, 3)),
]
MATRIX, KERNEL = (600, 400), (200, 100, 3, 5)


@pytest.fixture(scope="module")
def page():
    """The names that the page's code defines, under a reader's settings."""
    namespace = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in CODE:
            if "flax" not in block:  # which is not needed here
                exec(block, namespace)
        yield namespace


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


def by_torch(torch, name, shape, kwargs):
    return getattr(torch.nn.init, f"{name}_")(torch.empty(shape), **kwargs).numpy()


def assert_same_distribution(found, expected):
    """By shape, spread and reach, of samples of 240,000 and more.

    The limit of the Kolmogorov-Smirnov distance is passed by chance once in a
    thousand pairs of samples; the normal distribution and its truncation at two
    standard deviations are 0.016 apart. A standard deviation is uncertain by 0.2 %.
    """
    assert found.shape == expected.shape
    found, expected = np.ravel(found), np.ravel(expected)
    distance = stats.ks_2samp(found, expected, method="asymp").statistic
    assert distance < 1.95 * math.sqrt(2 / found.size)
    assert found.std() == pytest.approx(expected.std(), rel=0.01)
    bounded = stats.kurtosis(expected) < -0.1  # uniform or truncated
    if bounded:
        reach = [expected.min(), expected.max()]
        width = reach[1] - reach[0]
        np.testing.assert_allclose([found.min(), found.max()], reach, atol=1e-3 * width)


@pytest.mark.torch
@pytest.mark.parametrize("shape", [MATRIX, KERNEL], ids=["matrix", "kernel"])
@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_distributions_are_torchs(page, torch, name, kwargs, shape):
    expected = by_torch(torch, name, shape, kwargs)
    key = jax.random.key(1)
    if not name.startswith(("xavier", "kaiming")):
        return assert_same_distribution(page[name](key, shape, **kwargs), expected)
    ours = page[name](key, shape, **kwargs, **page["torch_layout"])
    assert_same_distribution(ours, expected)
    out, per_group, *kernel = shape
    ours = page[name](key, (*kernel, per_group, out), **kwargs, **page["jax_layout"])
    assert_same_distribution(jnp.moveaxis(ours, (-1, -2), (0, 1)), expected)


@pytest.mark.torch
@pytest.mark.parametrize(("name", "kwargs", "shape"), FIXED)
def test_what_is_not_drawn_is_equal(page, torch, name, kwargs, shape):
    expected = by_torch(torch, name, shape, kwargs)
    np.testing.assert_array_equal(
        page[name](jax.random.key(1), shape, **kwargs), expected
    )


@pytest.mark.torch
def test_gains(page, torch):
    cases = [(n,) for n in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu")]
    for case in [*cases, ("leaky_relu", 0.3)]:
        expected = torch.nn.init.calculate_gain(*case)
        assert page["calculate_gain"](*case) == pytest.approx(expected, rel=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (16, 8, 3, 3), (40, 2, 3, 3)])
def test_orthogonal(page, torch, shape):
    """Both are orthonormal along the shorter side of the same matrix."""
    out = shape[0]
    ours = page["orthogonal"](jax.random.key(1), shape, gain=2.0, out_axis=0)
    for weight in (np.asarray(ours), by_torch(torch, "orthogonal", shape, {"gain": 2})):
        matrix = weight.reshape(out, -1)
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        product = matrix @ matrix.T
        # float32, sums of up to 72 products of order 1/72, times 4.
        np.testing.assert_allclose(product, 4 * np.eye(len(matrix)), atol=1e-5)


@pytest.mark.torch
@pytest.mark.parametrize("sparsity", [0.1, 0.25, 0.9])
def test_sparse(page, torch, sparsity):
    shape = (61, 5000)
    expected = by_torch(torch, "sparse", shape, {"sparsity": sparsity, "std": 0.2})
    found = page["sparse"](jax.random.key(1), shape, sparsity=sparsity, std=0.2)
    zeros = math.ceil(sparsity * 61)
    for weight in (np.asarray(found), expected):
        np.testing.assert_array_equal((weight == 0).sum(0), zeros)
        # Each row gets its share of them: 5000 draws, uncertain by 0.007 at most.
        np.testing.assert_allclose((weight == 0).mean(1), zeros / 61, atol=0.03)
        # Of at least 30,000 values: uncertain by 0.4 %.
        assert weight[weight != 0].std() == pytest.approx(0.2, rel=0.02)


@pytest.mark.torch
def test_layers_start_as_the_page_says(page, torch):
    key, nn = jax.random.key(1), torch.nn
    weight, bias = page["torch_weight"], page["torch_bias"]
    axes = page["torch_layout"]
    layers = {
        nn.Linear(400, 600): 400,
        nn.Conv2d(200, 300, (3, 5), groups=2): 100 * 15,
        nn.ConvTranspose2d(200, 300, (3, 5), groups=2): 150 * 15,
    }
    for layer, fan_in in layers.items():
        expected = layer.weight.detach().numpy()
        assert_same_distribution(weight(key, expected.shape, **axes), expected)
        # A bias has too few elements for more than its reach.
        reach = np.abs(layer.bias.detach().numpy()).max()
        assert reach == pytest.approx(1 / math.sqrt(fan_in), rel=0.05)
        ours = np.abs(bias(key, layer.bias.shape, fan_in)).max()
        assert ours == pytest.approx(1 / math.sqrt(fan_in), rel=0.05)
    for recurrent in (nn.RNN, nn.LSTM, nn.GRU):
        for name, value in recurrent(50, 400).named_parameters():
            value = value.detach().numpy()
            assert np.abs(value).max() == pytest.approx(1 / 20, rel=0.02), name
            assert value.std() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.1), name
    embedding = nn.Embedding(600, 400, padding_idx=3).weight.detach().numpy()
    assert not embedding[3].any()
    assert embedding.std() == pytest.approx(1, rel=0.01)
    for norm in (nn.BatchNorm2d(4), nn.LayerNorm(4), nn.GroupNorm(2, 4)):
        assert (norm.weight == 1).all()
        assert (norm.bias == 0).all()


def test_flax_starts_as_the_page_says():
    nnx = pytest.importorskip("flax.nnx")
    layer = nnx.Linear(400, 600, rngs=nnx.Rngs(0))
    kernel = np.asarray(layer.kernel[...])
    assert kernel.std() == pytest.approx(1 / math.sqrt(400), rel=0.01)
    # A truncated normal distribution, its standard deviation corrected.
    assert np.abs(kernel).max() == pytest.approx(2 / 0.8796 / 20, rel=0.01)
    assert not np.asarray(layer.bias[...]).any()


@pytest.mark.torch
def test_every_function_of_torch_is_there(page, torch):
    functions = {name.removesuffix("_") for name in torch.nn.init.__all__}
    table = set(re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE))
    named = {name for cell in table for name in re.findall(r"`(\w+?)_?`", cell)}
    assert functions <= named
    assert functions <= set(page)
