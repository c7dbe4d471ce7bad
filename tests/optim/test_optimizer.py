"""What the base class promises: structures, gradients, compilations, hooks, values."""

import copy
from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optifunc as of
from optifunc.optim import Adagrad, Adam, AdamW, NAdam, RMSprop, Stateful

X = jnp.linspace(-1, 1, 12).reshape(4, 3)


def network():
    return {"w": jnp.full((3, 2), 0.5), "b": jnp.zeros(2)}


def loss_fn(params, x):
    return jnp.mean((x @ params["w"] + params["b"][None] - 1) ** 2)


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def assert_close(found, expected):
    # Programs that fuse differently differ in the last bits.
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
        found,
        expected,
    )


@pytest.fixture
def compilations():
    """A list that grows by one with each program that XLA compiles."""
    compiled = []

    def listen(event, duration, **kwargs):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield compiled
    jax.monitoring.unregister_event_duration_listener(listen)


# --- params --------------------------------------------------------------------------


def test_a_pytree_comes_back_as_it_went_in():
    for params in (network(), [jnp.ones(2), (jnp.ones(3), None)], jnp.ones(4)):
        optimizer = of.optim.SGD(params, lr=1.0)
        assert_equal(optimizer.params, params)
        optimizer.step(grads=params)
        assert_equal(optimizer.params, jax.tree.map(jnp.zeros_like, params))
        assert optimizer.param_groups[0]["params"] is optimizer.params


def test_a_list_is_one_of_groups_if_every_element_has_params():
    groups = [{"params": network(), "lr": 0.5}, {"params": jnp.ones(2)}]
    optimizer = of.optim.SGD(groups, lr=1.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1.0]
    assert_equal(optimizer.params, [network(), jnp.ones(2)])
    optimizer.step(grads=optimizer.params)
    assert_equal(optimizer.params[1], jnp.zeros(2))
    np.testing.assert_array_equal(optimizer.params[0]["w"], jnp.full((3, 2), 0.25))
    # A list of dicts without the key is a pytree, and some with it are a mistake.
    assert len(of.optim.SGD([network(), network()]).param_groups) == 1
    with pytest.raises(KeyError, match=r"missing from params\[1\]"):
        of.optim.SGD([{"params": jnp.ones(2)}, {"lr": 1.0}])


def test_named_parameters_keep_their_order():
    pairs = [("w", jnp.ones(2)), ("b", jnp.ones(3)), ("a", jnp.ones(1))]
    for given in (pairs, iter(pairs)):
        optimizer = of.optim.SGD(given, lr=1.0)
        assert optimizer.params == OrderedDict(optimizer.params)
        assert list(optimizer.params) == ["w", "b", "a"]
        group = optimizer.param_groups[0]
        assert group["param_names"] == ["w", "b", "a"]
    assert optimizer.backward(lambda p: jnp.sum(p["w"]) + p["b"][0]) == 3.0
    optimizer.step()
    np.testing.assert_array_equal(optimizer.params["b"], [0.0, 1.0, 1.0])
    # Of a gradient the names count.
    optimizer.step(grads={"a": jnp.ones(1), "b": jnp.zeros(3), "w": jnp.zeros(2)})
    np.testing.assert_array_equal(optimizer.params["a"], [0.0])


def test_the_parameters_of_a_user_stay_valid():
    params = network()
    optimizer = Adam(params)
    for _ in range(2):
        optimizer.step(grads=params)
    assert_equal(params, network())


# --- gradients -----------------------------------------------------------------------


def test_backward_adds_up_and_zero_grad_forgets():
    optimizer = Adam(network())
    value, grads = jax.value_and_grad(loss_fn)(network(), X)
    assert_equal(optimizer.grads, {"w": None, "b": None})
    np.testing.assert_allclose(optimizer.backward(loss_fn, X), value, rtol=1e-6)
    assert_close(optimizer.grads, grads)
    optimizer.backward(loss_fn, X)
    assert_close(optimizer.grads, jax.tree.map(lambda g: 2 * g, grads))
    optimizer.zero_grad(set_to_none=False)
    assert_equal(optimizer.grads, jax.tree.map(jnp.zeros_like, grads))
    optimizer.zero_grad()
    assert jax.tree.leaves(optimizer.grads) == []
    optimizer.zero_grad(set_to_none=False)
    assert jax.tree.leaves(optimizer.grads) == []
    optimizer.grads = grads
    assert_equal(optimizer.grads, grads)
    optimizer.grads = None
    assert jax.tree.leaves(optimizer.grads) == []


