"""Record checkpoints of torchao's and bitsandbytes' optimizers with narrow state.

    python tests/golden/record_eight_bit.py

needs torch, torchao (recorded with 0.18.0) and bitsandbytes (0.50.2), all of them on a
CPU. The result is ``eight_bit_checkpoints.npz``: for each optimizer the parameters and
the state after three steps, and every 61st number of the parameters after a fourth.
"""

from pathlib import Path

import numpy as np
import torch

# torchao compiles its steps; the same arithmetic without a compiler.
torch.compile = lambda function, **options: function

import bitsandbytes as bnb  # noqa: E402
from torchao.optim import AdamW4bit, AdamW8bit, AdamWFp8  # noqa: E402

SHAPES = (64, 64), (20,), (65, 65)
OPTIMIZERS = {
    "torchao_8": lambda p: AdamW8bit(p, lr=0.01, weight_decay=0.1),
    "torchao_4": lambda p: AdamW4bit(p, lr=0.01, weight_decay=0.1),
    "torchao_fp8": lambda p: AdamWFp8(p, lr=0.01, weight_decay=0.1),
    "bnb_adamw": lambda p: bnb.optim.AdamW8bit(p, lr=0.01, weight_decay=0.0),
    "bnb_lion": lambda p: bnb.optim.Lion8bit(p, lr=0.001),
    "bnb_sgd": lambda p: bnb.optim.SGD8bit(p, lr=0.1, momentum=0.9),
    "bnb_rmsprop": lambda p: bnb.optim.RMSprop8bit(p, lr=0.01, alpha=0.9),
}


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [
        torch.nn.Parameter(torch.randn(*shape, generator=generator)) for shape in SHAPES
    ]


def gradient(param, step):
    place = (torch.arange(param.numel()) % 7).float().reshape(param.shape)
    return 0.3 * param.detach() * torch.exp(-place / 3) + 0.01 * (step + 1)


def recorded(value):
    """A tensor's arrays by name."""
    if hasattr(value, "codes"):
        found = {"codes": value.codes.view(torch.uint8), "scale": value.scale}
        signed = {"signed": value.signed} if hasattr(value, "qmap") else {}
        return {**found, **signed}
    return {"": value}


def entries(state):
    for name, value in state.items():
        if isinstance(value, dict):
            for inner, x in value.items():
                # Of the table no more than whether it has negative numbers.
                yield f"{name}.{inner}", bool(x[0] < 0) if "qmap" in inner else x
        else:
            for part, x in recorded(value).items():
                yield f"{name}/{part}".rstrip("/"), x


def main():
    found = {}
    for name, make in OPTIMIZERS.items():
        params = parameters()
        optimizer = make(params)
        for step in range(4):
            if step == 3:
                for i, param in enumerate(params):
                    found[f"{name}/middle/{i}"] = param.detach().numpy().copy()
                for i, state in optimizer.state_dict()["state"].items():
                    for key, x in entries(state):
                        found[f"{name}/state/{i}/{key}"] = np.array(x)
            for param in params:
                param.grad = gradient(param, step)
            optimizer.step()
        for i, param in enumerate(params):
            found[f"{name}/final/{i}"] = param.detach().numpy().reshape(-1)[::61]
    path = Path(__file__).with_name("eight_bit_checkpoints.npz")
    np.savez_compressed(path, **found)


if __name__ == "__main__":
    main()
