"""Adam-mini: recorded runs of the authors' package, NumPy, and blocks by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

from .authors import assert_follows


class in_rows_of_two:
    """A transformation of the same elements as a matrix with two columns."""

    def __init__(self, inner):
        self.inner = inner

    def init(self, params):
        return self.inner.init(params.reshape(-1, 2))

    def update(self, updates, state, params=None):
        shape = updates.shape
        updates, params = updates.reshape(-1, 2), params.reshape(-1, 2)
        updates, state = self.inner.update(updates, state, params)
        return updates.reshape(shape), state


def mini(blocks):
    return of.adam_mini(0.1, weight_decay=0.01, blocks=blocks)


def test_recorded_runs(x64):
    assert_follows("adam_mini_rows", mini(lambda path, p: (p.shape[0], 1)))
    assert_follows("adam_mini_whole", mini(lambda path, p: (1, 1)))
    # The default is JAX's layout; with torch's it is the authors'.
    assert_follows(
        "adam_mini_rows", of.adam_mini(0.1, weight_decay=0.01), transposed=True
    )
    assert_follows(
        "adam_mini_rows", of.adam_mini(0.1, weight_decay=0.01, output_axis=0)
    )
    # The recorded heads are of two elements, one after another in memory.
    heads = in_rows_of_two(mini(lambda path, p: (p.shape[0], 1)))
    assert_follows("adam_mini_heads", of.as_transformation(heads))


SHAPES = {"matrix": (4, 6), "kernel": (2, 3, 4), "vector": (5,), "scalar": ()}
BLOCKS = {"matrix": (2, 3), "kernel": (1, 3, 2), "vector": (5,), "scalar": ()}


def restated(grads, blocks, lr=0.1, betas=(0.8, 0.9), eps=1e-3):
    """In NumPy, block by block."""
    param = np.zeros(grads[0].shape)
    m, v = np.zeros(param.shape), np.zeros(blocks)
    for t, g in enumerate(grads, 1):
        m = betas[0] * m + (1 - betas[0]) * g
        root = np.ones(param.shape)
        for index in np.ndindex(*blocks):
            sizes = [n // b for n, b in zip(param.shape, blocks, strict=True)]
            part = tuple(
                slice(i * s, (i + 1) * s) for i, s in zip(index, sizes, strict=True)
            )
            v[index] = betas[1] * v[index] + (1 - betas[1]) * np.mean(g[part] ** 2)
            root[part] = np.sqrt(v[index] / (1 - betas[1] ** t)) + eps
        param = param - lr * m / (1 - betas[0] ** t) / root
    return param, v


def test_blocks_of_any_form_against_numpy(x64):
    rng = np.random.default_rng(0)
    grads = {k: rng.normal(size=(20, *shape)) for k, shape in SHAPES.items()}
    tx = of.adam_mini(
        0.1, betas=(0.8, 0.9), eps=1e-3, blocks=lambda path, leaf: BLOCKS[path]
    )
    params = {k: jnp.zeros(shape) for k, shape in SHAPES.items()}

    def step(carry, grads):
        params, state = carry
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    start = (params, tx.init(params))
    (params, state), _ = jax.lax.scan(step, start, jax.tree.map(jnp.asarray, grads))
    squares = of.find_in_state(state, "exp_avg_sq")
    for name, blocks in BLOCKS.items():
        expected, v = restated(grads[name], blocks)
        np.testing.assert_allclose(params[name], expected, 0, 1e-12)
        np.testing.assert_allclose(squares[name], v, 1e-12)


def blocks_by_default(params, **options):
    state = of.scale_by_adam_mini(**options).init(params)
    return {name: leaf.shape for name, leaf in state.exp_avg_sq.items()}


def test_blocks_by_name():
    shapes = {
        "q_proj.kernel": (6, 8),
        "wk": (6, 8),
        "mlp": (6, 8),
        "conv": (3, 3, 2, 5),
    }
    shapes |= {"tok_embed": (10, 6), "norm.scale": (6,), "norm.bias": (6,), "gate": ()}
    params = {name: jnp.zeros(shape) for name, shape in shapes.items()}
    others = {"mlp": (1, 8), "conv": (1, 1, 1, 5), "tok_embed": (10, 1)}
    others |= {"norm.scale": (1,), "norm.bias": (6,), "gate": ()}
    assert blocks_by_default(params) == {
        "q_proj.kernel": (1, 8),
        "wk": (1, 8),
        **others,
    }
    found = blocks_by_default(params, n_heads=4)
    assert found == {"q_proj.kernel": (1, 4), "wk": (1, 4), **others}
    found = blocks_by_default(params, n_heads=4, n_kv_heads=2)
    assert found == {"q_proj.kernel": (1, 4), "wk": (1, 2), **others}
    found = blocks_by_default(params, n_heads=3, output_axis=0)
    assert (found["wk"], found["mlp"], found["conv"]) == ((3, 1), (6, 1), (3, 1, 1, 1))


def test_it_keeps_half_the_state_of_adam():
    params = {"w": jnp.zeros((64, 64)), "bias": jnp.zeros(64)}
    kept, adam = (
        sum(x.size for x in jax.tree.leaves(tx.init(params)))
        for tx in (of.adam_mini(), of.adamw())
    )
    assert adam == 2 * (64 * 64 + 64) + 1
    # A second moment for each of 64 outputs and for each element of the bias.
    assert kept == (64 * 64 + 64) + (64 + 64) + 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"blocks": (1, 2)}, TypeError, r"blocks must be a function of \(path, leaf\)"),
        ({"n_heads": 0}, ValueError, "n_heads must be at least 1, found 0"),
        ({"n_kv_heads": 1.5}, TypeError, "n_kv_heads must be an integer, found 1.5"),
        ({"eps": -1.0}, ValueError, "eps must be at least 0"),
        ({"betas": (0.9, 1.0)}, ValueError, r"betas\[1\] must be .* below 1"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        of.adam_mini(**arguments)


def test_blocks_that_do_not_fit():
    params = {"query": jnp.zeros((4, 6))}
    with pytest.raises(
        ValueError, match=r"'query' must divide .*\(4, 6\), found \(1, 4"
    ):
        of.adam_mini(n_heads=4).init(params)
    with pytest.raises(ValueError, match=r"found \(2,\)"):
        of.adam_mini(blocks=lambda path, leaf: (2,)).init(params)
    with pytest.raises(ValueError, match="output_axis is 2, which 'query' of shape"):
        of.adam_mini(output_axis=2).init(params)
    with pytest.raises(TypeError, match="takes only real floating-point param"):
        of.adam_mini().init({"w": jnp.zeros(3, "complex64")})
