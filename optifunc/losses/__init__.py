"""Losses: pure functions with the names and semantics of `torch.nn.functional`."""
