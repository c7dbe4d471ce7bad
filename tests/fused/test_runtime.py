"""The runtime that is shipped is the one whose source is shipped."""

import hashlib
import re
from importlib import import_module
from pathlib import Path

import pytest

import optifunc.fused
from optifunc.fused import _compiler as compiler

FOLDER = Path(optifunc.fused.__file__).parent / "runtime"
COMPILED = (FOLDER / "runtime.ll").read_text()


def test_the_compiled_runtime_is_of_this_source():
    """If this fails: python optifunc/fused/runtime/compile.py."""
    recorded = re.match(r"; runtime\.c (\w{64}), ", COMPILED)[1]
    assert recorded == hashlib.sha256((FOLDER / "runtime.c").read_bytes()).hexdigest()


def test_the_compiled_runtime_names_no_machine():
    for word in ("target", "x86", "znver", "/", "source_filename"):
        assert not re.search(rf"^[^;]*{word}", COMPILED, re.MULTILINE), word


def test_the_version_of_xlas_interface_is_one_that_xla_takes():
    """XLA takes its own version and, for a year, older ones with its major number."""
    ours, theirs = compiler.runtime_version(), compiler.header_version()
    assert ours[0] == theirs[0]
    assert ours <= theirs


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(compiler, "header_version", lambda: (1, 0))
    with pytest.raises(RuntimeError, match=r"version 0\.3 .* this jaxlib has 1\.0"):
        compiler._check_interface()


def test_it_is_compiled_anew_to_the_same():
    pytest.importorskip("ziglang", reason="the compiler that the script uses")
    script = import_module("optifunc.fused.runtime.compile")
    assert script.compiled() == COMPILED
