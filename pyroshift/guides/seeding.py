"""Where classes start from: mean windows of each kind, by alignment to several references.

Classes that start alike stay alike, or share one kind of motif by its turns. So some of the windows
are sorted first, each by the reference that it looks most like in any pose, and each reference is
made anew of its windows, in turns; the first ones are single windows, the next always one of those
that the others explain worst. Of several such runs the one is taken that explains most.

Scheres and others, "Maximum-likelihood multi-reference refinement for electron microscopy images",
Journal of Molecular Biology 348, 139 (2005); Arthur and Vassilvitskii, "k-means++", SODA 2007.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pyroshift.guides.bins import PoseBins
from pyroshift.guides.search import Found
from pyroshift.guides.template import blurred
from pyroshift.guides.vector import unpack, within
from pyroshift.model.decoders import CanvasDecoder, look_at
from pyroshift.model.guide import Pair
from pyroshift.model.pose import half_window

_RUNS = 4
_TURNS = 8
# Windows' worth of a flat reference that each one is made with: of few windows it would be noise,
# which explains these and no others.
_BELIEF = 10.0


@dataclass(frozen=True)
class Sorter:
    """What is needed to sort windows by references.

    Args:
        pair: an untrained pair with classes, whose decoder is a canvas.
        bins: its bins.
        planes: windows, standardized, `batch x plane x pixels`, not a number where not taken.
        search: finds class and pose of all windows by the canvases as they are.
    """

    pair: Pair
    bins: PoseBins
    planes: Tensor
    search: Callable[[], Found]

    @torch.no_grad()
    def start(self, seed: int = 0) -> None:
        """Let the decoder's classes start from the references that explain most."""
        generator = torch.Generator().manual_seed(seed)
        runs = [self._run(generator) for _ in range(_RUNS)]
        self._draw(max(runs, key=lambda run: run[1])[0])

    def _run(self, generator: torch.Generator) -> tuple[Tensor, float]:
        """References of one run, `class x canvas`, and how well they explain the windows."""
        count = self.pair.classes
        first = torch.randint(len(self.planes), (), generator=generator)
        references = self._alone(first).expand(count, *self._alone(first).shape).clone()
        for kind in range(1, count):
            self._draw(references)
            references[kind] = self._alone(self._unexplained(self.search(), generator))
        for _ in range(_TURNS):
            self._draw(references)
            found = self.search()
            references = self._renewed(found, generator)
        self._draw(references)
        return references, float(self.search().evidence.mean())

    def _unexplained(self, found: Found, generator: torch.Generator) -> Tensor:
        """Number of a window, the likelier the worse the references explain it."""
        energy = self.planes.nan_to_num(0.0).square().flatten(1).sum(1) / 2
        left = (energy - found.evidence).cpu()
        left = (left - left.min()).clamp(min=1e-6)
        return torch.multinomial(left, 1, generator=generator)[0]

    def _alone(self, number: Tensor) -> Tensor:
        """The reference of one window as it lies."""
        pose = self.bins.shifts.square().sum(-1).argmin().reshape(1)
        return self._mean(self.planes[number : number + 1], pose)

    def _renewed(self, found: Found, generator: torch.Generator) -> Tensor:
        """References of the windows that look most like each, in the poses that were found."""
        size = found.joint.shape[2]
        best = found.joint.flatten(1).argmax(1)
        references = []
        for kind in range(self.pair.classes):
            own = best // size == kind
            if bool(own.any()):
                references.append(self._mean(self.planes[own], best[own] % size))
            else:
                references.append(self._alone(self._unexplained(found, generator)))
        return torch.stack(references)

    def _mean(self, planes: Tensor, pose: Tensor) -> Tensor:
        """Mean of windows brought back into the motif's frame, over the canvas, by plane."""
        pair, stack = self.pair, planes.shape[1]
        shape = tuple(size + 2 for size in self._decoder.canvas_shape)
        unit = half_window(pair.window)
        axes = [(torch.arange(size) - (size - 1) / 2) / unit for size in shape]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).to(planes)
        values = unpack(pair, within(pair, pose).mean)
        total = seen = torch.zeros(())
        for rows in torch.arange(len(planes)).split(256):
            own = {name: value[rows] for name, value in values.items()}
            points = pair.out_of_motif(grid.expand(len(rows), *grid.shape), own)
            taken = ~torch.isnan(planes[rows])
            for part, there in ((planes[rows].nan_to_num(0.0), False), (taken.to(planes), True)):
                read = look_at(part, points, pair.window, beyond="zeros", maps=stack).sum(0)
                total, seen = (total, seen + read) if there else (total + read, seen)
        mean = blurred(total / (seen + _BELIEF), self._width)
        return pair.likelihood.start(mean if self._stacked else mean.squeeze(-1))

    @property
    def _width(self) -> float:
        """By how many pixels references are blurred."""
        return max(self.pair.window) / 32

    @property
    def _stacked(self) -> bool:
        return self.pair.likelihood.statistics is not None

    @property
    def _decoder(self) -> CanvasDecoder:
        return self.pair.decoder  # type: ignore[return-value]

    def _draw(self, references: Tensor) -> None:
        """Give the decoder's classes their references."""
        for kind, reference in enumerate(references):
            self._decoder.start_from(reference, kind)
