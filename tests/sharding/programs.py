"""What a compiled program exchanges between devices."""

import re

import numpy as np

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)
ITEM_SIZES = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1}


def exchanged_bytes(program: str, *kinds: str) -> int:
    """The sizes of all that exchanges of these kinds, or of any, result in."""
    total = 0
    for line in program.splitlines():
        match = re.search(rf"= (.*?) (?:{'|'.join(kinds or KINDS)})(?:-start)?\(", line)
        for dtype, shape in re.findall(r"(\w+)\[([\d,]*)\]", match[1] if match else ""):
            sides = [int(n) for n in shape.split(",") if n]
            total += ITEM_SIZES[dtype] * int(np.prod(sides, dtype=int))
    return total
