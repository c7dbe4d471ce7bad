"""State dicts with the names, the axes and the tensors of torch."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import optifunc as of
from optifunc.interop.torch import from_torch, to_torch

torch = pytest.importorskip("torch", reason="needs the extra `parity`")
pytestmark = pytest.mark.torch


def test_names_order_and_transposition():
    """Linear weights are transposed kernels, and so are their moments."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
    )
    inputs = torch.randn(5, 3)
    reference = torch.optim.Adam(model.named_parameters(), lr=0.1)

    def torch_step():
        reference.zero_grad()
        model(inputs).square().sum().backward()
        reference.step()

    def kernels():
        return {
            name: {
                "kernel": jnp.asarray(layer.weight.detach().numpy().T),
                "bias": jnp.asarray(layer.bias.detach().numpy()),
            }
            for name, layer in (("first", model[0]), ("last", model[2]))
        }

    def loss(params, x):
        hidden = jnp.tanh(x @ params["first"]["kernel"] + params["first"]["bias"][None])
        out = hidden @ params["last"]["kernel"] + params["last"]["bias"][None]
        return jnp.sum(out**2)

    def transposed(name, x):
        return x.T if x.ndim == 2 else x

    to_ours = {"0.weight": "first.kernel", "0.bias": "first.bias"}
    to_ours |= {"2.weight": "last.kernel", "2.bias": "last.bias"}
    torch_step()
    optimizer = of.optim.Adam(kernels(), lr=0.1)
    assert optimizer.parameter_names() == [
        ["first.bias", "first.kernel", "last.bias", "last.kernel"]
    ]
    optimizer.load_state_dict(
        from_torch(
            reference.state_dict(),
            target=optimizer.parameter_names(),
            rename=to_ours.__getitem__,
            transform=transposed,
        )
    )
    for _ in range(3):
        optimizer.backward(loss, jnp.asarray(inputs.numpy()))
        optimizer.step()
        optimizer.zero_grad()
        torch_step()
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5),
        optimizer.params,
        kernels(),
    )
    to_theirs = {ours: name for name, ours in to_ours.items()}
    back = to_torch(
        optimizer.state_dict(),
        source=optimizer.parameter_names(),
        target=[[name for name, _ in model.named_parameters()]],
        rename=to_theirs.__getitem__,
        transform=transposed,
    )
    for number, entry in reference.state_dict()["state"].items():
        for key, value in entry.items():
            np.testing.assert_allclose(back["state"][number][key], value, atol=1e-5)
    with pytest.raises(ValueError, match="no parameter is named"):
        from_torch(reference.state_dict(), target=optimizer.parameter_names())
    with pytest.raises(ValueError, match="and no names; give source="):
        to_torch(of.optim.SGD(kernels()).state_dict(), rename=to_theirs.__getitem__)


def test_the_module_needs_no_import_and_imports_no_torch():
    program = (
        "import sys, optifunc as of; of.interop.torch.to_torch; "
        "print('torch' in sys.modules, 'flax' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    "dtype",
    ["bfloat16"]
    + [f"float8_{x}" for x in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu")],
)
def test_dtypes_that_numpy_lacks(dtype):
    """To the bit, for all bit patterns of 8 bits and many of 16."""
    size = np.dtype(getattr(ml_dtypes, dtype)).itemsize
    bits = np.arange(256, dtype=np.uint8) if size == 1 else np.arange(0, 2**16, 7)
    array = bits.astype(f"u{size}").view(dtype)
    tensor = to_torch({"x": array, "none": array[:0], "scalar": array[5:6].reshape(())})
    assert tensor["x"].dtype == getattr(torch, dtype)
    assert tensor["none"].shape == (0,)
    assert tensor["scalar"].shape == ()
    # Both convert to float32 by their own tables. NaN is NaN in each.
    np.testing.assert_array_equal(tensor["x"].float().numpy(), array.astype(np.float32))
    back = from_torch(tensor)
    assert back["x"].dtype == array.dtype
    np.testing.assert_array_equal(back["x"].view(f"u{size}"), bits)
    assert back["scalar"].shape == ()


def test_tensors_of_every_kind():
    class Own(torch.Tensor):
        pass

    Own.__module__ = "elsewhere"
    turned = torch.tensor([1 + 2j, 3 - 1j])
    values = {
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "conjugate": turned.conj(),
        "negative": turned.conj().imag,
        "own": torch.ones(2).as_subclass(Own),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
    }
    found = from_torch(values)
    for name, value in values.items():
        assert type(found[name]) is np.ndarray
        np.testing.assert_array_equal(
            found[name], value.detach().resolve_neg().tolist()
        )


def test_arrays_of_every_layout():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for value in (array.astype(">f4"), array[::-1], array.T, np.asfortranarray(array)):
        (found,) = to_torch({"x": value}).values()
        assert found.dtype == torch.float32
        np.testing.assert_array_equal(found.numpy(), value.astype(np.float32))
