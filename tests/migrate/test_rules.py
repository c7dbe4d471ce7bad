"""Each rule against the installed optax: what is written computes the same."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc.compat.optax as compat
from optifunc.migrate import _rules as rules
from optifunc.migrate._calls import _Binding
from optifunc.migrate._rewriting import rewritten

PARAMS = {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([0.1, 2.0])}
GRADS = [
    jax.tree.map(lambda p, n=n: jnp.sin(3 * p + n) * (n + 1), PARAMS) for n in range(4)
]
MASK = {"kernel": True, "bias": False}
LABELS = {"kernel": "train", "bias": "freeze"}

# An argument for each of optax's parameters that a rule has, other than its default.
ARGUMENTS = {
    "learning_rate": "0.03",
    "b1": "0.8",
    "b2": "0.95",
    "rho": "0.8",
    "decay": "0.7",
    "beta": "0.8",
    "momentum": "0.6",
    "nesterov": "True",
    "eps": "1e-3",
    "eps_root": "1e-4",
    "eps_in_sqrt": "False",
    "centered": "True",
    "bias_correction": "True",
    "initial_scale": "0.3",
    "initial_accumulator_value": "0.2",
    "weight_decay": "0.2",
    "mask": "MASK",
    "weight_decay_mask": "MASK",
    "debias": "False",
    "accumulator_dtype": '"float32"',
    "scale_factor": "2.0",
    "min_norm": "0.1",
    "trust_coefficient": "0.5",
    "clipping": "0.1",
    "axis": "0",
    "max_delta": "0.4",
    "threshold": "0.3",
    "max_norm": "0.5",
    "step_size": "0.3",
    "step_size_fn": "lambda step: 0.5 / (step + 1)",
    "inner": "optax.adam(0.1)",
    "optimizer": "optax.adam(0.1)",
    "transforms": '{"train": optax.sgd(0.1), "freeze": optax.set_to_zero()}',
    "param_labels": "LABELS",
    "freeze_mask": "MASK",
    # schedules
    "value": "0.3",
    "init_value": "0.01",
    "end_value": "0.002",
    "peak_value": "0.1",
    "transition_steps": "6",
    "warmup_steps": "3",
    "decay_steps": "9",
    "decay_rate": "1 - 0.2",
    "power": "2.0",
    "alpha": "0.2",
    "exponent": "1.5",
    "pct_start": "0.4",
    "pct_final": "0.9",
    "div_factor": "10.0",
    "final_div_factor": "50.0",
    "schedules": "[optax.constant_schedule(0.1), optax.linear_schedule(0.2, 0.0, 4)]",
    "boundaries": "[3]",
    # losses
    "predictions": "jnp.array([0.3, -2.0])",
    "targets": "jnp.array([0.1, 1.0])",
    "logits": "jnp.array([0.3, -2.0])",
    "labels": "jnp.array([0.1, 1.0])",
    "delta": "0.5",
}


def covered(rule, name):
    """optax's parameters that a rule has."""
    if isinstance(rule, rules.Same):
        return []
    call = rule.call if isinstance(rule, rules.Scaled) else rule
    binding = _Binding(name, [])
    templates = [*call.positional, *call.keywords.values()]
    return list(dict.fromkeys(n for t in templates for n in binding._names(t)))


def calls(names):
    """For each rule a call with what it must have, and one with all that it has."""
    for name in names:
        signature = inspect.signature(getattr(compat, name)).parameters
        for i, rule in enumerate(rules.RULES[name]):
            known = covered(rule, name)
            needed = getattr(rule, "call", rule)
            required = [
                n
                for n in known
                if signature[n].default is inspect._empty
                or (signature[n].default is None and n in needed.positional)
            ]
            if i:  # what the rules before do not cover
                before = {n for r in rules.RULES[name][:i] for n in covered(r, name)}
                required += [n for n in known if n not in before and n not in required]
            for given in dict.fromkeys((tuple(required), tuple(known))):
                arguments = ", ".join(f"{n}={ARGUMENTS[n]}" for n in given)
                yield f"optax.{name}({arguments})"


