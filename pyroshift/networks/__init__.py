"""Encoders and decoders, ordinary torch modules that know nothing of Pyro."""
