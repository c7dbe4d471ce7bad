"""What the examples share: options, data sets, and the look of their pictures."""
