"""Draws as a tree of Datasets in ArviZ's layout."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.bayes.evidence import labels_of as evidence_labels
from pyroshift.bayes.parts import Part
from pyroshift.data.channels import channel_coords
from pyroshift.data.checks import CHANNEL
from pyroshift.data.patches import Patches
from pyroshift.maps.labels import attributes, coordinates, labels_of
from pyroshift.model.pair import PoseVAE

CHAIN, DRAW, PROPOSAL = "chain", "draw", "proposal"
PATCHES = "patches"  # what the data are called, as by Patches.to_xarray: x is a coordinate
POSTERIOR, PRIOR, OBSERVED = "posterior", "prior", "observed_data"
POSTERIOR_PREDICTIVE, PRIOR_PREDICTIVE = "posterior_predictive", "prior_predictive"
LOG_LIKELIHOOD, SAMPLE_STATS, IMPORTANCE = "log_likelihood", "sample_stats", "importance"
DIAGNOSTICS = "diagnostics"
_OF_WINDOWS = 3  # axes of what is told of each window: chain, draw, patch
_DRAWN = {
    POSTERIOR, PRIOR, POSTERIOR_PREDICTIVE, PRIOR_PREDICTIVE, LOG_LIKELIHOOD, SAMPLE_STATS,
}  # fmt: skip
_LABELS = {
    "lp": ("log density of window and latents", "nat"),
    "log_weight": ("log importance weight of each draw of the guide", "nat"),
    "diverging": ("whether the way to the draw diverged", "1"),
    "acceptance_rate": ("mean probability of acceptance", "1"),
    "step_size": ("step size of the chain", "1"),
}
R_HAT, ESS, ERROR, WIDTH = "_r_hat", "_ess", "_guide_error", "_guide_width"
_DIAGNOSED = {
    R_HAT: "split R-hat of the",
    ESS: "effective number of draws of the",
    ERROR: "guide's location less the mean, in standard deviations, of the",
    WIDTH: "guide's standard deviation over that of the draws, of the",
}
Groups = dict[str, dict[str, np.ndarray]]
"""Values by group and name: `chain x draw x patch x ...` of draws, else `patch x ...`."""


def in_one_chain(groups: Groups) -> Groups:
    """Groups of draws that are independent.

    Args:
        groups: values by group and name, those of draws `draw x patch x ...`.
    """
    drawn = {
        group: {name: value[np.newaxis] for name, value in values.items()}
        for group, values in groups.items()
        if group in _DRAWN
    }
    return groups | drawn


def joined(several: Sequence[Groups]) -> Groups:
    """Groups of some patches, and of others after them.

    Args:
        several: values by group and name, of each set of patches.
    """
    return {
        group: {
            name: np.concatenate([each[group][name] for each in several], 2 * (group in _DRAWN))
            for name in values
        }
        for group, values in several[0].items()
    }


class Labels:
    """What names, dimensions, coordinates and units the values of some patches have.

    Args:
        model: whose draws they are.
        patches: of which.
    """

    def __init__(self, model: PoseVAE, patches: Patches) -> None:
        self.model, self.patches = model, patches
        title = {"title": f"draws of {type(model).__name__}"}
        self.attrs = {**attributes(model, patches), **title}

    def datasets(self, groups: Groups, part: Part) -> dict[str, xr.Dataset]:
        """Each group as a Dataset over a part of the layout.

        Args:
            groups: values of the part's patches.
            part: which part.
        """
        return {
            group: xr.Dataset(
                {name: self._variable(group, name, each, part) for name, each in values.items()}
            )
            for group, values in groups.items()
        }

    def coords(self, group: str, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Coordinates of a group, over the whole layout."""
        if group == DIAGNOSTICS:
            values = {_diagnosed(name)[0]: value for name, value in values.items()}
        found = coordinates(self.model, self.patches, values)
        if PATCHES in values and (group != LOG_LIKELIHOOD or values[PATCHES].ndim > _OF_WINDOWS):
            found |= channel_coords(self.patches.channels, self.patches.channel_units)
        if group in _DRAWN:
            chains, draws = next(iter(values.values())).shape[:2]
            found |= {CHAIN: np.arange(chains), DRAW: np.arange(draws)}
        return found

    def _variable(self, group: str, name: str, values: np.ndarray, part: Part) -> xr.Variable:
        """Some values over a part of the layout."""
        leading: tuple[str, ...] = (CHAIN, DRAW) if group in _DRAWN else ()
        if name == "log_weight":
            leading = (PROPOSAL,)
        axes = values.ndim - 1 - len(leading)
        trailing, factor, attrs = self._labelled(group, name, axes)
        data = part.laid_out(values * factor, len(leading))
        return xr.Variable((*leading, *part.region, *trailing), data, attrs)

    def _labelled(
        self, group: str, name: str, axes: int
    ) -> tuple[tuple[str, ...], Any, dict[str, Any]]:
        """Trailing dimensions, factor into the unit, and attributes."""
        pixels = (*((CHANNEL,) if self.patches.channels else ()), *self.patches.pixel_dims)
        if group == LOG_LIKELIHOOD:
            what = "pixel" if axes else "window"
            attrs = {"long_name": f"log likelihood of each {what} given its latents"}
            return pixels if axes else (), 1.0, {**attrs, "units": "nat"}
        if name == PATCHES:
            return pixels, 1.0, {"long_name": "window"}
        if group == IMPORTANCE and name not in _LABELS:
            return (), 1.0, evidence_labels(name)
        if group == DIAGNOSTICS:
            site, long_name = _diagnosed(name)
            trailing, _, attrs = labels_of(site, self.patches, axes)
            return trailing, 1.0, {"long_name": f"{long_name} {attrs['long_name']}", "units": "1"}
        if name in _LABELS:
            long_name, units = _LABELS[name]
            return (), 1.0, {"long_name": long_name, "units": units}
        return labels_of(name, self.patches, axes)


