r"""Estimators of the gradient of a bound, one per file.

The relaxed systems are reparameterized (`reparameterized`, `doubly_reparameterized`). The others keep the
bits $z_k \sim q(z \mid x)$, $k = 1, \ldots, K$, and estimate the gradient of the ELBO (`rloo`, `disarm`,
`rebar`) or of the importance-weighted bound (`vimco`) of

$$
f_k = \log p(x \mid z_k) + \gamma \left(\log p(z_k) - \log q(z_k \mid x)\right)
$$

without bias, given the gradient of $\log Z$. Each takes a `BoundParts` and returns a `RelaxedBound`, whose
value is that of the bound and whose gradient is the estimate. Batch norms in training make the samples of a
batch depend on each other a little, which every estimator ignores.
"""

from .base import BoundParts, RelaxedBound
from .disarm import disarm
from .rebar import ControlVariate, rebar
from .reparameterized import doubly_reparameterized, reparameterized
from .rloo import rloo
from .vimco import vimco

__all__ = [
    "BoundParts",
    "ControlVariate",
    "RelaxedBound",
    "disarm",
    "doubly_reparameterized",
    "rebar",
    "reparameterized",
    "rloo",
    "vimco",
]
