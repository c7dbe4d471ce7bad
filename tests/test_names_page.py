"""The page of names: complete, of names that exist, and right where it says "same"."""

import inspect
import re
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of

from .functions_of_optax import functions_of_trees, losses_beyond_torch
from .schedules_of_optax import schedules, schedules_from_or_to_zero

PAGE = (Path(__file__).parents[1] / "docs" / "names.md").read_text()
TORCH_HALF, OPTAX_HALF = PAGE.split("\n## optax\n")
OPTAX_VERSION = re.search(r"optax \(([\d.]+)\)", PAGE)[1]
TORCH_VERSION = re.search(r"`torch\.optim` \(([\d.]+)\)", PAGE)[1]


def rows(text):
    """The cells of every table's body."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


OPTAX_ROWS = {name: row for row in rows(OPTAX_HALF) for name in names(row[1])}
TORCH_ROWS = {name for row in rows(TORCH_HALF) for name in names(row[0])}

same_optax = pytest.mark.skipif(
    optax.__version__ != OPTAX_VERSION,
    reason=f"the page lists optax {OPTAX_VERSION}, not {optax.__version__}",
)


@pytest.fixture(autouse=True)
def promotion():
    """optax counts on implicit promotion."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def reached(module, dotted):
    for part in dotted.split("."):
        module = getattr(module, part)
    return module


def test_names_of_ours_exist():
    ours = set(re.findall(r"\bof((?:\.\w+)+)", PAGE))
    assert len(ours) > 150
    for name in sorted(ours):
        assert reached(of, name[1:]) is not None


def test_no_name_of_optax_stands_twice():
    listed = [name for row in rows(OPTAX_HALF) for name in names(row[1])]
    assert len(listed) == len(set(listed)) == len(OPTAX_ROWS)


def test_a_name_without_a_counterpart_has_a_reason():
    for row in rows(OPTAX_HALF):
        assert row[0] in ("=", "~", "none"), row
        assert "`of." in row[2] or row[3], row
    for row in rows(TORCH_HALF):
        assert any(cell != "none" for cell in row[1:]), row


@same_optax
def test_every_name_of_optax_is_there():
    """A name is there if it is listed, or another name of the same object is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # names that have moved
        modules = [optax] + [
            module
            for name, module in vars(optax).items()
            if inspect.ismodule(module)
            and not name.startswith("_")
            and name != "experimental"  # which optax keeps out of its interface
        ]
        public = {
            f"{module.__name__}.{name}": getattr(module, name)
            for module in modules
            for name in dir(module)
            if not name.startswith("_")
        }
        listed = {id(reached(optax, name)) for name in OPTAX_ROWS}
    missing = [
        name
        for name, value in public.items()
        if not inspect.ismodule(value) and id(value) not in listed
    ]
    assert len(public) > 400
    assert not missing


def test_no_optimizer_of_optax_has_no_counterpart():
    section = OPTAX_HALF.split("\n### Optimizers\n")[1].split("\n### ")[0]
    found = {name: row for row in rows(section) for name in names(row[1])}
    assert found.keys() > {"adam", "lion", "contrib.dpsgd", "contrib.prodigy"}
    assert not [name for name, row in found.items() if row[0] == "none" or not row[2]]


@pytest.mark.torch
def test_every_name_of_torch_is_there():
    import torch
    from torch.optim import Optimizer, lr_scheduler, swa_utils

    if not torch.__version__.startswith(TORCH_VERSION):
        pytest.skip(f"the page lists torch {TORCH_VERSION}, not {torch.__version__}")
    clipping = {
        "clip_grads_with_norm_",
        "get_total_norm",
        *torch.nn.utils.clip_grad.__all__,
    }
    losses = {"kl_div"} | {
        name
        for name in vars(torch.nn.functional)
        if name.endswith("_loss") or "cross_entropy" in name
    }
    public = {
        *(n for n, v in vars(torch.optim).items() if not inspect.ismodule(v)),
        *(f"Optimizer.{n}" for n in dir(Optimizer)),
        *lr_scheduler.__all__,
        *swa_utils.__all__,
        *clipping,
        *losses,
    }
    public = {name for name in public if not re.search(r"(^|\.)_", name)}
    assert public == TORCH_ROWS


# --- what the page calls the same -----------------------------------------------------

MASK = {"kernel": True, "bias": False}
LABELS = {"kernel": "train", "bias": "freeze"}


def falling(step):
    return 0.1 / (1 + step)


def early(step):
    return step < 2


def chained(*members):
    return of.chain(*members, of.scale_by_learning_rate(0.1))


def transformations():
    """Name -> optax's, and what the page puts beside it."""
    sgd, ours = optax.sgd(0.1), of.sgd(0.1)
    decay = of.add_decayed_weights(0.2)
    return {
        "chain": (optax.chain(optax.clip(0.5), sgd), of.chain(of.clip(0.5), ours)),
        "named_chain": (
            optax.named_chain(("a", optax.clip(0.5)), ("b", sgd)),
            of.chain(a=of.clip(0.5), b=ours),
        ),
        "identity": (optax.identity(), of.identity()),
        "adadelta": (optax.adadelta(0.5), of.adadelta(0.5)),
        "adam": (optax.adam(0.1), of.adam(0.1)),
        "adamax": (optax.adamax(0.1), of.adamax(0.1)),
        "adamaxw": (
            optax.adamaxw(0.1, weight_decay=0.2),
            chained(of.scale_by_adamax(), decay),
        ),
        "adamw": (
            optax.adamw(0.1, weight_decay=0.2),
            of.adamw(0.1, weight_decay=0.2),
        ),
        "sgd": (
            optax.sgd(falling, momentum=0.9, nesterov=True),
            of.sgd(falling, momentum=0.9, nesterov=True),
        ),
        "sign_sgd": (optax.sign_sgd(0.1), chained(of.scale_by_sign())),
        "signum": (
            optax.signum(0.1, beta=0.9),
            chained(of.momentum(0.9), of.scale_by_sign()),
        ),
        **building_blocks(),
        **tool_box(),
    }