def both(expression):
    """The values of an expression of optax and of what is written for it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        source = f"import optax\nresult = {expression}\n"
        changed = rewritten(source)
        assert "optax" not in changed.replace('timing="optax"', "")
        values = []
        for program in (source, changed):
            scope = {"MASK": MASK, "LABELS": LABELS, "jnp": jnp}
            exec(program, scope)
            values.append(scope["result"])
        return values


def agree(ours, theirs, **tolerance):
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert theirs
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


def updates(tx):
    state, found = tx.init(PARAMS), []
    for grads in GRADS:
        step, state = tx.update(grads, state, PARAMS)
        found.append(step)
    return found


TRANSFORMATIONS = [
    *rules.OPTIMIZERS,
    *rules.PARTS,
    *("masked", "partition", "multi_transform", "freeze", "selective_transform"),
]


@pytest.mark.slow
@pytest.mark.parametrize("expression", list(calls(TRANSFORMATIONS)))
def test_transformations(expression):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs, ours = map(updates, both(expression))
    # optax's bias corrections are off by 1e-5 in the first steps.
    agree(ours, theirs, rtol=3e-5, atol=1e-7)


@pytest.mark.parametrize("expression", list(calls(rules.SCHEDULES)))
def test_schedules(expression):
    schedules = both(expression)
    with jax.numpy_dtype_promotion("standard"):
        theirs, ours = ([s(i) for i in range(12)] for s in schedules)
    agree(ours, theirs, rtol=1e-5, atol=1e-8)  # rounding of float32, over some steps


@pytest.mark.parametrize("expression", list(calls(rules.LOSSES)))
def test_losses(expression):
    theirs, ours = both(expression)
    # Where optax's logarithms of sums cancel, it keeps 1e-7.
    agree(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "expression",
    [
        "optax.chain(optax.clip(0.5), optax.sgd(0.1))",
        "optax.chain(*[optax.clip(0.5), optax.sgd(0.1)])",
        "optax.flatten(optax.sgd(0.1))",
        "optax.sgd(0.1, 0.9, True)",
        "optax.sgd(0.1, momentum=None)",
        "optax.adam(optax.cosine_decay_schedule(0.1, 10), b2=0.9)",
    ],
)
def test_forms_of_calls(expression):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs, ours = map(updates, both(expression))
    agree(ours, theirs, rtol=3e-5, atol=1e-7)  # as above


def test_functions_of_trees():
    scope = {"p": PARAMS, "u": GRADS[0], "optax": optax}
    for expression in (
        "optax.apply_updates(p, u)",
        "optax.tree.norm(u)",
        "optax.incremental_update(u, p, 0.1 + 0.2)",
        "optax.periodic_update(u, p, 4, 2)",
    ):
        changed = rewritten(f"import optax\nresult = {expression}\n")
        ours = {"p": PARAMS, "u": GRADS[0]}
        exec(changed, ours)
        agree(ours["result"], eval(expression, scope), rtol=1e-6, atol=1e-7)


def test_every_rule_is_tested():
    functions = {
        *("apply_updates", "incremental_update", "periodic_update", "tree.norm"),
        "global_norm",  # its older name
    }
    tested = {*TRANSFORMATIONS, *rules.SCHEDULES, *rules.LOSSES, *functions}
    assert rules.RULES.keys() == tested | {"chain", "flatten"}


@pytest.mark.parametrize(
    "expression",
    [
        "optax.sgd(-0.1)",  # climbs
        "optax.adam(0.1, eps_root=1e-8)",
        "optax.adam(0.1, mu_dtype=jnp.bfloat16)",
        "optax.rmsprop(0.1, momentum=0.9)",
        "optax.adadelta()",  # without a learning rate
        "optax.linear_schedule(0.1, 0.0, 5, transition_begin=3)",
        "optax.squared_error(jnp.ones(2))",
        "optax.adam(*rates)",
        "optax.adam()",
        "optax.adam(0.1, learning=0.1)",
    ],
)
def test_what_no_rule_covers_stays(expression):
    source = f"import optax\nresult = {expression}\n"
    changed = rewritten(source)
    assert changed == source.replace(
        "import optax", "import optifunc.compat.optax as optax"
    )
