"""Compile runtime.c to runtime.ll, the form that is shipped: LLVM's, for any processor.

    pip install ziglang
    python -m optifunc.fused.runtime.compile

The first line of runtime.ll records the source from which it was made, and the version
of XLA's foreign function interface.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jax

from .._compiler import RUNTIME, header_version

SOURCE = RUNTIME.with_suffix(".c")
# As it comes from the parser, so that older versions of LLVM read it too: llvmlite,
# which compiles it for the processor at hand, optimizes it.
FLAGS = (
    *("-O0", "-Xclang", "-disable-O0-optnone", "-g0", "-fno-sanitize=all"),
    *("-fno-stack-protector", "-fno-builtin", "-Wno-unused-command-line-argument"),
)
# What would tie the code to the machine on which it was compiled, and to a version.
MACHINE = re.compile(
    r"^(target|source_filename|; ModuleID|!llvm\.ident).*\n"
    r'|"(target|tune)-[a-z-]+"="[^"]*" ?'
    r'|"frame-pointer"="all" |noinline | nuw(?= %)',
    re.MULTILINE,
)


def compiled() -> str:
    """The text of runtime.ll."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    major, minor = header_version()
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "runtime.ll")
        command = [
            *(sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu"),
            *("-I", jax.ffi.include_dir(), *FLAGS, "-S", "-emit-llvm"),
            *(str(SOURCE), "-o", str(result)),
        ]
        subprocess.run(command, check=True)
        code = MACHINE.sub("", result.read_text())
    return f"; runtime.c {digest}, XLA FFI {major}.{minor}\n{code}"


if __name__ == "__main__":
    RUNTIME.write_text(compiled())
