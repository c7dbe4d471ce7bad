"""Read a program that uses optax or `torch.optim`: what to write with this library.

``python -m optifunc.migrate FILE`` is its command.
"""
