"""The guide of a bridge: it reads latents off the source, and never sees the target."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.data.pairs import SOURCE
from pyroshift.errors import DataError, SpecificationError
from pyroshift.guides.normal import NormalGuide, posterior_head
from pyroshift.model.batch import Batch, as_batch
from pyroshift.model.encoders import count_features
from pyroshift.model.guide import Guide, Pair
from pyroshift.model.sites import Content, Site


class SourceGuide(NormalGuide):
    """Latents of a target from its source alone, so that they are there before the target is.

    Args:
        window: height and width of the source's windows, or the one length of its signals.
        channels: how many channels the source has; None for a source without such an axis.

    Example:
        >>> from pyroshift import Bridge
        >>> Bridge((9, 9), (64,)).guide_module.shape
        (9, 9)
    """

    location: Tensor
    spread: Tensor

    def __init__(self, window: Sequence[int], channels: int | None = None) -> None:
        super().__init__()
        self.window, self.channels = tuple(window), channels
        self.register_buffer("location", torch.zeros(channels or 1))
        self.register_buffer("spread", torch.ones(channels or 1))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a source's window, its channels first if it has any."""
        return self.window if self.channels is None else (self.channels, *self.window)

    def setup(self, pair: Pair) -> None:
        """One linear head per site, on features of the source.

        Raises:
            SpecificationError: if there are sites other than of content.
        """
        if others := [site.name for site in pair.sites if not isinstance(site, Content)]:
            raise SpecificationError(
                f"a bridge has no sites but of content, and {others} would be of the target, which "
                "isn't there to read them off: leave them out"
            )
        features = count_features(pair.encoder, self.shape) + len(pair.condition)
        self.heads = torch.nn.ModuleDict()
        for site in pair.sites:
            self.heads[site.name] = posterior_head(site, features)

    @torch.no_grad()
    def start(self, pair: Pair, x: Tensor | Batch) -> None:
        """Take the source's units from the first windows."""
        each = self._source(pair, as_batch(x)).reshape(len(as_batch(x).x), len(self.location), -1)
        for number, values in enumerate(each.unbind(1)):
            values = values[~values.isnan()].double()
            spread = float(values.std(correction=0))
            self.location[number] = float(values.mean())
            self.spread[number] = spread if spread > 0 else 1.0

    def posterior(
        self, pair: Pair, x: Tensor | Batch, learn: bool = False
    ) -> dict[str, Distribution]:
        """The posterior of each site by name, given the source.

        Args:
            pair: the pair.
            x: a batch whose source is known; its own data don't count.
            learn: whether what sites learn from their posteriors may follow these.
        """
        batch = as_batch(x)
        units = (-1, *(1,) * len(self.window))[self.channels is None :]
        source = self._source(pair, batch) - self.location.reshape(units)
        # What wasn't taken is as the source is on average.
        features = pair.encoder((source / self.spread.reshape(units)).nan_to_num(0.0))
        covariates = pair.covariates(batch.known, len(batch)).values()
        features = torch.cat([features, *covariates], -1)
        known = pair.needed(batch.known)
        return {
            site.name: site.posterior_given(self.heads[site.name](features), known, learn)
            for site in pair.sites
        }

    def posterior_of(self, pair: Pair, site: Site, seen: Tensor) -> Distribution:
        """There is none given targets alone; says so."""
        return Guide.posterior_of(self, pair, site, seen)

    def _source(self, pair: Pair, batch: Batch) -> Tensor:
        """The source's windows, `batch x shape`.

        Raises:
            DataError: if they aren't known, or of another shape.
        """
        known: Mapping[str, Tensor] = batch.known
        if SOURCE not in known:
            raise DataError(
                "a bridge reads its latents off a source, but these data come without: train on "
                "pair_patches(source, target), and predict(bridge, source)"
            )
        source = known[SOURCE].to(pair.grid)
        if source.shape[1:] != self.shape:
            raise DataError(
                f"the bridge reads sources of shape {self.shape}, but these are of "
                f"{tuple(source.shape[1:])}: cut windows of that size, with as many channels"
            )
        return source

    def extra_repr(self) -> str:
        """What sources are like; a checkpoint goes by it."""
        units = [
            f"{float(location):.6g} ± {float(spread):.6g}"
            for location, spread in zip(self.location, self.spread, strict=True)
        ]
        return f"source {' x '.join(map(str, self.shape))}, {', '.join(units)}"
