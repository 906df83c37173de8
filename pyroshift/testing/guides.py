"""What every guide must satisfy: that of a model, in models of several kinds."""

from collections.abc import Callable
from functools import partial

from pyroshift.errors import SpecificationError
from pyroshift.model.guide import Guide
from pyroshift.model.pair import PoseVAE
from pyroshift.model.vae import RVAE, VAE, ShiftVAE
from pyroshift.testing.models import MODEL_CHECKS
from pyroshift.testing.report import CheckError, Report, run
from pyroshift.testing.subject import Subject

# Without pose, shifted, turned, shifted and turned and magnified; signals among them.
_MODELS: tuple[Callable[..., PoseVAE], ...] = (
    partial(VAE, (12,)),
    partial(ShiftVAE, (12,), latent_dim=1),
    partial(ShiftVAE, (5, 8)),
    partial(RVAE, (7, 7), latent_dim=1),
    partial(RVAE, (6, 8), offsets=True, scales=True),
)


def check_guide(make: Callable[[], Guide], *, classes: tuple[type, ...] = ()) -> list[Report]:
    """Everything that a guide of one's own must satisfy, in every model that it doesn't refuse.

    Args:
        make: makes a guide; its class, if that takes no arguments.
        classes: classes of your own that the guide is made of, beside its own.

    Returns:
        What was checked, for each model.

    Raises:
        CheckError: if anything doesn't hold, or the guide refuses all models.

    Example:
        >>> from pyroshift import NormalGuide
        >>> len(check_guide(NormalGuide))
        5
    """
    reports, reasons = [], []
    for model in _MODELS:
        try:
            guide = model(guide=make()).guide_module
        except SpecificationError as error:
            reasons.append(str(error))
            continue
        # A guide knows its pair, and so each model needs one of its own.
        subject = Subject(
            lambda seed, model=model: model(guide=make(), seed=seed), (type(guide), *classes)
        )
        name = f"{type(guide).__name__} in {model.func.__name__} of {model.args[0]}"  # type: ignore[attr-defined]
        reports.append(run(name, MODEL_CHECKS, subject))
    if not reports:
        raise CheckError(f"the guide refuses every model: {reasons}")
    return reports
