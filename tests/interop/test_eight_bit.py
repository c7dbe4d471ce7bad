"""Checkpoints of torchao and bitsandbytes with state in 8 and 4 bits.

They are recorded from the packages themselves (``tests/golden/record_eight_bit.py``).
Where the packages are installed, what comes back is also loaded by them.
"""

import functools
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc import optim
from optifunc._codebooks import dynamic_codebook
from optifunc._quantization import dequantize
from optifunc.interop import from_bitsandbytes, to_bitsandbytes
from optifunc.interop.torch import (
    from_torch,
    to_torch,
    to_torchao,
)

torch = pytest.importorskip("torch", reason="needs the extra `parity`")
pytestmark = pytest.mark.torch

RECORDED = np.load(Path(__file__).parents[1] / "golden" / "eight_bit_checkpoints.npz")
NESTED = "__bnb_optimizer_quant_state__"
ADAM = {"betas": (0.9, 0.999), "eps": 1e-8}
MINE = {"alpha": 0.0, "t_alpha": None, "t_beta3": None}
TORCHAO = {"torchao_8": 8, "torchao_4": 4, "torchao_fp8": "fp8"}
BITSANDBYTES = {
    "bnb_adamw": (optim.AdamW, {"lr": 0.01, "weight_decay": 0.0, **ADAM, **MINE}),
    "bnb_lion": (
        optim.Lion,
        {"lr": 0.001, "betas": (0.9, 0.99), "eps": 0.0, "weight_decay": 0},
    ),
    "bnb_sgd": (
        optim.SGD,
        {"lr": 0.1, "betas": (0.9, 0), "eps": 0.0, "weight_decay": 0},
    ),
    "bnb_rmsprop": (
        optim.RMSprop,
        {"lr": 0.01, "betas": (0.9, 0), "eps": 1e-8, "weight_decay": 0},
    ),
}


class Coded(torch.Tensor):
    """A tensor as torchao lays it out, of which nothing but its parts is known."""

    @staticmethod
    def __new__(cls, codes, scale, table, signed, shape):
        return torch.Tensor._make_wrapper_subclass(cls, shape, dtype=torch.float32)

    def __init__(self, codes, scale, table, signed, shape):
        self.codes, self.scale, self.signed = codes, scale, signed
        if table is not None:
            self.qmap = table

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise NotImplementedError(f"{function} of a tensor of codes")


def recorded(name, kind):
    prefix = f"{name}/{kind}/"
    return {k.removeprefix(prefix): x for k, x in RECORDED.items() if prefix in k}


def start(name):
    return [jnp.asarray(x) for x in recorded(name, "middle").values()]


def gradients(params):
    """As they were recorded; not of the parameters here, which are those of then."""

    def gradient(p):
        place = np.arange(p.size, dtype=np.float32).reshape(p.shape) % 7
        return jnp.asarray(0.3 * np.asarray(p) * np.exp(-place / 3) + np.float32(0.04))

    return [gradient(p) for p in params]


def of_torchao(name, tensor=Coded):
    bits = TORCHAO[name]
    state = {}
    for key, x in recorded(name, "state").items():
        number, field, *part = key.split("/")
        entry = state.setdefault(int(number), {})
        if part:
            entry.setdefault(field, {})[part[0]] = x
        else:
            entry[field] = torch.tensor(x)
    shapes = [p.shape for p in start(name)]
    for number, entry in state.items():
        for field, x in entry.items():
            if not isinstance(x, dict):
                continue
            codes = torch.tensor(x["codes"])
            signed = bool(x.get("signed", True))
            table = None
            if bits == "fp8":
                codes = codes.view(torch.float8_e4m3fn)
            else:
                table = torch.tensor(dynamic_codebook(bits, signed))
            scale = torch.tensor(x["scale"])
            entry[field] = tensor(codes, scale, table, signed, shapes[number])
    values = {"lr": torch.tensor(0.01), "weight_decay": 0.1, "amsgrad": False, **ADAM}
    return {"state": state, "param_groups": [{**values, "params": [0, 1, 2]}]}


def of_bitsandbytes(name):
    state = {}
    for key, x in recorded(name, "state").items():
        number, field = key.split("/")
        entry = state.setdefault(int(number), {})
        if not field.startswith(NESTED):
            entry[field] = int(x)
            continue
        field = field.removeprefix(f"{NESTED}.")
        value = dynamic_codebook(8, bool(x)) if "qmap" in field else x
        entry.setdefault(NESTED, {})[field] = torch.tensor(value)
    group = {**BITSANDBYTES[name][1], "params": [0, 1, 2]}
    return {"state": state, "param_groups": [group]}


