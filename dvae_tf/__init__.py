"""Variational autoencoders with a binary code and a Boltzmann-machine prior.

Each subpackage is imported when it is first accessed: `import dvae_tf; dvae_tf.smoothing.Power` works, and
`import dvae_tf` alone does not import TensorFlow. The main ones, lowest first: `numerics`, `products`,
`graphs`, `config`, `data`, `rbm`, `smoothing`, `samplers`, `partition`, `priors`, `networks`, `local`,
`posterior`, `objectives`, `kl`, `estimators`, `models`, `evaluation`, `export`, `plots`, `training`.
"""

import importlib
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import (
        config,
        data,
        estimators,
        evaluation,
        export,
        graphs,
        kl,
        local,
        models,
        networks,
        numerics,
        objectives,
        partition,
        plots,
        posterior,
        priors,
        products,
        rbm,
        runs,
        samplers,
        smoothing,
        storage,
        support,
        training,
    )

__all__ = [
    "config",
    "data",
    "estimators",
    "evaluation",
    "export",
    "graphs",
    "kl",
    "local",
    "models",
    "networks",
    "numerics",
    "objectives",
    "partition",
    "plots",
    "posterior",
    "priors",
    "products",
    "rbm",
    "runs",
    "samplers",
    "smoothing",
    "storage",
    "support",
    "training",
]
__version__ = "0.2.0"


def __getattr__(name: str) -> types.ModuleType:
    if name in __all__:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
