"""Functions that run before and after a step, a save and a load."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

Hook = Callable[..., Any]


class RemovableHandle:
    """The result of a registration; ``remove()`` removes the hook."""

    def __init__(self, hooks: OrderedDict[int, Hook]) -> None:
        self._hooks = hooks
        self.id = max(hooks, default=-1) + 1

    def remove(self) -> None:
        """Remove the hook; calling this again has no effect."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks:
    """The six points at which an optimizer runs a user's functions, as in torch.

    Hooks run in the order of registration; ``prepend`` puts one first. They are not
    part of a pickle or a copy.
    """

    def __init__(self) -> None:
        self._step_pre: OrderedDict[int, Hook] = OrderedDict()
        self._step_post: OrderedDict[int, Hook] = OrderedDict()
        self._save_pre: OrderedDict[int, Hook] = OrderedDict()
        self._save_post: OrderedDict[int, Hook] = OrderedDict()
        self._load_pre: OrderedDict[int, Hook] = OrderedDict()
        self._load_post: OrderedDict[int, Hook] = OrderedDict()

    @staticmethod
    def _register(
        hooks: OrderedDict[int, Hook], hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step.

        ``args`` starts with the optimizer. The hook returns None, or a new pair
        ``(args, kwargs)``.
        """
        return self._register(self._step_pre, hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._register(self._step_post, hook)

    def register_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before `state_dict`."""
        return self._register(self._save_pre, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after `state_dict`.

        The hook returns None, or the state dict to return instead.
        """
        return self._register(self._save_post, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before `load_state_dict`.

        The hook receives a shallow copy; it returns None, or the state dict to load.
        """
        return self._register(self._load_pre, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after `load_state_dict`."""
        return self._register(self._load_post, hook, prepend)


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """Let the hooks run around a method that takes a step."""

    @functools.wraps(step)
    def with_hooks(*args: Any, **kwargs: Any) -> Any:
        optimizer: Hooks = args[0]
        for hook in tuple(optimizer._step_pre.values()):
            changed = hook(optimizer, args, kwargs)
            if changed is None:
                continue
            if not isinstance(changed, tuple) or len(changed) != 2:
                raise RuntimeError(
                    f"{step.__name__}: a pre-hook must return None or a tuple of "
                    f"(new_args, new_kwargs), but got {changed}"
                )
            args, kwargs = changed
        result = step(*args, **kwargs)
        for hook in tuple(optimizer._step_post.values()):
            hook(optimizer, args, kwargs)
        return result

    return with_hooks
