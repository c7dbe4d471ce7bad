"""The optimizers of torch.optim: one file a family."""