def test_aux_and_the_value_of_a_closure():
    optimizer = Adam(network())

    def with_aux(params, x):
        return loss_fn(params, x), {"size": x.shape[0]}

    def closure():
        optimizer.zero_grad()
        return optimizer.backward(with_aux, X, has_aux=True)

    value, aux = optimizer.step(closure)
    np.testing.assert_allclose(value, loss_fn(network(), X), rtol=1e-6)
    assert aux["size"] == 4
    assert set(optimizer.state) == {0, 1}


def test_given_gradients_leave_the_accumulated_ones_alone():
    optimizer = of.optim.SGD(network(), lr=1.0)
    optimizer.backward(loss_fn, X)
    before = optimizer.grads
    optimizer.step(grads=network())
    assert_equal(optimizer.grads, before)
    assert_equal(optimizer.params["w"], jnp.zeros((3, 2)))


def test_complex_parameters_descend():
    target = jnp.asarray([1 + 2j, -1j])
    optimizer = of.optim.SGD(jnp.zeros(2, jnp.complex64), lr=0.5)
    optimizer.backward(lambda z: jnp.sum(jnp.abs(z - target) ** 2))
    optimizer.step()
    np.testing.assert_allclose(optimizer.params, target, rtol=1e-6)
    train_step = optimizer.compile_step(lambda z: jnp.sum(jnp.abs(z) ** 2))
    train_step()
    np.testing.assert_allclose(optimizer.params, 0 * target, atol=1e-6)


# --- compilations --------------------------------------------------------------------


def test_a_changed_number_compiles_nothing(compilations):
    groups = [{"params": network()}, {"params": jnp.ones(3), "lr": 0.1}]
    optimizer = AdamW(groups)
    kept = optimizer.params
    train_step = optimizer.compile_step(lambda p, x: loss_fn(p[0], x))
    for _ in range(2):
        optimizer.backward(lambda_free_loss, X)
        optimizer.step()
        train_step(X)
        optimizer.zero_grad()
    count = len(compilations)
    assert count > 0
    for i in range(3):
        optimizer.param_groups[1]["lr"] = 10.0**-i if i else 1
        optimizer.param_groups[0]["lr"] = np.float64(0.1 * i)
        optimizer.param_groups[0]["betas"] = [0.9 - 0.1 * i, 0.99]
        optimizer.param_groups[0]["weight_decay"] = 1 + i
        optimizer.backward(lambda_free_loss, X)
        optimizer.step()
        train_step(X)
        optimizer.zero_grad()
    assert len(compilations) == count
    # Another structure is another program.
    optimizer.param_groups[0]["weight_decay"] = 0
    optimizer.step(grads=kept)
    assert len(compilations) > count


def lambda_free_loss(params, x):
    return loss_fn(params[0], x) + jnp.sum(params[1] ** 2)


@pytest.mark.parametrize("params", [network(), list(network().items())])
def test_a_transformation_is_built_when_a_value_may_have_changed(params):
    """Names of parameters are a list, too, but of no value."""
    built = []

    class Counted(AdamW):
        def build(self, values):
            built.append(values["lr"])
            return super().build(values)

    optimizer = Counted(params, lr=1.0)
    rate = np.array(2.0)
    for lr in (1.0, 1.0, 0.5, 0.5, rate, rate):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step(grads=network())
    # An array may have changed in place.
    assert built == [1.0, 0.5, rate, rate]


def test_what_a_changed_learning_rate_does():
    optimizer = of.optim.SGD(jnp.zeros(2), lr=1.0)
    for lr in (1.0, 0.5, jnp.float32(0.25), -1e-19):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step(grads=-jnp.ones(2))
    np.testing.assert_array_equal(optimizer.params, [1.75, 1.75])


