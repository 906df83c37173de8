"""Whether what maps say of their uncertainty allows for noise that the likelihood doesn't know."""

from argparse import Namespace, _ArgumentGroup
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroshift.model.pair import PoseVAE


def interval_options(group: _ArgumentGroup) -> None:
    """What the maps' uncertainties are to allow for."""
    group.add_argument(
        "--no-robust",
        action="store_false",
        dest="robust",
        help="give uncertainties as they are if noise is what the likelihood says, each pixel's "
        "its own; else they allow for noise as it is seen in what the model leaves unexplained, "
        "larger or of neighbouring pixels together",
    )


def are_robust(model: "PoseVAE", arguments: Namespace) -> bool:
    """Whether intervals are to be robust: unless forbidden, or windows have none of their own."""
    from pyroshift.maps.robust import of_neighbours

    return arguments.robust and not of_neighbours(model)
