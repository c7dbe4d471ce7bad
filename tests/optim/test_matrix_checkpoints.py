"""Stateful optimizers of matrices: checkpoints in their authors' form, and our own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

SHAPES = [(4, 3), (3, 5)]


def numbers(*shape):
    return np.random.default_rng(0).uniform(0.1, 1.0, size=shape).astype("float32")


def params():
    return [jnp.asarray(numbers(*shape)) for shape in SHAPES]


# For each class the state of a parameter and the options of a group, by the authors.
AUTHORS = {
    # Of Keller Jordan's class, whose groups have nothing but this.
    "Muon": (
        lambda rows, columns: {"momentum_buffer": numbers(rows, columns)},
        {"lr": 0.02, "weight_decay": 0.0, "momentum": 0.95},
        {},
    ),
    "NorMuon": (
        lambda rows, columns: {
            "momentum_buffer": numbers(rows, columns),
            "second_momentum_buffer": numbers(rows, 1),
        },
        {"lr": 0.02, "weight_decay": 0.0, "momentum": 0.95, "beta2": 0.95},
        {"output_axis": 0},
    ),
    "Scion": (
        lambda rows, columns: {"momentum_buffer": numbers(rows, columns)},
        {
            "lr": 1e-3,
            "momentum": 0.1,
            "norm": "Spectral",
            "norm_kwargs": {},
            "scale": 50.0,
            "unconstrained": False,
        },
        {"output_axis": 0},
    ),
    "CAME": (
        lambda rows, columns: {
            "step": 3,
            "RMS": 0.5,
            "exp_avg": numbers(rows, columns),
            "exp_avg_sq_row": numbers(rows),
            "exp_avg_sq_col": numbers(columns),
            "exp_avg_res_row": numbers(rows),
            "exp_avg_res_col": numbers(columns),
        },
        {
            "lr": 2e-4,
            "eps": (1e-30, 1e-16),
            "clip_threshold": 1.0,
            "betas": (0.9, 0.999, 0.9999),
            "weight_decay": 0.0,
        },
        {},
    ),
}


@pytest.mark.parametrize("name", AUTHORS)
def test_a_checkpoint_of_the_authors_class(name):
    state, options, ours = AUTHORS[name]
    entries = {i: state(*shape) for i, shape in enumerate(SHAPES)}
    group = {**options, "params": [0, 1]}
    optimizer = getattr(of.optim, name)(params(), lr=1.0, **ours)
    optimizer.load_state_dict({"state": entries, "param_groups": [group]})
    found = optimizer.state_dict()
    for key, value in options.items():
        assert found["param_groups"][0][key] == value, key
    for key, value in ours.items():
        assert found["param_groups"][0][key] == value, key
    unread = {"step", "RMS"}
    for i, entry in entries.items():
        for key in entry.keys() - unread:
            np.testing.assert_array_equal(found["state"][i][key], entry[key])
    before = optimizer.params
    optimizer.step(grads=params())
    assert all(jnp.any(x != y) for x, y in zip(before, optimizer.params, strict=True))


@pytest.mark.parametrize(
    "name",
    [
        "NorMuon",
        "AdaMuon",
        "SOAP",
        "Dion",
        "Scion",
        "Shampoo",
        "Kron",
        "CAME",
        "AdaLomo",
    ],
)
def test_continuing_from_an_own_checkpoint(name):
    build = getattr(of.optim, name)
    optimizer = build(params(), lr=0.01)
    for _ in range(2):
        optimizer.step(grads=optimizer.params)
    other = build(optimizer.params)
    other.load_state_dict(optimizer.state_dict())
    for _ in range(2):
        for each in (optimizer, other):
            each.step(grads=each.params)
    jax.tree.map(np.testing.assert_array_equal, other.params, optimizer.params)


def test_options_that_torch_lacks_are_given_to_muon_in_a_group():
    (kernel, *_), options = params(), {"output_axis": -1, "bias_correction": True}
    optimizer = of.optim.Muon([{"params": kernel, **options}], lr=0.1)
    optimizer.step(grads=[kernel])
    tx = of.muon(0.1, **options)
    updates, _ = tx.update(kernel, tx.init(kernel), kernel)
    expected = of.apply_updates(kernel, updates)
    np.testing.assert_allclose(optimizer.params[0], expected, 1e-6)
    assert optimizer.state_dict()["param_groups"][0]["output_axis"] == -1
