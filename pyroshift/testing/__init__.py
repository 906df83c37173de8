"""What a site, likelihood, decoder, guide or model of one's own must satisfy, as checks to be run.

Each `check_...` raises one `CheckError` that lists everything that doesn't hold, and returns a
report of what does. Under pytest, each check by itself:

    @pytest.mark.parametrize("check", pyroshift.testing.MODEL_CHECKS, ids=lambda check: check.name)
    def test_my_model(check):
        check(pyroshift.testing.Subject(MyModel))
"""

from pyroshift.testing.decoders import DECODER_CHECKS, check_decoder
from pyroshift.testing.guides import check_guide
from pyroshift.testing.likelihoods import LIKELIHOOD_CHECKS, check_likelihood
from pyroshift.testing.models import MODEL_CHECKS, check_model
from pyroshift.testing.report import Check, CheckError, Report
from pyroshift.testing.sites import SITE_CHECKS, check_site
from pyroshift.testing.subject import Subject

__all__ = [
    "DECODER_CHECKS",
    "LIKELIHOOD_CHECKS",
    "MODEL_CHECKS",
    "SITE_CHECKS",
    "Check",
    "CheckError",
    "Report",
    "Subject",
    "check_decoder",
    "check_guide",
    "check_likelihood",
    "check_model",
    "check_site",
]