def wrapped(kind, params, bits=8, **options):
    own = functools.partial(of.quantized, bits=bits, keep_positive=False, **options)
    return kind(params).wrap(own)


def assert_goes_on(optimizer, name, which=(0, 1, 2)):
    """Check that the next step is the one that the package took."""
    optimizer.step(grads=gradients(optimizer.params))
    expected = [*recorded(name, "final").values()]
    for i in which:
        found = np.reshape(optimizer.params[i], -1)[::61]
        # Moments that are right to seven digits, in parameters of size 4.
        np.testing.assert_allclose(found, expected[i], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", TORCHAO)
def test_numbers_of_torchao_go_on(name):
    optimizer = optim.AdamW(start(name))
    optimizer.load_state_dict(of_torchao(name))
    assert optimizer.state[0]["exp_avg"].dtype == np.float32
    assert_goes_on(optimizer, name)


@pytest.mark.parametrize("name", TORCHAO)
def test_codes_of_torchao_stay_codes(name):
    optimizer = wrapped(optim.AdamW, start(name), TORCHAO[name])
    optimizer.load_state_dict(of_torchao(name))
    for field in ("exp_avg", "exp_avg_sq"):
        own, source = optimizer.state[0][field], recorded(name, "state")
        codes = np.asarray(own.codes).view(np.uint8).reshape(-1)
        np.testing.assert_array_equal(codes, source[f"0/{field}/codes"].reshape(-1))
        scales = source[f"0/{field}/scale"]
        np.testing.assert_array_equal(np.reshape(own.scales, -1), scales)
    # torchao has numbers where a parameter is no multiple of a block, codes are here.
    assert_goes_on(optimizer, name, which=(0, 1))


@pytest.mark.parametrize("name", BITSANDBYTES)
def test_numbers_of_bitsandbytes_go_on(name):
    kind, _ = BITSANDBYTES[name]
    optimizer = kind(start(name))
    optimizer.load_state_dict(from_bitsandbytes(of_bitsandbytes(name), kind))
    assert_goes_on(optimizer, name)


@pytest.mark.parametrize("name", BITSANDBYTES)
def test_codes_of_bitsandbytes_stay_codes(name):
    kind, _ = BITSANDBYTES[name]
    optimizer = wrapped(kind, start(name))
    given = from_bitsandbytes(of_bitsandbytes(name), kind)
    optimizer.load_state_dict(given)
    for i in (0, 2):
        for field, x in given["state"][i].items():
            if field == "step":
                continue
            own = optimizer.state[i][field]
            if kind is optim.RMSprop:  # which has a sign there, and none here
                # Half the widest gap of the codes of either
                np.testing.assert_allclose(
                    dequantize(own), dequantize(x), atol=0.0079 * np.max(x.scales)
                )
            else:
                np.testing.assert_array_equal(own.codes, x.codes)
                np.testing.assert_array_equal(own.scales, x.scales)
    if kind is not optim.RMSprop:
        assert_goes_on(optimizer, name)


def same_entries(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(np.asarray(found[key]), np.asarray(value), key)


@pytest.mark.parametrize("name", ["bnb_adamw", "bnb_lion", "bnb_sgd"])
def test_bitsandbytes_gets_its_own_back(name):
    kind, _ = BITSANDBYTES[name]
    optimizer = wrapped(kind, start(name))
    source = of_bitsandbytes(name)
    optimizer.load_state_dict(from_bitsandbytes(source, kind))
    back = to_bitsandbytes(optimizer.state_dict(), kind)
    for i, entry in source["state"].items():
        # Lion and SGD do not count here.
        step = {"step": entry["step"] if kind is optim.AdamW else 1}
        same_entries(back["state"][i], {**step, **entry[NESTED]})
    again = kind(start(name))
    again.load_state_dict(from_bitsandbytes(back, kind))
    assert_goes_on(again, name)


def test_torch_gets_numbers():
    optimizer = wrapped(optim.AdamW, start("torchao_8"))
    optimizer.load_state_dict(of_torchao("torchao_8"))
    entry = to_torch(optimizer.state_dict())["state"][0]
    own = optimizer.state[0]["exp_avg"]
    assert entry["exp_avg"].dtype == torch.float32
    np.testing.assert_array_equal(entry["exp_avg"], dequantize(own))


def test_transposed_moments_are_numbers():
    given = from_torch(
        of_torchao("torchao_8"),
        source=[["a", "b", "c"]],
        transform=lambda name, x: x.T,
    )
    plain = optim.AdamW(start("torchao_8"))
    plain.load_state_dict(of_torchao("torchao_8"))
    moment = plain.state[0]["exp_avg"]
    np.testing.assert_array_equal(given["state"][0]["exp_avg"], moment.T)


def test_an_unwrapped_checkpoint_is_loaded_by_a_quantized_optimizer_and_back():
    params = start("torchao_8")
    plain = optim.AdamW(params)
    plain.step(grads=gradients(params))
    narrow = wrapped(optim.AdamW, plain.params)
    narrow.load_state_dict(plain.state_dict())
    other = optim.AdamW(plain.params)
    other.load_state_dict(narrow.state_dict())
    for field in ("exp_avg", "exp_avg_sq"):
        exact = plain.state[0][field]
        # Half the widest gap between codes of 8 bits
        atol = 0.0079 * np.max(np.abs(exact))
        np.testing.assert_allclose(other.state[0][field], exact, atol=atol)
    wrong = narrow.state_dict()
    wrong["state"][0]["exp_avg"] = np.zeros((3, 3), np.float32)
    with pytest.raises(ValueError, match=r"exp_avg of parameter 0 has shape \(3, 3\)"):
        narrow.load_state_dict(wrong)


def test_what_is_no_checkpoint_of_bitsandbytes_is_named():
    source = of_bitsandbytes("bnb_adamw")
    with pytest.raises(ValueError, match=r"a class of optifunc.optim .* found NAdam"):
        from_bitsandbytes(source, optim.NAdam)
    with pytest.raises(ValueError, match=r"0 has 2 states .* 1 are needed: exp_avg"):
        from_bitsandbytes(source, optim.Lion)
    entry = source["state"][0][NESTED]
    entry["absmax2"] = entry["absmax2"][:5]
    with pytest.raises(ValueError, match=r"state2 of parameter 0 has 4096 codes and"):
        from_bitsandbytes(source, optim.AdamW)
    entry["qmap1"] = entry["qmap1"] * 2
    with pytest.raises(ValueError, match="state1 of parameter 0 has codes of another"):
        from_bitsandbytes(source, optim.AdamW)
    lion = optim.Lion(start("bnb_lion"))
    lion.step(grads=gradients(lion.params))
    with pytest.raises(ValueError, match="0 has no exp_avg_sq in its state"):
        to_bitsandbytes(lion.state_dict(), optim.AdamW)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TORCHAO)
def test_torchao_itself_gets_its_own_back(name):
    torchao = pytest.importorskip("torchao.optim", reason="needs torchao")
    optimizer = wrapped(optim.AdamW, start(name), TORCHAO[name])
    optimizer.load_state_dict(of_torchao(name))
    kinds = {8: torchao.AdamW8bit, 4: torchao.AdamW4bit, "fp8": torchao.AdamWFp8}
    weights = [torch.nn.Parameter(torch.tensor(np.array(p))) for p in start(name)]
    theirs = kinds[TORCHAO[name]](weights)
    theirs.load_state_dict(to_torchao(optimizer.state_dict()))
    source = recorded(name, "state")
    for field in ("exp_avg", "exp_avg_sq"):
        found = theirs.state[weights[0]][field]
        codes = found.codes.view(torch.uint8).numpy()
        np.testing.assert_array_equal(codes, source[f"0/{field}/codes"])
        np.testing.assert_array_equal(found.scale, source[f"0/{field}/scale"])
        assert type(theirs.state[weights[2]][field]) is torch.Tensor
    optimizer.load_state_dict(theirs.state_dict())
    assert_goes_on(optimizer, name, which=(0, 1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BITSANDBYTES)
def test_bitsandbytes_itself_goes_on(name):
    bnb = pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    kind, _ = BITSANDBYTES[name]
    optimizer = kind(start(name))
    optimizer.load_state_dict(from_bitsandbytes(of_bitsandbytes(name), kind))
    narrow = wrapped(kind, optimizer.params)
    narrow.load_state_dict(optimizer.state_dict())
    narrow.load_state_dict(from_bitsandbytes(of_bitsandbytes(name), kind))
    weights = [torch.nn.Parameter(torch.tensor(np.array(p))) for p in start(name)]
    needed = {"momentum": 0.5} if kind is optim.SGD else {}
    theirs = getattr(bnb.optim, f"{kind.__name__}8bit")(weights, lr=0.5, **needed)
    theirs.load_state_dict(to_bitsandbytes(narrow.state_dict(), kind))
    for weight, grad in zip(weights, gradients(narrow.params), strict=True):
        weight.grad = torch.tensor(np.array(grad))
    theirs.step()
    if kind is not optim.RMSprop:
        for weight, expected in zip(
            weights, recorded(name, "final").values(), strict=True
        ):
            found = weight.detach().numpy().reshape(-1)[::61]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
