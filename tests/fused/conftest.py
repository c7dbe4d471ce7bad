"""Tests of fused functions need llvmlite, and a machine that kernels are made for."""

import pytest

from optifunc.fused import _compiler as compiler

# What is tested without it is in test_fallback.py and test_runtime.py.
WITHOUT = {"test_fallback.py", "test_runtime.py"}


def pytest_collection_modifyitems(items):
    if compiler.is_supported() and compiler.is_installed():
        return
    skip = pytest.mark.skip(reason="needs llvmlite (extra `fused`) and Linux")
    for item in items:
        if item.path.parent.name == "fused" and item.path.name not in WITHOUT:
            item.add_marker(skip)
