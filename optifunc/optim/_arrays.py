"""Values of a checkpoint as arrays, whichever library they come from."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a torch tensor, told without importing torch."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(
        value, "detach"
    )


def is_array(value: Any) -> bool:
    """Whether ``value`` is an array of NumPy, JAX or torch."""
    return isinstance(value, np.ndarray | np.generic | jax.Array) or is_tensor(value)


def as_numpy(value: Any) -> np.ndarray[Any, Any]:
    """An array of NumPy, JAX or torch as a NumPy array of its own memory.

    A torch tensor may lie on another device, need a gradient or be bfloat16.
    """
    if not is_tensor(value):
        return np.array(value)
    tensor = value.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        # NumPy's bfloat16 is unknown to torch; float32 holds all its values.
        return np.array(tensor.float().numpy()).astype(jnp.bfloat16)
    return np.array(tensor.numpy())


def without_tensors(value: Any) -> Any:
    """A copy of nested dicts, lists and tuples in which every array is NumPy's."""
    if is_array(value):
        return as_numpy(value)
    if isinstance(value, Mapping):
        return {key: without_tensors(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(without_tensors, value))
    return value


def cast_like(value: Any, param: Any, key: Any = None) -> Any:
    """A checkpoint's value in its parameter's dtype, by torch's rules.

    Arrays of a real floating point parameter get its dtype; ``step`` keeps its own,
    as do the arrays of a complex parameter. Lists and dicts are cast inside; anything
    else stays.
    """
    if isinstance(value, Mapping):
        return {k: cast_like(x, param, k) for k, x in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(cast_like(x, param) for x in value)
    if not isinstance(value, np.ndarray) or key == "step":
        return value
    real = jnp.issubdtype(param.dtype, jnp.floating)
    return value.astype(param.dtype) if real else value
