"""Programs as functions that XLA can call, compiled by LLVM for this processor.

A function is registered under a name that is a hash of its program. So a compiled step
that JAX's persistent cache passes to another process refers to a function that this
process has also registered, because it lowered the step to look it up. The step
contains no address.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import sys
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax

from ._code import kernel
from ._program import Program
from ._row_code import row_kernel

RUNTIME = Path(__file__).parent / "runtime" / "runtime.ll"

HANDLER = """
define ptr @handler(ptr %frame) {{
  %error = call ptr inttoptr (i64 {run} to ptr)(
      ptr %frame, ptr @kernel, i64 {slots}, i64 {unit})
  ret ptr %error
}}
"""


def is_supported() -> bool:
    """Whether kernels can be compiled for this machine, given llvmlite."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


@cache
def is_installed() -> bool:
    """Whether llvmlite is installed, without importing it."""
    return find_spec("llvmlite") is not None


def is_wanted() -> bool:
    """Whether the user has not disabled kernels."""
    return os.environ.get("OPTIFUNC_FUSED", "1") != "0"


_lock = threading.Lock()
_targets: dict[Program, str] = {}
_registered: set[str] = set()


def target(program: Program) -> str:
    """The name under which XLA finds the function that runs ``program``.

    **Raises:** whatever llvmlite or JAX raises if it cannot be compiled or registered.
    """
    with _lock:
        if program not in _targets:
            text = row_kernel(program) if program.row else kernel(program)
            name = f"optifunc_{_digest(text + _runtime_text())}"
            if name not in _registered:
                _register(name, text, program)
                _registered.add(name)
            _targets[program] = name
        return _targets[program]


def _register(name: str, text: str, program: Program) -> None:
    compiler = _compiler()
    handler = HANDLER.format(
        run=compiler.run, slots=program.slots, unit=max(program.row, 1)
    )
    address = compiler.compiled(text + handler, "handler")
    capsule = jax.ffi.pycapsule(ctypes.CFUNCTYPE(ctypes.c_void_p)(address))
    jax.ffi.register_ffi_target(name, capsule, platform="cpu")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def _runtime_text() -> str:
    return RUNTIME.read_text()


def runtime_version() -> tuple[int, int]:
    """The version of XLA's interface that the runtime was compiled for."""
    return _version(r"; runtime\.c \w+, XLA FFI (\d+)\.(\d+)\n", _runtime_text())


def header_version() -> tuple[int, int]:
    """The version of XLA's interface that jaxlib's header gives."""
    header = Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h").read_text()
    return _version(r"_API_MAJOR (\d+)\n[\s\S]*_API_MINOR (\d+)\n", header)


def _version(pattern: str, text: str) -> tuple[int, int]:
    found = re.search(pattern, text)
    assert found is not None
    return int(found[1]), int(found[2])


def _check_interface() -> None:
    """Check that XLA knows the interface that the runtime was compiled for.

    **Raises:** `RuntimeError` if it does not.
    """
    ours, theirs = runtime_version(), header_version()
    if ours[0] != theirs[0] or ours[1] > theirs[1]:
        raise RuntimeError(
            f"optifunc's runtime is for version {ours[0]}.{ours[1]} of XLA's foreign "
            f"function interface, this jaxlib has {theirs[0]}.{theirs[1]}"
        )


class Compiler:
    """LLVM, set for this processor, and the runtime that all kernels share."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        _check_interface()

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self._llvm: Any = llvm
        self._engines: list[Any] = []  # which own the code
        self.run = self.compiled(_runtime_text(), "optifunc_run")

    def compiled(self, text: str, name: str) -> int:
        """The address of the function ``name`` of a module, given as text."""
        llvm = self._llvm
        module = llvm.parse_assembly(text)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(),
            features=llvm.get_host_cpu_features().flatten(),
            opt=3,
            jit=True,
        )
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = options.loop_unrolling = True
        passes = llvm.create_pass_builder(machine, options)
        passes.getModulePassManager().run(module, passes)
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        self._engines.append(engine)
        address: int = engine.get_function_address(name)
        return address


@cache
def _compiler() -> Compiler:
    return Compiler()


@cache
def has_half_precision() -> bool:
    """Whether the processor has an instruction to convert float16."""
    import llvmlite.binding as llvm

    return bool(llvm.get_host_cpu_features().get("f16c"))
