"""The trees are those of the networks they are named after."""

import math

import pytest

from benchmarks.networks import NETWORKS
from benchmarks.workloads import WORKLOADS, in_ten_leaves


@pytest.mark.parametrize(
    ("name", "leaves", "parameters"),
    [
        ("mlp", 6, 669_706),
        # Of the published networks: GPT-2 small with its output tied to the embedding.
        ("gpt2", 148, 124_439_808),
        ("resnet50", 161, 25_557_032),
        ("gpt2_matrices", 48, 12 * 12 * 768**2),
        ("leaves_1000", 1000, 1000 * 32**2),
        ("two_large", 2, 2 * 4096**2),
    ],
)
def test_the_tree_has_the_network_s_parameters(name, leaves, parameters):
    assert (WORKLOADS[name].leaves, WORKLOADS[name].parameters) == (leaves, parameters)


def test_mixed_leaves_have_a_few_dozen_shapes():
    shapes = WORKLOADS["mixed_1000"].shapes
    assert len(shapes) == 1000
    assert 24 <= len(set(shapes.values())) <= 60
    assert {len(shape) for shape in shapes.values()} == {1, 2}


def test_networks_to_train_have_the_right_parameters():
    sizes = {
        name: sum(map(math.prod, network.shapes.values()))
        for name, network in NETWORKS.items()
    }
    # LeNet-5 on three channels, layer by layer.
    lenet = (75 * 6 + 6) + (150 * 16 + 16) + 401 * 120 + 121 * 84 + 85 * 10
    assert sizes == {"mlp": WORKLOADS["mlp"].parameters, "lenet": lenet}


def test_arrays_are_seeded():
    workload = in_ten_leaves(100)
    once, again, grads = workload.params(), workload.params(), workload.grads()
    assert all((once[name] == again[name]).all() for name in workload.shapes)
    assert not any((once[name] == grads[name]).any() for name in workload.shapes)
    assert {p.shape for p in once.values()} == {(10,)}
