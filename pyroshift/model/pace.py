"""How fast the few parameters of noise and of priors are learned."""

PACE = 10.0
"""What such a parameter is multiplied by, which makes an optimiser's steps so many times as long.

An optimiser moves every parameter by about the learning rate per step, as is right for the weights
of networks. But a noise level has orders of magnitude to go, and few numbers describe a prior, of
which the best ones follow from the latents at once. One that lags behind the networks holds the
latents where it was: a mixture of two, for motifs of two kinds, then stays a single wide one
(benchmarks/priors).
"""
