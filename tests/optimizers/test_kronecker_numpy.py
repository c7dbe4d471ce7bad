"""Options of Shampoo, Kron, CAME, AdaLomo against NumPy in float64, over 20 steps."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

pytestmark = pytest.mark.slow

SHAPES = {"matrix": (4, 3), "tensor": (2, 3, 4), "vector": (5,), "scalar": ()}
STEPS = 20


def sequences(count=STEPS):
    rng = np.random.default_rng(0)
    return [{k: rng.normal(size=s) for k, s in SHAPES.items()} for _ in range(count)]


GRADS, PROBES = sequences(), sequences(2 * STEPS)[STEPS:]


def run(tx, **trees):
    """The sum of the updates; ``trees`` are extra arguments, one for each step."""
    params = jax.tree.map(jnp.zeros_like, jax.tree.map(jnp.asarray, GRADS[0]))
    step = jax.jit(lambda g, s, extra: tx.update(g, s, params, **extra))
    state, total = tx.init(params), params
    for i, grads in enumerate(GRADS):
        extra = {name: tree[i] for name, tree in trees.items()}
        updates, state = step(grads, state, extra)
        total = jax.tree.map(jnp.add, total, updates)
    return total


def multiplied(x, matrices):
    for axis, matrix in enumerate(matrices):
        x = np.moveaxis(np.tensordot(x, matrix, axes=(axis, 0)), -1, axis)
    return x


def product(x, axis):
    flat = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    return flat @ flat.T


# --- Shampoo --------------------------------------------------------------------------


def grafted(name, mean, squares, t, beta2, eps):
    if name == "sgd":
        return mean
    correction = 1 - beta2**t if name == "adam" else 1
    return mean / (np.sqrt(squares / correction) + eps)


def shampoo(
    grads,
    shape,
    betas=(0.9, 1.0),
    eps=1e-3,
    beta3=None,
    largest=1024,
    frequency=1,
    start=None,
    corrects=True,
    grafting=None,
    beta2=0.999,
    corrected=False,
):
    beta3 = betas[0] if beta3 is None else beta3
    start = start or frequency
    sides = [[slice(i, i + largest) for i in range(0, n, largest)] for n in shape]
    blocks = list(itertools.product(*sides))
    factors, roots, averages = {}, {}, {}
    m = squares = total = np.zeros(shape)
    for t, grad in enumerate(grads, 1):
        g = grad.reshape(shape)
        mean = beta3 * m + (1 - beta3) * g
        m = betas[0] * m + (1 - betas[0]) * g
        if corrects:
            mean = mean / (1 - beta3 * betas[0] ** (t - 1))
        kept = beta2 if grafting in ("adam", "rmsprop") else 1
        squares = kept * squares + (1 - kept if kept < 1 else 1) * g * g
        u = np.zeros(shape)
        for number, block in enumerate(blocks):
            weight = 1 if betas[1] == 1 else 1 - betas[1]
            c = 1 - betas[1] ** t if corrects and betas[1] < 1 else 1
            new = [product(g[block], i) for i in range(len(shape))]
            old = factors.get(number, [0] * len(shape))
            pairs = zip(old, new, strict=True)
            factors[number] = [betas[1] * x + weight * y for x, y in pairs]
            if t == start or (t > start and t % frequency == 0):
                roots[number] = []
                for factor in factors[number]:
                    values, vectors = np.linalg.eigh(factor / c)
                    values = values - min(values[0], 0) + eps
                    power = -1 / (2 * len(shape))
                    root = vectors * values**power @ vectors.T
                    roots[number].append(vectors if corrected else root)
            x = mean[block]
            d = multiplied(x, roots[number]) if number in roots else x
            if corrected:
                bases = roots.get(number, [np.eye(n) for n in x.shape])
                squares_there = multiplied(g[block], bases) ** 2
                old = averages.get(number, 0)
                averages[number] = betas[1] * old + weight * squares_there
                quotient = multiplied(x, bases) / (np.sqrt(averages[number] / c) + eps)
                d = multiplied(quotient, [basis.T for basis in bases])
            if grafting is not None:
                graft = grafted(grafting, mean, squares, t, beta2, 1e-8)[block]
                d = d * np.linalg.norm(graft) / np.linalg.norm(d)
                d = graft if t < start else d
            u[block] = d
        total = total - u
    return total


@pytest.mark.parametrize(
    ("options", "restated", "shapes"),
    [
        ({}, {}, {"matrix": (12,), "tensor": (24,)}),
        (
            {"betas": (0.8, 0.9), "max_preconditioner_dim": 3, "beta3": 0.5},
            {"betas": (0.8, 0.9), "largest": 3, "beta3": 0.5},
            {},
        ),
        (
            {
                "target_parameter_dimensionality": 2,
                "precondition_frequency": 3,
                "start_preconditioning_step": 5,
                "grafting": "adam",
            },
            {"frequency": 3, "start": 5, "grafting": "adam"},
            {"tensor": (6, 4)},
        ),
        (
            {
                "betas": (0.9, 0.99),
                "use_bias_correction": False,
                "max_preconditioner_dim": 2,
                "grafting": "rmsprop",
                "grafting_beta2": 0.9,
            },
            {
                "betas": (0.9, 0.99),
                "corrects": False,
                "largest": 2,
                "grafting": "rmsprop",
                "beta2": 0.9,
            },
            {},
        ),
        ({"grafting": "sgd"}, {"grafting": "sgd"}, {"matrix": (12,), "tensor": (24,)}),
        (
            {"grafting": "adagrad", "precondition_frequency": 2},
            {"grafting": "adagrad", "frequency": 2},
            {"matrix": (12,), "tensor": (24,)},
        ),
        # From five steps on the factors have full rank: no basis is arbitrary.
        (
            {
                "betas": (0.8, 0.9),
                "max_preconditioner_dim": 3,
                "precondition_frequency": 4,
                "start_preconditioning_step": 5,
                "eigenvalue_corrected": True,
            },
            {
                "betas": (0.8, 0.9),
                "largest": 3,
                "frequency": 4,
                "start": 5,
                "corrected": True,
            },
            {},
        ),
        (
            {
                "max_preconditioner_dim": 5,
                "precondition_frequency": 6,
                "target_parameter_dimensionality": 3,
                "grafting": "adam",
                "eigenvalue_corrected": True,
            },
            {"largest": 5, "frequency": 6, "grafting": "adam", "corrected": True},
            {},
        ),
    ],
)
def test_shampoo(options, restated, shapes, x64):
    found = run(of.shampoo(1.0, eps=1e-3, **options))
    for name, shape in SHAPES.items():
        expected = shampoo(
            [g[name] for g in GRADS], shapes.get(name, shape or (1,)), **restated
        ).reshape(shape)
        np.testing.assert_allclose(found[name], expected, 0, 1e-9, err_msg=name)


# --- Kron -----------------------------------------------------------------------------


def full(q):
    return np.diag(q) if q.ndim == 1 else q


def kron(
    grads, probes, shape, triangular, beta1=0.9, rate=0.1, scale=1.0, every=1, fit="m"
):
    count = len(shape)
    factors = [
        scale ** (1 / count) * (np.eye(n) if is_full else np.ones(n))
        for n, is_full in zip(shape, triangular, strict=True)
    ]
    m, total = 0, np.zeros(shape)
    for t, (grad, probe) in enumerate(zip(grads, probes, strict=True), 1):
        g, v = grad.reshape(shape), probe.reshape(shape)
        m = beta1 * m + (1 - beta1) * g
        x = m / (1 - beta1**t)
        if t % every == 0:
            noisy = x if fit == "m" else g
            noisy = noisy + np.sqrt(1.1920928955078125e-07) * np.abs(noisy).mean() * v
            x = noisy if fit == "m" else x
            seen = multiplied(noisy, [full(q).T for q in factors])
            wanted = multiplied(v, [np.linalg.inv(full(q)) for q in factors])
            new = []
            for axis, q in enumerate(factors):
                a, b = product(seen, axis), product(wanted, axis)
                if q.ndim == 1:
                    a, b = np.diag(a), np.diag(b)
                    new.append(q - rate * (a - b) * q / np.abs(a + b).max())
                    continue
                s = a + b
                column = s[:, np.argmax((s * s).sum(0))]
                y = column @ s
                bound = np.linalg.norm(s @ (y / np.linalg.norm(y)))
                new.append(q - np.triu(rate * (a - b)) @ q / bound)
            factors = new
        u = multiplied(x, [full(q).T @ full(q) for q in factors])
        total = total - u * min(1, 1.1 / np.sqrt(np.mean(u * u)))
    return total


@pytest.mark.parametrize(
    ("options", "restated", "views"),
    [
        ({}, {}, {"tensor": ((6, 4), "tt")}),
        (
            {"merge_dims": False, "memory_save_mode": "one_diag", "precond_lr": 0.3},
            {"rate": 0.3},
            {"matrix": ((4, 3), "dt"), "tensor": ((2, 3, 4), "ttd")},
        ),
        (
            {"memory_save_mode": "smart_one_diag", "min_ndim_triangular": 1},
            {},
            # The only axis of a vector is no longer than another.
            {
                "matrix": ((4, 3), "dt"),
                "tensor": ((6, 4), "dt"),
                "vector": ((5,), "t"),
            },
        ),
        (
            {"memory_save_mode": "all_diag", "beta1": 0.5, "precond_init_scale": 0.5},
            {"beta1": 0.5, "scale": 0.5},
            {"matrix": ((4, 3), "dd"), "tensor": ((6, 4), "dd")},
        ),
        (
            {
                "max_size_triangular": 3,
                "preconditioner_update_probability": 0.5,
                "momentum_into_precond_update": False,
            },
            {"every": 2, "fit": "g"},
            {"matrix": ((4, 3), "dt"), "tensor": ((6, 4), "dd")},
        ),
    ],
)
def test_kron(options, restated, views, x64):
    found = run(of.kron(1.0, **options), probes=PROBES)
    for name, shape in SHAPES.items():
        view = shape or (1,)
        view, kinds = views.get(name, (view, "t" if len(view) > 1 else "d"))
        kinds = kinds * len(view) if len(kinds) < len(view) else kinds
        columns = ([tree[name] for tree in trees] for trees in (GRADS, PROBES))
        expected = kron(*columns, view, [k == "t" for k in kinds], **restated)
        np.testing.assert_allclose(
            found[name], expected.reshape(shape), 0, 1e-9, err_msg=name
        )


def test_kron_draws_its_noise_from_the_state():
    params = {"w": jnp.asarray(GRADS[0]["matrix"], jnp.float32)}

    def first(tx):
        return tx.update(params, tx.init(params), params)[0]["w"]

    np.testing.assert_array_equal(first(of.kron()), first(of.kron(seed=0)))
    assert np.any(first(of.kron()) != first(of.kron(seed=1)))
    # As probes that are given.
    key = jax.random.key(0, impl="threefry2x32")
    (key,) = jax.random.split(jax.random.fold_in(key, 0), 1)
    probes = {"w": jax.random.normal(key, (4, 3), jnp.float32)}
    tx = of.kron()
    given, _ = tx.update(params, tx.init(params), params, probes=probes)
    np.testing.assert_allclose(given["w"], first(tx), 1e-5)
    with pytest.raises(ValueError, match="probes must have the structure of updates"):
        tx.update(params, tx.init(params), params, probes={})


def test_the_factors_of_kron_are_updated_ever_less():
    params = {"w": jnp.asarray(GRADS[0]["matrix"], jnp.float32)}
    tx = of.scale_by_kron()

    @jax.jit
    def counters(step):
        state = tx.init(params)._replace(step=step)

        def next_counter(state, _):
            _, state = tx.update(params, state)
            return state, state.update_counter

        return jax.lax.scan(next_counter, state, None, 100)[1]

    shares = [float(jnp.mean(counters(jnp.int32(n)) == 0)) for n in (0, 1200, 10**5)]
    assert shares[0] == 1
    # At 1200 to 1300 steps the probability is near 1/2, which is every third step
    # once it is below; in the end every 34th.
    assert shares[1] == pytest.approx(0.4, abs=0.1)
    assert shares[2] == pytest.approx(0.02)


# --- CAME -----------------------------------------------------------------------------


def came(grads, betas=(0.9, 0.999, 0.9999), eps=(1e-30, 1e-16), threshold=1.0):
    shape = grads[0].shape
    row = column = residual_row = residual_column = v = m = 0
    total = np.zeros(shape)

    def root(row, column):
        mean = row.mean(-1, keepdims=True)
        return np.sqrt((row / mean)[..., None] * column[..., None, :])

    for g in grads:
        s = g * g + eps[0]
        if g.ndim > 1:
            row = betas[1] * row + (1 - betas[1]) * s.mean(-1)
            column = betas[1] * column + (1 - betas[1]) * s.mean(-2)
            d = g / root(row, column)
        else:
            v = betas[1] * v + (1 - betas[1]) * s
            d = g / np.sqrt(v)
        d = d / max(1, np.sqrt(np.mean(d * d)) / threshold)
        m = betas[0] * m + (1 - betas[0]) * d
        u = m
        if g.ndim > 1:
            e = (d - m) ** 2 + eps[1]
            residual_row = betas[2] * residual_row + (1 - betas[2]) * e.mean(-1)
            residual_column = betas[2] * residual_column + (1 - betas[2]) * e.mean(-2)
            u = m / root(residual_row, residual_column)
        total = total - u
    return total


@pytest.mark.parametrize(
    "options", [{}, {"betas": (0.5, 0.9, 0.8), "eps": (1e-3, 1e-2)}]
)
def test_came(options, x64):
    found = run(of.came(1.0, clip_threshold=0.8, **options))
    for name in SHAPES:
        expected = came([g[name] for g in GRADS], threshold=0.8, **options)
        np.testing.assert_allclose(found[name], expected, 1e-9, 1e-9, err_msg=name)


# --- AdaLomo --------------------------------------------------------------------------


def adalomo(grads, start, eps, threshold, power, decay):
    p, row, column, v = start, 0, 0, 0
    for t, g in enumerate(grads, 1):
        w, s = t**power, g * g + eps[0]
        if g.ndim > 1:
            row = (1 - w) * row + w * s.mean(-1)
            column = (1 - w) * column + w * s.mean(-2)
            mean = row.mean(-1, keepdims=True)
            v = (row / mean)[..., None] * column[..., None, :]
        else:
            v = (1 - w) * v + w * s
        d = g / np.sqrt(v)
        d = d / max(1, np.sqrt(np.mean(d * d)) / threshold)
        p = p - 0.1 * max(eps[1], np.sqrt(np.mean(p * p))) * (d + decay * p)
    return p


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_adalomo(scale, x64):
    tx = of.adalomo(0.1, (1e-3, 1e-2), 0.8, -0.6, 0.1)
    params = begin = jax.tree.map(lambda g: scale * jnp.asarray(g), PROBES[0])
    state, update = tx.init(params), jax.jit(tx.update)
    for grads in GRADS:
        updates, state = update(jax.tree.map(jnp.asarray, grads), state, params)
        params = of.apply_updates(params, updates)
    for name in SHAPES:
        grads, start = [g[name] for g in GRADS], np.asarray(begin[name])
        expected = adalomo(grads, start, (1e-3, 1e-2), 0.8, -0.6, 0.1)
        np.testing.assert_allclose(params[name], expected, 1e-9, 1e-9, err_msg=name)
