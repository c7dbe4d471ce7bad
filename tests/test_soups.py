"""Model soups against NumPy in float64, and a greedy soup by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of


def models(count, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    return [
        {
            "w": jnp.asarray(rng.normal(size=(3, 2)), dtype),
            "b": [jnp.asarray(rng.normal(), dtype), None],
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_uniform_soup_is_the_mean(count):
    given = models(count)
    found = of.uniform_soup(given)
    expected = np.mean([np.float64(m["w"]) for m in given], 0)
    # Seven roundings of float32 at most.
    np.testing.assert_allclose(found["w"], expected, rtol=1e-6, atol=1e-6)
    assert found["b"][1] is None
    if count == 1:
        np.testing.assert_array_equal(found["w"], given[0]["w"])


def test_narrow_models_are_summed_wide_and_rounded_once():
    given = [jnp.full(2, x, jnp.bfloat16) for x in (256.0, 1.0, 1.0, 2.0)]
    found = of.uniform_soup(given)
    assert found.dtype == jnp.bfloat16
    # In bfloat16, 256 + 1 is 256.
    np.testing.assert_array_equal(found.astype(jnp.float32), 260 / 4)


def by_definition(values, score):
    """The recipe for models of one number, in float64."""
    order = sorted(range(len(values)), key=lambda i: -score(values[i]))
    kept = order[:1]
    for i in order[1:]:
        mean = np.mean([values[j] for j in kept])
        if score(np.mean([values[j] for j in (*kept, i)])) >= score(mean):
            kept.append(i)
    return kept


def test_the_greedy_soup_keeps_what_helps():
    rng = np.random.default_rng(3)
    values = [float(x) for x in rng.normal(0.4, 1, 12)]
    calls = []

    def score(params):
        calls.append(params)
        return -((params["w"] - 0.3) ** 2)

    given = [{"w": jnp.asarray(x)} for x in values]
    soup, kept = of.greedy_soup(given, score)
    expected = by_definition(values, lambda x: -((x - 0.3) ** 2))
    assert kept == tuple(expected)
    assert 2 < len(kept) < 12
    np.testing.assert_allclose(soup["w"], np.mean([values[i] for i in kept]), rtol=1e-6)
    assert len(calls) == 12 + 11
    # Scores that are known already are not computed again.
    scores = [float(score(model)) for model in given]
    calls.clear()
    again, same = of.greedy_soup(given, score, scores)
    assert same == kept
    assert again["w"] == soup["w"]
    assert len(calls) == 11


def test_the_greedy_soup_is_at_least_as_good_as_the_best_model():
    """Of a score with several maxima: the mean of the two best models is the worst."""
    given = [jnp.asarray(x) for x in (-1.0, 1.0, 0.9)]
    soup, kept = of.greedy_soup(given, lambda x: -((x**2 - 1) ** 2))
    # Of two equal ones the first is tried first.
    assert kept == (0,)
    assert soup == -1.0


def test_a_model_that_changes_nothing_is_kept():
    """As in the paper's recipe, which keeps what is at least as good."""
    given = [jnp.asarray(x) for x in (1.0, 1.0, 2.0)]
    soup, kept = of.greedy_soup(given, lambda x: -(x**2))
    assert kept == (0, 1)
    assert soup == 1.0


def test_scores_that_are_nan_are_the_worst():
    given = [jnp.asarray(x) for x in (1.0, 2.0, 4.0)]

    def score(x):
        return jnp.where(x == 2.0, jnp.nan, jnp.where(x == 2.5, jnp.nan, x))

    soup, kept = of.greedy_soup(given, score)
    # 4, then (4 + 1) / 2, which is NaN, then (4 + 2) / 2, which is less.
    assert kept == (2,)
    assert soup == 4.0
    with pytest.raises(ValueError, match="the score of every model is NaN"):
        of.greedy_soup(given, lambda x: float("nan"))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: of.uniform_soup([]), "models must hold at least one tree"),
        (lambda: of.greedy_soup([], float), "models must hold at least one tree"),
        (
            lambda: of.uniform_soup([{"a": jnp.ones(2)}, {"a": jnp.ones(3)}]),
            r"models\[1\] and models\[0\] differ in shape at 'a'",
        ),
        (
            lambda: of.uniform_soup([{"a": jnp.ones(2)}, {"b": jnp.ones(2)}]),
            "no leaf at 'b'",
        ),
        (
            lambda: of.uniform_soup([{"n": jnp.arange(2)}]),
            r"models\[0\] must be floating point or complex, found int32 at 'n'",
        ),
        (
            lambda: of.greedy_soup([jnp.ones(2)], float, [1.0, 2.0]),
            "scores must have one number for each model, found 2 for 1 models",
        ),
    ],
)
def test_bad_input(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
