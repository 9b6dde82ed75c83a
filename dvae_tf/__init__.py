"""Variational autoencoders with a binary code and a Boltzmann-machine prior.

The subpackages, lowest first: `numerics`, `config`, `data`, `rbm`, `smoothing`, `samplers`, `partition`,
`priors`, `networks`, `posterior`, `objectives`, `models`, `evaluation`, `training`.
"""

__version__ = "0.1.0"
