"""Building blocks: one file an idea."""
