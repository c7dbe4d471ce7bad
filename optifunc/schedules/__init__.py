"""Schedules: hyperparameters as pure functions of the number of updates done."""

from ._schedule import Schedule as Schedule, schedule as schedule
