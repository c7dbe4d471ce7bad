"""PyTorch's optimizers."""

import optifunc as of

from .row import Row

ROWS = [
    Row("sgd", lambda: of.sgd(0.1), optimizer=True),
    Row(
        "sgd_nesterov",
        lambda: of.sgd(0.1, 0.9, weight_decay=0.1, nesterov=True),
        optimizer=True,
        needs_params=True,
    ),
    Row("sgd_dampened", lambda: of.sgd(0.1, 0.9, 0.5), optimizer=True),
    Row("adam", of.adam, optimizer=True),
    Row("adam_amsgrad", lambda: of.adam(amsgrad=True), optimizer=True),
    Row("adamw", of.adamw, optimizer=True, needs_params=True),
    Row("nadam", of.nadam, optimizer=True),
    Row("radam", of.radam, optimizer=True),
    Row("adamax", of.adamax, optimizer=True),
    Row("adagrad", of.adagrad, optimizer=True),
    Row("adadelta", of.adadelta, optimizer=True),
    Row("rmsprop", of.rmsprop, optimizer=True),
    Row(
        "rmsprop_centered",
        lambda: of.rmsprop(momentum=0.9, centered=True),
        optimizer=True,
    ),
    Row("rprop", of.rprop, optimizer=True),
    Row("asgd", of.asgd, optimizer=True, needs_params=True),
    Row(
        "adafactor",
        of.adafactor,
        optimizer=True,
        shapes=True,
        complex=False,
        needs_params=True,
    ),
    Row(
        "muon",
        of.muon,
        optimizer=True,
        shapes=True,
        matrices=True,
        complex=False,
        needs_params=True,
    ),
    Row("sparse_adam", of.sparse_adam, optimizer=True, sparse=True, complex=False),
    Row(
        "lbfgs",
        lambda: of.lbfgs(history_size=3, max_iter=4),
        optimizer=True,
        one_vector=True,
        needs_params=True,
        value_fn=True,
    ),
    Row(
        "lbfgs_strong_wolfe",
        lambda: of.lbfgs(history_size=3, max_iter=4, line_search_fn="strong_wolfe"),
        optimizer=True,
        one_vector=True,
        needs_params=True,
        value_fn=True,
    ),
]
