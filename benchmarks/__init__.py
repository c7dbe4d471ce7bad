"""Measurements, as ratios of contenders that run side by side."""
