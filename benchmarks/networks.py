"""The networks of whole training steps, as functions of their parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from .pytorch import torch
from .workloads import Shapes, mlp_shapes

BATCH = 128
CLASSES = 10


@dataclass(frozen=True)
class Network:
    """A classifier in JAX and in torch; images have the channels last in JAX's."""

    name: str
    title: str
    inputs: tuple[int, ...]
    shapes: Shapes
    jax: Callable[[Mapping[str, Any], Any], Any]
    torch: Callable[[Mapping[str, Any], Any], Any]

    def params(self) -> dict[str, np.ndarray]:
        """Weights of the size that keeps a layer's outputs near 1, biases of 0."""
        generator = np.random.default_rng(0)
        return {
            name: np.zeros(shape, np.float32)
            if len(shape) == 1
            else generator.standard_normal(shape, np.float32)
            * np.float32(np.sqrt(2 / np.prod(shape[:-1])))
            for name, shape in self.shapes.items()
        }

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(1)
        images = generator.standard_normal((BATCH, *self.inputs), np.float32)
        return images, generator.integers(CLASSES, size=BATCH, dtype=np.int32)

    def torch_weight(self, weight: np.ndarray) -> Any:
        """A weight in the order in which torch keeps it."""
        order = (3, 2, 0, 1) if weight.ndim == 4 else range(weight.ndim)
        return torch.tensor(np.ascontiguousarray(weight.transpose(tuple(order))))

    def torch_images(self, images: np.ndarray) -> Any:
        tensor = torch.tensor(images)
        return tensor.permute(0, 3, 1, 2).contiguous() if tensor.ndim == 4 else tensor


def _dense(params: Mapping[str, Any], layers: int, x: Any, relu: Any) -> Any:
    for i in range(layers):
        x = x @ params[f"layer{i}.weight"] + params[f"layer{i}.bias"][None]
        if i < layers - 1:
            x = relu(x)
    return x


def _mlp(relu: Callable[[Any], Any]) -> Callable[[Mapping[str, Any], Any], Any]:
    return lambda params, x: _dense(params, 3, x, relu)


def _lenet(params: Mapping[str, Any], x: jax.Array) -> jax.Array:
    for name in ("conv0", "conv1"):
        x = jax.lax.conv_general_dilated(
            x,
            params[f"{name}.weight"],
            window_strides=(1, 1),
            padding="VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = jax.nn.relu(x + params[f"{name}.bias"][None, None, None])
        images, rows, columns, channels = x.shape
        x = x.reshape(images, rows // 2, 2, columns // 2, 2, channels).max((2, 4))
    logits: jax.Array = _dense(params, 3, x.reshape(x.shape[0], -1), jax.nn.relu)
    return logits


def _torch_lenet(params: Mapping[str, Any], x: Any) -> Any:
    functional = torch.nn.functional
    for name in ("conv0", "conv1"):
        weight, bias = params[f"{name}.weight"], params[f"{name}.bias"]
        x = functional.max_pool2d(torch.relu(functional.conv2d(x, weight, bias)), 2)
    return _dense(params, 3, x.permute(0, 2, 3, 1).flatten(1), torch.relu)


_LENET = {
    "conv0.bias": (6,),
    "conv0.weight": (5, 5, 3, 6),
    "conv1.bias": (16,),
    "conv1.weight": (5, 5, 6, 16),
    **mlp_shapes(400, 120, 84, CLASSES),
}

NETWORKS = {
    network.name: network
    for network in (
        Network(
            "mlp",
            "MLP",
            (784,),
            mlp_shapes(784, 512, 512, CLASSES),
            _mlp(jax.nn.relu),
            _mlp(lambda x: x.relu()),
        ),
        Network(
            "lenet",
            "LeNet-5",
            (32, 32, 3),
            _LENET,
            _lenet,
            _torch_lenet,
        ),
    )
}
