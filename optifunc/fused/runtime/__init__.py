"""The code that runs kernels on XLA's threads: its source, and that compiled to LLVM's."""
