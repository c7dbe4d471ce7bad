"""The code that runs kernels on XLA's threads: its source and its compiled form."""
