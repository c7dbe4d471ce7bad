"""Schedules: hyperparameters as pure functions of the number of updates done."""

from ._function import from_function as from_function
from ._schedule import Schedule as Schedule, schedule as schedule