def tool_box():
    """The same, of blocks that have one name in both."""
    pairs = {
        name: (getattr(optax, name)(), getattr(of, name)())
        for name in (
            "scale_by_param_block_norm",
            "scale_by_param_block_rms",
            "normalize_by_update_norm",
            "keep_params_nonnegative",
        )
    }
    snapshots = tuple(m.snapshot("norm", optax.tree.norm) for m in (optax, of))
    return {**pairs, "ema": (optax.ema(0.9), of.ema(0.9)), "snapshot": snapshots}


def building_blocks():
    """The same, of what stands in a chain or around one."""
    sgd, ours = optax.sgd(0.1), of.sgd(0.1)
    decay = of.add_decayed_weights(0.2)
    return {
        "scale": (optax.scale(2.0), of.scale(2.0)),
        "scale_by_learning_rate": (
            optax.scale_by_learning_rate(falling),
            of.chain(of.scale_by_learning_rate(falling)),
        ),
        "scale_by_schedule": (
            optax.scale_by_schedule(falling),
            of.chain(of.scale(falling)),
        ),
        "scale_by_adadelta": (optax.scale_by_adadelta(), of.scale_by_adadelta()),
        "scale_by_adam": (optax.scale_by_adam(), of.scale_by_adam()),
        "scale_by_adamax": (optax.scale_by_adamax(), of.scale_by_adamax()),
        "scale_by_sign": (optax.scale_by_sign(), of.scale_by_sign()),
        "trace": (optax.trace(0.9), of.momentum(0.9)),
        "set_to_zero": (optax.set_to_zero(), of.set_to_zero()),
        "add_decayed_weights": (
            optax.add_decayed_weights(0.2, MASK),
            of.masked(decay, MASK),
        ),
        "adaptive_grad_clip": (
            optax.adaptive_grad_clip(0.1),
            of.adaptive_grad_clip(0.1),
        ),
        "clip": (optax.clip(0.5), of.clip(0.5)),
        "clip_by_block_rms": (optax.clip_by_block_rms(0.3), of.clip_by_block_rms(0.3)),
        "clip_by_global_norm": (
            optax.clip_by_global_norm(0.3),
            of.clip_by_global_norm(0.3, eps=0.0),
        ),
        "conditionally_mask": (
            optax.conditionally_mask(sgd, early),
            of.conditionally(ours, early, of.set_to_zero()),
        ),
        "conditionally_transform": (
            optax.conditionally_transform(sgd, early),
            of.conditionally(ours, early),
        ),
        "flatten": (optax.flatten(optax.adam(0.1)), of.flatten(of.adam(0.1))),
        "masked": (optax.masked(sgd, MASK), of.masked(ours, MASK)),
        "partition": (
            optax.partition({"train": sgd, "freeze": optax.set_to_zero()}, LABELS),
            of.partition({"train": ours, "freeze": of.set_to_zero()}, LABELS),
        ),
        "multi_transform": (
            optax.multi_transform({"train": sgd, "freeze": optax.clip(0.1)}, LABELS),
            of.partition({"train": ours, "freeze": of.clip(0.1)}, LABELS),
        ),
        "freeze": (optax.freeze(MASK), of.masked(of.set_to_zero(), MASK)),
        "selective_transform": (
            optax.selective_transform(sgd, freeze_mask={"kernel": False, "bias": True}),
            of.partition({"train": ours, "freeze": of.set_to_zero()}, LABELS),
        ),
        "zero_nans": (optax.zero_nans(), of.zero_nans()),
    }


