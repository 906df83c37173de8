"""Stochastic variational inference: the ELBO, KL annealing, the training loop. Knows no images."""
