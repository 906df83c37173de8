"""Checks of types and shapes at run time, as annotated; whole numbers pass for real ones."""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

# Not the models' constructors and `fit`, where users' own mistakes have errors of ours.
MODEL = ("brightness", "decoders", "distributions", "encoders", "families", "frame", "guide",
         "likelihood", "likelihoods", "noise", "counts", "phases", "linear_normal",
         "pose")  # fmt: skip
CHECKED = ["pyroshift.guides", "pyroshift.training.elbo", *(f"pyroshift.model.{n}" for n in MODEL)]

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check_shapes():
    """From now on, parts that are imported check what they are given and what they give back."""
    install_import_hook(CHECKED, "checked.checked")
