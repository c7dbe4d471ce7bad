"""torch.optim's mathematics as pure, chainable JAX gradient transformations."""

import typing as _typing

from ._public import offered as _offered

__version__ = "0.1.0"

if _typing.TYPE_CHECKING:
    from . import (
        fused as fused,
        interop as interop,
        linalg as linalg,
        losses as losses,
        optim as optim,
        optimizers as optimizers,
        projections as projections,
        schedules as schedules,
        sharding as sharding,
        transforms as transforms,
        wrappers as wrappers,
    )
    from ._dataclass import child as child, static as static
    from ._describe import (
        Description as Description,
        ParameterRow as ParameterRow,
        describe as describe,
    )
    from ._evaluation import eval_params as eval_params
    from ._gradients import scale_gradient as scale_gradient
    from ._hyperparameters import (
        current_hyperparameters as current_hyperparameters,
        replace_hyperparameters as replace_hyperparameters,
    )
    from ._learning_rate_finder import find_learning_rate as find_learning_rate
    from ._learning_rates import LearningRateSearch as LearningRateSearch
    from ._microbatches import (
        microbatched_value_and_grad as microbatched_value_and_grad,
    )
    from ._post_hoc_ema import (
        post_hoc_ema as post_hoc_ema,
        post_hoc_ema_weights as post_hoc_ema_weights,
        power_ema_gamma as power_ema_gamma,
    )
    from ._quantization import QuantizedArray as QuantizedArray
    from ._soups import greedy_soup as greedy_soup, uniform_soup as uniform_soup
    from ._stalled import StalledStateWarning as StalledStateWarning
    from ._state import (
        Concatenated as Concatenated,
        Keeps as Keeps,
        NonNegative as NonNegative,
        PerParameter as PerParameter,
        Restarting as Restarting,
        Shared as Shared,
        find_all_in_state as find_all_in_state,
        find_in_state as find_in_state,
        map_state as map_state,
    )
    from ._transformation import (
        GradientTransformation as GradientTransformation,
        Stateless as Stateless,
        apply_updates as apply_updates,
        identity as identity,
        transformation as transformation,
    )
    from ._tree import global_norm as global_norm
    from .fused import apply_gradients as apply_gradients, fuse as fuse
    from .optimizers import *  # noqa: F403
    from .transforms import *  # noqa: F403
    from .wrappers import *  # noqa: F403
else:
    __all__, __dir__, __getattr__ = _offered(__name__)
