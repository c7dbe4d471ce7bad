"""Pairs of functions that the page of names calls the same, optax's first.

Each is a function without arguments, which computes both.
"""

import warnings

import jax
import jax.numpy as jnp
import optax
import pytest

import optifunc as of


def losses_beyond_torch(found, wanted, labels):
    return losses_of_elements(found, wanted) | losses_of_classes(found, wanted, labels)


def losses_of_elements(found, wanted):
    theirs, ours, each = optax.losses, of.losses, {"reduction": "none"}
    signs, share = jnp.sign(wanted), jax.nn.softmax(wanted)
    bits, likely = (signs + 1) / 2, jax.nn.log_softmax(found)

    def divergence():
        return (
            theirs.generalized_kl_divergence(likely, share),
            ours.generalized_kl_div(likely, share, **each).sum(-1),
        )

    return {
        "cosine_similarity": lambda: (
            optax.cosine_similarity(found, wanted),
            ours.cosine_similarity(found, wanted, dim=-1),
        ),
        "generalized_kl_divergence": divergence,
        "convex_kl_divergence": divergence,  # its deprecated name
        "hinge_loss": lambda: (
            optax.hinge_loss(found, signs),
            ours.hinge_loss(found, signs, **each),
        ),
        "losses.perceptron_loss": lambda: (
            theirs.perceptron_loss(found, signs),
            ours.perceptron_loss(found, signs, **each),
        ),
        "log_cosh": lambda: (
            optax.log_cosh(found, wanted),
            ours.log_cosh_loss(found, wanted, **each),
        ),
        "sigmoid_focal_loss": lambda: (
            optax.sigmoid_focal_loss(found, bits, alpha=0.3),
            ours.sigmoid_focal_loss(found, bits, alpha=0.3, **each),
        ),
        "losses.sparsemax_loss": lambda: (
            theirs.sparsemax_loss(found, bits),
            ours.sparsemax_loss(found, bits, **each),
        ),
    }


def losses_of_classes(found, wanted, labels):
    theirs, ours, each = optax.losses, of.losses, {"reduction": "none"}
    share = jax.nn.softmax(wanted)
    bits = (jnp.sign(wanted) + 1) / 2
    images = found.reshape(1, 2, 5, 2), share.reshape(1, 2, 5, 2)
    moved = [jnp.moveaxis(image, -1, 1) for image in images]

    def by_row(function):
        return jax.vmap(function)(found, labels)

    return {
        "ntxent": lambda: (
            optax.ntxent(found, labels),
            ours.ntxent_loss(found, labels),
        ),
        "safe_softmax_cross_entropy": lambda: (
            optax.safe_softmax_cross_entropy(found, share),
            ours.safe_softmax_cross_entropy(found, share, **each),
        ),
        "losses.binary_dice_loss": lambda: (
            theirs.binary_dice_loss(found, bits),
            ours.binary_dice_loss(found, bits, **each),
        ),
        "losses.dice_loss": lambda: (
            theirs.dice_loss(*images),
            ours.dice_loss(*moved, **each).mean(1),
        ),
        "losses.multiclass_generalized_dice_loss": lambda: (
            theirs.multiclass_generalized_dice_loss(*images),
            ours.generalized_dice_loss(*moved),
        ),
        "losses.make_fenchel_young_loss": lambda: (
            theirs.make_fenchel_young_loss(jax.nn.logsumexp)(found, share),
            ours.fenchel_young_loss(found, share, **each),
        ),
        "losses.poly_loss_cross_entropy": lambda: (
            theirs.poly_loss_cross_entropy(found, share),
            ours.poly_loss(found, share, **each),
        ),
        "losses.ranking_softmax_loss": lambda: (
            theirs.ranking_softmax_loss(found, bits),
            ours.ranking_softmax_loss(found, bits),
        ),
        "losses.multiclass_hinge_loss": lambda: (
            by_row(theirs.multiclass_hinge_loss),
            ours.multiclass_hinge_loss(found, labels, **each),
        ),
        "losses.multiclass_perceptron_loss": lambda: (
            by_row(theirs.multiclass_perceptron_loss),
            ours.multiclass_perceptron_loss(found, labels, **each),
        ),
        "losses.multiclass_sparsemax_loss": lambda: (
            theirs.multiclass_sparsemax_loss(found, labels),
            ours.multiclass_sparsemax_loss(found, labels, **each),
        ),
    }


def functions_of_trees(tree, normal):
    """Projections, and second derivatives."""

    def loss(params, x, y):
        return jnp.sum(jnp.cos(params["kernel"] @ x) * y)

    arguments = {
        "box": [jax.tree.map(lambda x, b=b: b, tree) for b in (-0.3, 0.2)],
        "hyperplane": (normal, 0.5),
        "halfspace": (normal, -0.5),
        "vector": (normal,),
    }

    def projected(name):
        # optax's hypercube is one of arrays alone.
        at = tree["kernel"] if name == "hypercube" else tree
        return tuple(
            function(at, *arguments.get(name, ()))
            for function in (
                getattr(optax.projections, f"projection_{name}"),
                getattr(of.projections, name),
            )
        )

    def second(name, theirs, ours):
        at = jnp.ones(2), jnp.arange(3.0)
        # Deprecated in optax 0.2.8, and to be removed.
        pytest.importorskip("optax.second_order")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pair = (
                getattr(optax.second_order, name)(loss, *theirs, tree, *at),
                getattr(of.linalg, name)(loss, tree, *ours, *at),
            )
        return tuple(jax.tree.leaves(values)[0].ravel() for values in pair)

    names = [n for n in of.projections.__all__ if n != "linf_sphere"]
    vector = normal["kernel"].ravel()
    at = jnp.ones(2), jnp.arange(3.0)
    return {
        **{
            f"projections.projection_{name}": lambda name=name: projected(name)
            for name in names
        },
        "power_iteration": lambda: tuple(
            module.power_iteration(
                jnp.asarray([[4.0, 1.0], [1.0, -2.0]]), error_tolerance=0.0
            )
            for module in (optax, of.linalg)
        ),
        "scale_gradient": lambda: tuple(
            jax.grad(lambda t, m=module: loss(m.scale_gradient(t, -0.3), *at))(tree)
            for module in (optax, of)
        ),
        "second_order.hvp": lambda: second("hvp", (vector,), (normal,)),
        "second_order.hessian_diag": lambda: second("hessian_diag", (), ()),
    }
