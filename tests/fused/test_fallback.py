"""Where kernels cannot be, a fused function is the function, and says so once."""

import gc
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optifunc as of
from optifunc.fused import _compiler as compiler, _execute, _fuse

X = jnp.linspace(-1, 1, 100)


def function(x):
    return x * 2 + 1, x - 1


def check(fused):
    lowered = jax.jit(fused).lower(X)
    assert "optifunc_" not in lowered.as_text()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        lowered.compile()(X),
        function(X),
    )


@pytest.fixture
def without_llvmlite(monkeypatch):
    monkeypatch.setattr(compiler, "is_installed", lambda: False)
    _fuse._notice_what_is_missing.cache_clear()
    yield
    _fuse._notice_what_is_missing.cache_clear()


def test_without_the_extra_one_warning_says_what_to_install(
    without_llvmlite, monkeypatch
):
    monkeypatch.setattr(compiler, "is_supported", lambda: True)
    with pytest.warns(UserWarning, match=r"pip install 'optifunc\[fused\]'"):
        check(of.fuse(function))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(of.fuse(lambda x: function(x)))


def test_without_the_extra_a_step_says_nothing(without_llvmlite):
    tx = of.adamw()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params = {"x": X}
        step = jax.jit(lambda g, s, p: of.apply_gradients(tx, g, s, p))
        assert "optifunc_" not in step.lower(params, tx.init(params), params).as_text()
        optimizer = of.optim.AdamW(params)
        optimizer.step(grads=params)


def test_a_variable_switches_kernels_off(monkeypatch):
    monkeypatch.setenv("OPTIFUNC_FUSED", "0")
    check(of.fuse(function))


def test_on_another_machine_nothing_is_said(monkeypatch):
    monkeypatch.setattr(compiler, "is_supported", lambda: False)
    monkeypatch.setattr(compiler, "is_installed", lambda: False)
    _fuse._notice_what_is_missing.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(of.fuse(function))


def fail(program):
    raise OSError("no compiler today")


def test_what_cannot_be_compiled_is_left_to_xla(monkeypatch):
    monkeypatch.setattr(compiler, "is_supported", lambda: True)
    monkeypatch.setattr(compiler, "is_installed", lambda: True)
    monkeypatch.setattr(_execute, "target", fail)
    with pytest.warns(UserWarning, match="left to XLA .*no compiler today"):
        check(of.fuse(function))


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_as_before(enabled, monkeypatch):
    """It rests while a function is traced and planned, and where that fails."""

    def wrong(x):
        assert not gc.isenabled()
        raise ZeroDivisionError

    (gc.enable if enabled else gc.disable)()
    try:
        jax.jit(of.fuse(function))(X)
        assert gc.isenabled() is enabled
        with pytest.raises(ZeroDivisionError):
            jax.jit(of.fuse(wrong))(X)
        assert gc.isenabled() is enabled
        monkeypatch.setattr(compiler, "is_supported", lambda: True)
        monkeypatch.setattr(compiler, "is_installed", lambda: True)
        monkeypatch.setattr(_execute, "target", fail)
        with pytest.warns(UserWarning, match="left to XLA"):
            jax.jit(of.fuse(lambda x: function(x)))(X)
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_another_platform_has_the_plain_program():
    exported = jax.jit(of.fuse(function)).trace(X).lower(lowering_platforms=("cuda",))
    assert "optifunc_" not in exported.as_text()


def by_complex_numbers(x):
    return jax.lax.real(jax.lax.complex(x, x))


@pytest.mark.parametrize(
    "unknown",
    [jnp.exp, lambda x: jnp.arctan2(x, 2.0), by_complex_numbers, jnp.cbrt],
)
def test_operations_that_kernels_do_not_know(unknown):
    """What is connected with one stays with XLA, which fuses it there."""

    def both(x):
        return unknown(x * 2) + 1, jnp.flip(x) * 2 - 1

    found = jax.jit(of.fuse(both))
    assert found.lower(X).as_text().count("custom_call @optifunc_") <= 1
    for a, b in zip(found(X), jax.jit(both)(X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