def functions_of_gradients(tree, draw):
    examples, other = [draw(5, 3, 2), draw(5, 2)], {"kernel": draw(3, 2)}
    return {
        "incremental_update": (
            optax.incremental_update(tree, other, 0.1),
            of.update_ema(tree, other, 0.9),
        ),
        "periodic_update": tuple(
            [m.periodic_update(tree, other, jnp.int32(i), 2) for i in range(3)]
            for m in (optax, of)
        ),
        "per_example_global_norm_clip": (
            optax.per_example_global_norm_clip(examples, 1.5),
            of.clip_per_example(examples, 1.5),
        ),
        "per_example_layer_norm_clip": (
            optax.per_example_layer_norm_clip(examples, 1.5),
            of.clip_per_example(examples, 1.5, by="leaf"),
        ),
        "apply_updates": tuple(m.apply_updates(tree, tree) for m in (optax, of)),
        "tree.norm": (optax.tree.norm(tree), of.global_norm(tree)),
    }


def functions():
    rng = np.random.default_rng(0)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    tree, losses = {"kernel": draw(3, 2)}, of.losses
    found, wanted = draw(5, 4), draw(5, 4)
    labels = jnp.array([0, 3, 1, 1, 2])
    likely, share = jax.nn.log_softmax(found), jax.nn.softmax(wanted)
    zero_or_one = (wanted > 0).astype(jnp.float32)
    each = {"reduction": "none"}
    return {
        **functions_of_gradients(tree, draw),
        "squared_error": (
            optax.squared_error(found, wanted),
            losses.mse_loss(found, wanted, **each),
        ),
        "l2_loss": (
            optax.l2_loss(found, wanted),
            losses.mse_loss(found, wanted, **each) / 2,
        ),
        "huber_loss": (
            optax.huber_loss(found, wanted, delta=0.7),
            losses.huber_loss(found, wanted, delta=0.7, **each),
        ),
        "softmax_cross_entropy": (
            optax.softmax_cross_entropy(found, share),
            losses.cross_entropy(found, share, **each),
        ),
        "softmax_cross_entropy_with_integer_labels": (
            optax.softmax_cross_entropy_with_integer_labels(found, labels),
            losses.cross_entropy(found, labels, **each),
        ),
        "sigmoid_binary_cross_entropy": (
            optax.sigmoid_binary_cross_entropy(found, zero_or_one),
            losses.binary_cross_entropy_with_logits(found, zero_or_one, **each),
        ),
        "kl_divergence": (
            optax.kl_divergence(likely, share),
            losses.kl_div(likely, share, **each).sum(-1),
        ),
        "losses.kl_divergence_with_log_targets": (
            optax.losses.kl_divergence_with_log_targets(likely, jnp.log(share)),
            losses.kl_div(likely, jnp.log(share), log_target=True, **each).sum(-1),
        ),
        "cosine_distance": (
            optax.cosine_distance(found, wanted),
            losses.cosine_embedding_loss(found, wanted, jnp.ones(5), **each),
        ),
        **losses_beyond_torch(found, wanted, labels),
        **functions_of_trees(tree, {"kernel": draw(3, 2)}),
    }


TRANSFORMATIONS, SCHEDULES = transformations(), schedules()
with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
    FUNCTIONS = functions()


def test_what_is_called_the_same_is_tested():
    called = {name for name, row in OPTAX_ROWS.items() if row[0] == "="}
    assert called - {"global_norm"} == {*TRANSFORMATIONS, *SCHEDULES, *FUNCTIONS}


def after_updates(tx):
    """Parameters after four updates with given gradients, some of them large."""
    rng = np.random.default_rng(1)

    def draw():
        return {
            "kernel": jnp.asarray(rng.normal(size=(3, 2)), jnp.float32),
            "bias": jnp.asarray(rng.normal(size=2), jnp.float32),
        }

    params = draw()
    state = tx.init(params)
    for _ in range(4):
        updates, state = tx.update(draw(), state, params)
        params = of.apply_updates(params, updates)
    return params


def assert_close(found, expected):
    # Four steps of order 1; optax computes Adam's 1 - 0.999**t in float32, which is
    # off by 2e-5.
    jax.tree.map(
        lambda f, e: np.testing.assert_allclose(f, e, rtol=5e-5, atol=5e-5),
        found,
        expected,
    )


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_transformations_called_the_same_agree(name):
    theirs, ours = TRANSFORMATIONS[name]
    assert_close(after_updates(ours), after_updates(theirs))


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_called_the_same_agree(name):
    theirs, ours = SCHEDULES[name]
    for step in (0, 1, 4, 5, 6, 9, 10, 11, 20, 30):
        assert_close(ours(step), theirs(step))


ZEROS = schedules_from_or_to_zero()


@pytest.mark.parametrize("name", ZEROS)
def test_schedules_from_or_to_zero_agree(name):
    theirs, ours = ZEROS[name]
    for step in (0, 1, 4, 5, 6, 9, 10, 11, 20, 30):
        assert_close(ours(step), theirs(step))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_called_the_same_agree(name):
    pair = FUNCTIONS[name]
    # What takes long is computed here and not while tests are collected.
    theirs, ours = pair() if callable(pair) else pair
    assert_close(ours, theirs)
