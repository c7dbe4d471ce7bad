"""Record torch's trajectories: ``python -m tests.golden.record`` (needs torch).

Every configuration of PyTorch's optimizer test database is run on the problem of
`tests.parity.problem`, in both dtypes and in each variant. Kept are the parameters
after every tenth step and the state after the last.
"""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from tests.parity.problem import Case

FOLDER = pathlib.Path(__file__).parent
EVERY = 10  # steps between two recorded points


def recorded(case: Case) -> slice:
    """The steps of a case that are kept: few of many, all of the few of L-BFGS."""
    return slice(None) if case.optimizer == "LBFGS" else slice(EVERY - 1, None, EVERY)


def load() -> list[tuple[Case, dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """The recorded cases: each with its path and its last state."""
    rows = json.loads((FOLDER / "cases.json").read_text())["cases"]
    with np.load(FOLDER / "trajectories.npz") as stored:
        arrays: dict[str, dict[str, Any]] = {"path": {}, "state": {}}
        for key in stored.files:
            index, kind, name = key.split("/")
            arrays[kind].setdefault(index, {})[name] = stored[key]
    return [
        (
            Case(**{**row, "kwargs": _tuples(row["kwargs"])}),
            arrays["path"][str(i)],
            arrays["state"].get(str(i), {}),
        )
        for i, row in enumerate(rows)
    ]


def _tuples(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in kwargs.items()}


def main() -> None:
    import torch

    from tests.parity.problem import run_torch
    from tests.parity.test_torch import CASES

    arrays = {}
    for i, case in enumerate(CASES):
        path, state = run_torch(case)
        arrays |= {f"{i}/path/{k}": v[recorded(case)] for k, v in path.items()}
        arrays |= {f"{i}/state/{k}": v for k, v in state.items()}
    np.savez_compressed(FOLDER / "trajectories.npz", **arrays)
    rows = [dataclasses.asdict(case) for case in CASES]
    header = {"torch": torch.__version__, "every": EVERY, "cases": rows}
    (FOLDER / "cases.json").write_text(json.dumps(header, indent=1) + "\n")
    print(f"{len(CASES)} cases recorded in {FOLDER}")


if __name__ == "__main__":
    main()
