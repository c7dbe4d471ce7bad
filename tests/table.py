"""One table of transformations: how each is built, what it needs and supports."""

from .rows import blocks, filters, free, matrices, relatives, signs, torch
from .rows.row import Row as Row, loss as loss, sparse_rows as sparse_rows

FAMILIES = (torch, signs, relatives, free, matrices, filters, blocks)
ROWS = [row for family in FAMILIES for row in family.ROWS]
