"""How fast the parameters of priors are learned."""

PACE = 10.0
"""What a parameter is multiplied by, which makes an optimiser's steps so many times as long.

Few numbers describe a prior, and the best ones follow from the latents at once. One that lags
behind the networks holds the latents where it was: a mixture of two, for motifs of two kinds, then
stays a single wide one (benchmarks/priors).
"""