def test_momentum_may_come_and_go():
    optimizer = of.optim.SGD(jnp.zeros(1), lr=1.0)
    one = -jnp.ones(1)
    for momentum in (0, 0.5, 0.5, 0, 0.5):
        optimizer.param_groups[0]["momentum"] = momentum
        optimizer.step(grads=one)
    # 1, then buffers 1 and 1.5, then 1 past the buffer, then 0.5 * 1.5 + 1.
    np.testing.assert_allclose(optimizer.params, [1 + 1 + 1.5 + 1 + 1.75])


def test_train_step_equals_backward_and_step():
    groups = [{"params": network()}, {"params": jnp.ones(3), "lr": 0.1}]
    fused, apart = NAdam(groups), NAdam(copy.deepcopy(groups))
    train_step = fused.compile_step(lambda_free_loss)
    for _ in range(3):
        apart.zero_grad()
        expected = apart.backward(lambda_free_loss, X)
        apart.step()
        np.testing.assert_allclose(train_step(X), expected, rtol=1e-6)
    assert_close(fused.params, apart.params)
    assert_close(fused.state, apart.state)


# --- the functional API --------------------------------------------------------------


@pytest.mark.parametrize("build", [Adam, RMSprop, Adagrad])
def test_to_a_scan_and_back(build):
    groups = [{"params": network()}, {"params": jnp.ones(3), "lr": 0.1}]
    optimizer, stateful = build(groups), build(copy.deepcopy(groups))
    late = [network(), None]  # so that the parameters' steps differ
    for o in (optimizer, stateful):
        o.step(grads=[network(), jnp.ones(3)])
        o.step(grads=late)
    tx, state, params = optimizer.functional()

    def step(carry, _):
        params, state = carry
        grads = jax.grad(lambda_free_loss)(params, X)
        updates, state = tx.update(grads, state, params)
        return (of.apply_updates(params, updates), state), None

    (params, state), _ = jax.lax.scan(step, (params, state), None, 4)
    optimizer.load_functional(state, params)
    for o, count in ((optimizer, 1), (stateful, 5)):
        for _ in range(count):
            o.zero_grad()
            o.backward(lambda_free_loss, X)
            o.step()
    assert_close(optimizer.params, stateful.params)
    assert_close(optimizer.state, stateful.state)
    assert optimizer.state[0]["step"] == 7
    assert optimizer.state[2]["step"] == 6


def test_any_transformation_can_be_driven():
    params = network()

    def schedule(step):
        return 1e-2 * (1 + step.astype(jnp.float32))

    tx = of.chain(of.clip_by_global_norm(0.1), of.adamw(schedule))
    optimizer = Stateful(tx, params)
    assert optimizer.param_groups[0]["max_norm"] == 0.1
    state = tx.init(params)
    for i in range(4):
        if i == 2:
            optimizer.param_groups[0]["max_norm"] = 0.01
            tx = of.replace_hyperparameters(tx, max_norm=0.01)
            other = Stateful(tx, optimizer.params)
            other.load_state_dict(optimizer.state_dict())
            optimizer = copy.deepcopy(other)
        grads = jax.grad(loss_fn)(params, X)
        updates, state = tx.update(grads, state, params)
        params = of.apply_updates(params, updates)
        optimizer.zero_grad()
        optimizer.backward(loss_fn, X)
        optimizer.step()
    assert_close(optimizer.params, params)


def test_optax_can_be_driven():
    optimizer = Stateful(optax.adam(0.1), network())
    with jax.numpy_dtype_promotion("standard"):
        optimizer.step(grads=network())
    np.testing.assert_allclose(optimizer.params["w"], 0.4, rtol=1e-5)
    with pytest.raises(TypeError, match="expected a gradient transformation"):
        Stateful(0.1, network())


