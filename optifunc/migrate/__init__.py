"""Read a program that uses optax or `torch.optim`, and suggest replacements.

``python -m optifunc.migrate FILE`` is its command.
"""
