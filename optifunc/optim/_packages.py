"""Checkpoints of packages whose classes have fewer options than ours."""

from collections.abc import Collection, Mapping
from typing import Any


def with_own_options(
    state_dict: Mapping[str, Any],
    groups: list[dict[str, Any]],
    options: Collection[str],
) -> dict[str, Any]:
    """A package's ``state_dict``, its groups completed by options it does not know.

    **Arguments:**

    - ``state_dict``: a checkpoint of a package or of ours.
    - ``groups``: the live groups, which have the values to keep.
    - ``options``: the names that the package does not have.
    """
    completed = dict(state_dict)
    saved = state_dict["param_groups"]
    completed["param_groups"] = [
        {**{name: live[name] for name in options}, **group}
        for group, live in zip(saved, groups, strict=False)
    ] + list(saved[len(groups) :])
    return completed
