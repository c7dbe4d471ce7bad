"""The trees of parameters that the optimizers are measured on."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import jax
import numpy as np

Shapes: TypeAlias = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Workload:
    """The shapes of a tree of float32 parameters, by name."""

    name: str
    title: str
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        return sum(map(math.prod, self.shapes.values()))

    @property
    def leaves(self) -> int:
        return len(self.shapes)

    @property
    def is_large(self) -> bool:
        """Whether each contender takes a gigabyte and more."""
        return self.parameters > 10**8

    @property
    def is_matrices(self) -> bool:
        return all(len(shape) == 2 for shape in self.shapes.values())

    def arrays(self, seed: int) -> dict[str, jax.Array]:
        """Normal random numbers in the shapes of the workload."""
        generator = np.random.default_rng(seed)
        return {
            name: jax.device_put(generator.standard_normal(shape, np.float32))
            for name, shape in self.shapes.items()
        }

    def params(self) -> dict[str, jax.Array]:
        return self.arrays(seed=0)

    def grads(self) -> dict[str, jax.Array]:
        return self.arrays(seed=1)


def mlp_shapes(*sizes: int) -> Shapes:
    shapes: Shapes = {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        shapes[f"layer{i}.bias"] = (outputs,)
        shapes[f"layer{i}.weight"] = (inputs, outputs)
    return shapes


def gpt2_matrix_shapes(width: int = 768, layers: int = 12) -> Shapes:
    """The matrices inside the blocks, without the embeddings."""
    block = {
        "attn.c_attn": (width, 3 * width),
        "attn.c_proj": (width, width),
        "mlp.c_fc": (width, 4 * width),
        "mlp.c_proj": (4 * width, width),
    }
    return {
        f"h.{i:02}.{name}.weight": shape
        for i in range(layers)
        for name, shape in block.items()
    }


def gpt2_shapes(
    width: int = 768, layers: int = 12, vocabulary: int = 50257, context: int = 1024
) -> Shapes:
    matrices = gpt2_matrix_shapes(width, layers)
    biases = {
        name.replace(".weight", ".bias"): (outputs,)
        for name, (_, outputs) in matrices.items()
    }
    norms = [f"h.{i:02}.{name}" for i in range(layers) for name in ("ln_1", "ln_2")]
    scales = {
        f"{norm}.{part}": (width,)
        for norm in [*norms, "ln_f"]
        for part in ("bias", "weight")
    }
    embeddings = {"wpe.weight": (context, width), "wte.weight": (vocabulary, width)}
    return {**matrices, **biases, **scales, **embeddings}


def resnet50_shapes() -> Shapes:
    shapes: Shapes = {}

    def convolution(name: str, inputs: int, outputs: int, size: int) -> None:
        shapes[f"{name}.conv.weight"] = (outputs, inputs, size, size)
        shapes[f"{name}.norm.bias"] = shapes[f"{name}.norm.weight"] = (outputs,)

    convolution("stem", 3, 64, 7)
    channels = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for block in range(blocks):
            name = f"stage{stage}.block{block}"
            convolution(f"{name}.reduce", channels, width, 1)
            convolution(f"{name}.spatial", width, width, 3)
            convolution(f"{name}.expand", width, 4 * width, 1)
            if block == 0:
                convolution(f"{name}.shortcut", channels, 4 * width, 1)
            channels = 4 * width
    shapes["classifier.bias"] = (1000,)
    shapes["classifier.weight"] = (1000, channels)
    return shapes


def mixed_shapes(leaves: int, distinct: int = 40) -> Shapes:
    """Leaves of a few dozen shapes in random order: vectors and small matrices."""
    generator = np.random.default_rng(0)
    sides = generator.integers(3, 65, size=(distinct, 2)).tolist()
    kinds = [(rows,) if i % 3 == 0 else (rows, n) for i, (rows, n) in enumerate(sides)]
    return {
        f"leaf{i:05}": kinds[kind]
        for i, kind in enumerate(generator.integers(distinct, size=leaves))
    }


def equal_leaves(leaves: int, shape: tuple[int, ...] = (32, 32)) -> Workload:
    names = (f"leaf{i:05}" for i in range(leaves))
    title = f"{leaves:,} leaves of {'x'.join(map(str, shape))}"
    return Workload(f"leaves_{leaves}", title, dict.fromkeys(names, shape))


def in_ten_leaves(parameters: int) -> Workload:
    """A tree of ten vectors, for the growth with the number of parameters."""
    names = (f"leaf{i}" for i in range(10))
    shapes = dict.fromkeys(names, (parameters // 10,))
    return Workload(f"parameters_{parameters}", f"{parameters:.0e} parameters", shapes)


def _matrices(title: str, side: int, count: int) -> Workload:
    names = (f"leaf{i}" for i in range(count))
    return Workload("two_large", title, dict.fromkeys(names, (side, side)))


# Only the work around the arithmetic counts here: as many leaves as the network has,
# and next to nothing in them.
TINY = Workload("tiny", "6 leaves of 2x4", {f"leaf{i}": (2, 4) for i in range(6)})

WORKLOADS = {
    workload.name: workload
    for workload in (
        TINY,
        Workload("mlp", "MLP", mlp_shapes(784, 512, 512, 10)),
        Workload("gpt2", "GPT-2 small", gpt2_shapes()),
        Workload("gpt2_matrices", "GPT-2 small's matrices", gpt2_matrix_shapes()),
        equal_leaves(1000),
        Workload("mixed_1000", "1,000 mixed leaves", mixed_shapes(1000)),
        _matrices("2 leaves of 4096x4096", 4096, 2),
        Workload("resnet50", "ResNet-50", resnet50_shapes()),
    )
}
