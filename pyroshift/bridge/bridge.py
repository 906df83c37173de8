"""`Bridge`: one kind of data from another, with what the one doesn't tell of the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.bridge.reading import SourceGuide
from pyroshift.bridge.turns import TurnedEncoder
from pyroshift.data.gathering import Patches
from pyroshift.data.pairs import SOURCE, axis_labels, side
from pyroshift.data.pixels import Pixels
from pyroshift.errors import SpecificationError
from pyroshift.model.batch import Batch
from pyroshift.model.encoders import ENCODERS
from pyroshift.model.likelihoods import Likelihood
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import as_window, component, seed_all
from pyroshift.model.sites import CONTENT, Content, Site

_TURNS = 8
Likelihoods = str | Likelihood | Mapping[str, str | Likelihood]


class Bridge(PoseVAE):
    """Structure to spectrum, or spectrum to structure, as a Pyro model/guide pair.

    Generative story, for each target, such as a spectrum:

        z ~ Normal(0, 1)
        target ~ likelihood(decoder(z))

    and a guide q(z | source) that never sees the target: the source may be a window of an image
    about the place where the spectrum was taken. So z is what the source tells of the target, and
    no more. `fit` trains it on pairs, to a bound on the log probability of targets given sources,
    less the information that z takes from the source; `predict` gives the target of any source,
    in credible bands: a likelihood with a noise level of its own in each channel learns how far
    targets are from what sources tell. Swap the two sides for the way back.

    Args:
        source: what z is read off: `Patches`, spectra (`... x energy`), or the shape of windows.
        target: what is drawn: likewise. Of data, only shape, channels, and labels are taken, which
            predictions have again.
        latent_dim: number of latents z.
        likelihood: of the target, as of `VAE`; all but "von_mises".
        encoder: of the source: "fully_connected", "convolutional", or a module that returns
            `batch x features`.
        decoder: of the target: "canvas", "spatial", or a module called with (z, coordinates).
        turns: over how many turns of the source's windows the encoder's features are averaged, as
            `TurnedEncoder` says; by default 8 of square windows, for a structure that is turned has
            the same spectrum, and 1, which is none, of all else. Say 1 where directions matter: of
            the scan, of an electric field, of polarized light.
        priors: another prior of "z", a Pyro distribution, a module that makes one, or a `Site`.
        condition: names of covariates, which must be known of sources, by `Patches.assign`.
        seed: seed of the initial weights.

    Raises:
        SpecificationError: if something is unknown or doesn't fit.

    Source:
        arXiv:2009.10758 for the im2spec and spec2im networks; Alemi, Fischer, Dillon and Murphy,
        "Deep variational information bottleneck", ICLR 2017, for the bound.

    Example:
        >>> from pyroshift import Patches, fit, pair_patches, predict
        >>> windows, spectra = Patches.from_array(torch.rand(40, 9, 9)), torch.rand(40, 64)
        >>> bridge = Bridge(windows, spectra, latent_dim=1)
        >>> _ = fit(bridge, pair_patches(windows, spectra), epochs=1, progress=False)
        >>> dict(predict(bridge, windows)["mean"].sizes)
        {'patch': 40, 'x': 64}
    """

    kept = ("target", "source_pixels")
    target: dict[str, Any]  # labels of its axes and values
    source_pixels: Pixels | None  # what its pixels are, of windows with a size

    def __init__(
        self,
        source: Any,
        target: Any,
        latent_dim: int = 4,
        likelihood: Likelihoods = "heteroscedastic",
        encoder: str | nn.Module = "fully_connected",
        decoder: str | nn.Module = "canvas",
        *,
        turns: int | None = None,
        priors: Mapping[str, Distribution | nn.Module] | None = None,
        condition: str | Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        read, read_channels = _shape(source, "source")
        window, channels = _shape(target, "target")
        with torch.random.fork_rng(devices=[]):
            seed_all(seed)
            reader = component(
                "encoder", encoder, ENCODERS, read, window_channels=len(read_channels) or None
            )
        if turns is None:
            turns = _TURNS if len(read) == 2 and len(set(read)) == 1 else 1
        if turns != 1:
            reader = TurnedEncoder(reader, read, turns)
        super().__init__(
            window,
            [_content(latent_dim, priors or {})],
            likelihood=likelihood,
            encoder=reader,
            decoder=decoder,
            guide=SourceGuide(read, len(read_channels) or None),
            channels=channels or None,
            condition=condition,
            seed=seed,
        )
        if self.likelihood.statistics not in (None, len(self.channels)):
            raise SpecificationError(
                "phases that wrap have no band from a lower to an upper end: predict their cosine "
                "and sine, as two channels"
            )
        self.target = _labels(target, window)
        self.source_pixels = source.pixels if isinstance(source, Patches) else None

    @property
    def source_shape(self) -> tuple[int, ...]:
        """Shape of a source's window, its channels first if it has any."""
        return self._reader.shape

    def read(self, known: Mapping[str, Tensor]) -> dict[str, Distribution]:
        """The posterior of each site by name, given what is known of targets that aren't there.

        Args:
            known: by name, `batch x ...`: the sources' windows as "source", and covariates.
        """
        count = len(known[SOURCE])
        absent = self.grid.new_full((count, *self.shape), torch.nan)
        return self._reader.posterior(self, Batch(absent, known))

    @property
    def _reader(self) -> SourceGuide:
        assert isinstance(self.guide_module, SourceGuide)
        return self.guide_module


def _is_shape(data: Any) -> bool:
    """Whether one side is told by its window's shape alone."""
    numbers = data if isinstance(data, Sequence) else [data]
    return all(isinstance(size, int) for size in numbers)


def _shape(data: Any, name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The window of one side, and its channels."""
    if _is_shape(data):
        return as_window(data), ()
    patches = side(data, name)
    return patches.window, patches.channels


def _labels(data: Any, window: tuple[int, ...]) -> dict[str, Any]:
    """Labels of the target's axes; of a shape, numbers of pixels."""
    if _is_shape(data):
        data = Patches.from_array(torch.zeros(1, *window))
    return axis_labels(data, "target")


def _content(latent_dim: int, priors: Mapping[str, Any]) -> Site:
    """The site of z, with its default prior or the user's."""
    if unknown := set(priors) - {CONTENT}:
        raise SpecificationError(
            f"no site for the priors {sorted(unknown)}: a bridge's only site is {CONTENT!r}"
        )
    given = priors.get(CONTENT)
    return given if isinstance(given, Site) else Content(latent_dim, given)
