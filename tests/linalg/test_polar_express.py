"""Polar Express: published coefficients, the authors' result, singular values."""

import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of

# Amsel et al., for any number of steps: 1.01 is applied where they are used.
PUBLISHED = [
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
]
# microsoft/dion and modded-nanogpt, which divide by 1.02 times the norm.
FIVE = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
]
START = [[1.0, -2.0, 0.5], [0.3, 0.7, -1.1]]
# Recorded from the authors' functions in float64.
KELLER = [
    [0.4668085274037934, -0.6046205161279858, -0.08293856195156613],
    [0.5295468519166382, 0.1389541922068176, -0.8871957048494632],
]
POLAR_EXPRESS = [
    [0.5570913822853871, -0.8283353634834987, 0.0036924208664670943],
    [0.505546750378454, 0.22678441392547366, -0.9374938504669074],
]


def test_the_published_coefficients():
    found = of.linalg.polar_express_coefficients(
        8, lower=1e-3, safety=0, cushion=0.02407327424182761
    )
    np.testing.assert_allclose(found[:6], PUBLISHED[:6], 0, 1e-13)
    # The interval is nearly a point, which they take for one in the end.
    np.testing.assert_allclose(found[6], PUBLISHED[6], 0, 1e-10)
    np.testing.assert_allclose(found[7], PUBLISHED[7], 0, 1e-8)


def test_those_for_five_steps():
    first, *others = of.linalg.polar_express_coefficients()
    powers = np.array([1.02, 1.02**3, 1.02**5])
    np.testing.assert_allclose([first * powers, *others], FIVE, 1e-13)


def test_the_authors_results(x64):
    start = jnp.asarray(START)
    norm = jnp.linalg.norm(start)
    # They add a number to the norm. Here it is a floor: this one, above the norm.
    found = of.linalg.orthogonalize(start, eps=norm + 1e-7, ns_dtype="float64")
    np.testing.assert_allclose(found, KELLER, 0, 1e-13)
    found = of.linalg.orthogonalize(
        start,
        ns_coefficients=of.linalg.polar_express_coefficients(),
        eps=norm + 1e-6 / 1.02,
        ns_dtype="float64",
    )
    np.testing.assert_allclose(found, POLAR_EXPRESS, 0, 1e-13)


def test_small_singular_values_end_nearer_to_one():
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    right, _ = np.linalg.qr(rng.normal(size=(30, 12)))
    matrix = jnp.asarray(left * np.geomspace(1, 3e-3, 12) @ right.T, jnp.float32)

    def error(**options):
        result = of.linalg.orthogonalize(matrix, ns_dtype="float32", **options)
        return np.abs(np.linalg.svd(result, compute_uv=False) - 1).max()

    keller = error()
    polar = error(ns_coefficients=of.linalg.polar_express_coefficients(5))
    seven = of.linalg.polar_express_coefficients(7)
    assert error(ns_coefficients=seven, ns_steps=7) < polar / 4 < keller / 4
    # The last triple serves for the rest.
    many = error(ns_coefficients=seven, ns_steps=9)
    assert many < 1e-3


@pytest.mark.parametrize("preconditioning", ["schatten", "aol"])
@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (2, 5, 5)])
def test_preconditionings_bound_the_norm_and_save_a_step(preconditioning, shape):
    matrices = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)

    def result(steps, **options):
        return of.linalg.orthogonalize(
            matrices, ns_steps=steps, ns_dtype="float32", **options
        )

    def largest(x):
        return np.linalg.svd(x, compute_uv=False).max()

    scaled = result(0, preconditioning=preconditioning)
    assert largest(result(0)) < largest(scaled) <= 1 + 1e-6
    found = result(4, preconditioning=preconditioning)
    values = np.linalg.svd(found, compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.3
    zeros = of.linalg.orthogonalize(0 * matrices, preconditioning=preconditioning)
    np.testing.assert_array_equal(zeros, 0)


def test_bad_arguments():
    with pytest.raises(ValueError, match="steps must be at least 1, found 0"):
        of.linalg.polar_express_coefficients(0)
    with pytest.raises(ValueError, match="lower must be above 0 and below 1, found 1"):
        of.linalg.polar_express_coefficients(lower=1)
    matrix = jnp.ones((2, 3))
    with pytest.raises(ValueError, match=r"6 triples, .* use ns_steps=6"):
        of.linalg.orthogonalize(
            matrix, ns_coefficients=of.linalg.polar_express_coefficients(6)
        )
    with pytest.raises(ValueError, match="a tuple of such triples, found"):
        of.linalg.orthogonalize(matrix, ns_coefficients=((1.0, 2.0), (3.0, 4.0)))
    with pytest.raises(ValueError, match="preconditioning must be one of"):
        of.linalg.orthogonalize(matrix, preconditioning="qr")
