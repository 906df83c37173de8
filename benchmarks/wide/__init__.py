"""Channels, missing pixels and kinds of motif."""
