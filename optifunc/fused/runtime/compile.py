"""Compile runtime.c to runtime.ll, the form that is shipped: LLVM's, for any processor.

    pip install ziglang
    python optifunc/fused/runtime/compile.py

The first line of runtime.ll records of which source it was made.
"""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import jax

FOLDER = Path(__file__).parent
SOURCE, COMPILED = FOLDER / "runtime.c", FOLDER / "runtime.ll"
# What would tie the code to the machine on which it was compiled.
MACHINE = re.compile(
    r'^(target|source_filename|; ModuleID|!llvm\.ident).*\n|"(target|tune)-[a-z-]+"="[^"]*" ?'
    r'|"frame-pointer"="all" |noinline | nuw(?= %)',
    re.M,
)


def header() -> str:
    """The line that identifies the source and the version of XLA's interface."""
    source = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    major, minor = interface_version()
    return f"; runtime.c {source}, XLA FFI {major}.{minor}\n"


def interface_version() -> tuple[int, int]:
    """The version of XLA's foreign function interface that jaxlib's header gives."""
    text = Path(jax.ffi.include_dir(), "xla/ffi/api/c_api.h").read_text()
    major, minor = re.findall(r"^#define XLA_FFI_API_(?:MAJOR|MINOR) (\d+)", text, re.M)
    return int(major), int(minor)


def main() -> None:
    """Write runtime.ll."""
    # As it comes from the parser, so that older versions of LLVM read it too: llvmlite,
    # which compiles it for the processor at hand, optimizes it.
    flags = ["-O0", "-Xclang", "-disable-O0-optnone", "-g0"]
    flags += ["-fno-sanitize=all", "-fno-stack-protector", "-fno-builtin"]
    command = [
        *(sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu", *flags),
        *("-I", jax.ffi.include_dir(), "-S", "-emit-llvm"),
        *(str(SOURCE), "-o", str(COMPILED)),
    ]
    subprocess.run(command, check=True)
    COMPILED.write_text(header() + MACHINE.sub("", COMPILED.read_text()))


if __name__ == "__main__":
    main()