def _diagnosed(name: str) -> tuple[str, str]:
    """The site that something is told of, and what it is in words."""
    ending = next(ending for ending in _DIAGNOSED if name.endswith(ending))
    return name.removesuffix(ending), _DIAGNOSED[ending]


class InMemory:
    """A tree that is filled part by part, all of it in memory.

    Args:
        labels: of the values.
        attrs: of the group that tells how far to trust the draws.
    """

    def __init__(self, labels: Labels, attrs: dict[str, Any]) -> None:
        self.labels, self.attrs = labels, attrs
        self.groups: dict[str, xr.Dataset] = {}

    def add(self, groups: Groups, part: Part) -> None:
        """Put a part where it belongs."""
        for group, dataset in self.labels.datasets(groups, part).items():
            if group not in self.groups:
                self.groups[group] = self.empty(group, dataset, groups[group])
            for name, variable in dataset.variables.items():
                place = tuple(part.region.get(str(dim), slice(None)) for dim in variable.dims)
                self.groups[group].variables[name].values[place] = variable.values

    def finish(self) -> xr.DataTree:
        """The tree."""
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs=self.labels.attrs), **self.groups})

    def empty(self, group: str, part: xr.Dataset, values: Mapping[str, np.ndarray]) -> xr.Dataset:
        """A group over the whole layout, NaN everywhere.

        Args:
            group: its name.
            part: the group of some patches.
            values: of these, by name.
        """
        layout = self.labels.patches.layout
        variables = {}
        for name, variable in part.variables.items():
            shape = [layout.get(str(dim), size) for dim, size in variable.sizes.items()]
            data = self.filled(shape, variable)
            variables[name] = xr.Variable(variable.dims, data, variable.attrs)
        attrs = {**self.labels.attrs, **(self.attrs if group in (IMPORTANCE, DIAGNOSTICS) else {})}
        return xr.Dataset(variables, self.labels.coords(group, values), attrs)

    def filled(self, shape: list[int], part: xr.Variable) -> Any:
        """NaN everywhere.

        Args:
            shape: of the whole.
            part: some of it.
        """
        return np.full(shape, np.nan, np.float32)