def test_state_keeps_the_parameters_sharding():
    mesh = jax.make_mesh((8,), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    param = jax.device_put(jnp.ones((16, 2)), sharding)
    optimizer = Adam([param])
    optimizer.step(grads=[param])
    loaded = Adam([param])
    loaded.load_state_dict(optimizer.state_dict())
    for o in (optimizer, loaded):
        for _ in range(2):
            exp_avg = o.functional()[1][0].exp_avg[0]
            assert exp_avg.sharding.is_equivalent_to(sharding, 2)
            o.step(grads=[param])
            assert o.params[0].sharding.is_equivalent_to(sharding, 2)


def test_noise_goes_on_from_its_key():
    def noisy():
        tx = of.chain(of.add_noise(0.1, seed=1), of.sgd(0.1))
        return Stateful(tx, network())

    first, second = noisy(), noisy()
    first.step(grads=network())
    second.load_state_dict(first.state_dict())
    second.param_groups[0]["params"] = first.params
    third = copy.deepcopy(first)
    for optimizer in (first, second, third):
        optimizer.step(grads=network())
    assert_equal(second.params, first.params)
    assert_equal(third.params, first.params)


# --- hooks and Python ----------------------------------------------------------------


def test_hooks_run_in_their_order():
    calls = []
    optimizer = Adam(network())

    def note(name):
        return lambda *args: calls.append((name, len(args)))

    handles = [
        optimizer.register_step_pre_hook(note("pre")),
        optimizer.register_step_post_hook(note("post")),
        optimizer.register_state_dict_pre_hook(note("save 2")),
        optimizer.register_state_dict_pre_hook(note("save 1"), prepend=True),
        optimizer.register_state_dict_post_hook(note("saved")),
        optimizer.register_load_state_dict_pre_hook(note("load")),
        optimizer.register_load_state_dict_post_hook(note("loaded")),
    ]
    optimizer.step(grads=network())
    optimizer.compile_step(loss_fn)(X)
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == [
        *[("pre", 3), ("post", 3)] * 2,
        ("save 1", 1),
        ("save 2", 1),
        ("saved", 2),
        ("load", 2),
        ("loaded", 1),
    ]
    for handle in handles:
        handle.remove()
    optimizer.step(grads=network())
    assert len(calls) == 9


def test_what_hooks_return():
    optimizer = of.optim.SGD(network(), lr=1.0)
    optimizer.register_step_pre_hook(
        lambda o, args, kwargs: (
            args,
            {"grads": jax.tree.map(jnp.zeros_like, o.params)},
        )
    )
    optimizer.step(grads=network())
    assert_equal(optimizer.params, network())
    optimizer.register_state_dict_post_hook(lambda o, found: {**found, "extra": 1})
    assert optimizer.state_dict()["extra"] == 1
    optimizer.register_load_state_dict_pre_hook(lambda o, found: found["inner"])
    optimizer.load_state_dict({"inner": optimizer.state_dict()})
    optimizer.register_step_pre_hook(lambda *args: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_repr_shows_the_groups():
    text = repr(of.optim.SGD([jnp.ones(2)], lr=0.5))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
    assert "    lr: 0.5\n" in text
    assert "params" not in text


def test_a_state_dict_is_no_view():
    optimizer = Adam(network())
    optimizer.step(grads=network())
    saved = optimizer.state_dict()
    before = copy.deepcopy(saved)
    optimizer.step(grads=network())
    jax.tree.map(np.testing.assert_array_equal, saved, before)


def test_loading_does_not_take_the_arrays_of_the_checkpoint():
    source, optimizer = Adam(network()), Adam(network())
    source.step(grads=network())
    saved = source.state_dict()
    before = copy.deepcopy(saved)
    optimizer.load_state_dict(saved)
    for _ in range(2):
        optimizer.step(grads=network())
    optimizer.param_groups[0]["lr"] = 3.0
    jax.tree.map(np.testing.assert_array_equal, saved, before)


def test_a_flag_without_effect_is_said_once():
    with pytest.warns(UserWarning, match="foreach, capturable: accepted and ignored"):
        optimizer = Adam(network(), foreach=True, capturable=True)
    optimizer.step(grads=network())
