"""Small data in the place of the files and trainings that the site's pages name."""

import math
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch

import pyroshift as ps


@cache
def lattice():
    """Two phases of a lattice."""
    made = ps.synthetic.lattice_image((64, 64), period=8, phases=2, noise=0.1, seed=1)
    return made.image


@cache
def few_atoms():
    """Some atoms."""
    return ps.synthetic.lattice_image((60, 60), period=15, atom_width=2.5, noise=0.05).image


@cache
def counts():
    """The same by few electrons."""
    rate = 1 + 4 * lattice().clip(0)
    return rate.copy(data=np.random.default_rng(0).poisson(rate).astype(float))


@cache
def domains():
    """Amplitude and phase over ferroelectric domains."""
    image = ps.synthetic.domains((96, 96), size=5.0, offset=90.0).image.copy()
    names = [f"{str(name).capitalize()}Retrace" for name in image.channel.values]
    return image.assign_coords(channel=names)


def later():
    """The same, a part of which has switched."""
    image = domains().copy()
    phase = image.sel(channel="PhaseRetrace")[:30, :30]
    phase.values[...] = (phase.values + 180) % 360
    return image


@cache
def movie():
    """Atoms that switch between two states."""
    return ps.synthetic.switching(4, (2, 3)).image


@cache
def patterns():
    """Diffraction patterns of a scan."""
    return ps.synthetic.diffraction((5, 5), (24, 24), radius=8, dose=1e3).pattern


@cache
def spectra():
    """Energy losses of particles on a support."""
    return ps.synthetic.plasmons((8, 8), length=60, start=-1.0).counts


@cache
def structure():
    """An image, and spectra taken on it."""
    return ps.synthetic.structure_spectra((40, 40), seed=0)


USUAL, NARROW = ((128, 128), (256, 256)), (8,)  # widths of the networks' layers
FILES = {
    "scan.npy": lattice, "scan.dm4": lattice, "film.dm4": lattice, "atoms.npy": few_atoms,
    "counts.npy": counts, "pfm.ibw": domains, "later.ibw": later, "movie.hspy": movie,
    "scan.hspy": patterns, "eels.hspy": spectra, "topography.hspy": lambda: structure().image,
    "curves.hspy": lambda: structure().spectra,
}  # fmt: skip


@contextmanager
def in_place(monkeypatch):
    """Every reader gives small data, networks are narrow, searches coarse, trainings short."""
    fit, search, load = ps.fit, ps.search_kl, ps.load_patterns
    sample, calibrate = ps.sample, ps.calibrate

    def read(path, channel=None):
        return FILES[path]().copy()

    def trained(model, patches, epochs, **options):
        return fit(model, patches, epochs=1, **{"batch_size": 32, **options, "progress": False})

    def searched(*given, **options):
        return search(*given, **{**options, "epochs": 1, "progress": False})

    def chained(model, patches, **options):
        few = {**options, "draws": 8, "chains": 2, "progress": False}
        return sample(model, patches.subset(torch.arange(1)), **few)

    def ranked(model, **options):
        return calibrate(model, **{**options, "windows": 20, "draws": 25, "progress": False})

    with monkeypatch.context() as patched:
        patched.setattr(ps, "load_image", read)
        patched.setattr(ps, "load_spectra", read)
        patched.setattr(ps, "load_patterns", lambda path, **how: load(FILES[path](), **how))
        patched.setattr(ps, "fit", trained)
        patched.setattr(ps, "search_kl", searched)
        patched.setattr(ps, "sample", chained)
        patched.setattr(ps, "calibrate", ranked)
        for network in (ps.CanvasDecoder, ps.FullyConnectedEncoder):
            defaults = [NARROW if each in USUAL else each for each in network.__init__.__defaults__]
            patched.setattr(network.__init__, "__defaults__", tuple(defaults))
        patched.setattr(ps.AnchorGuide.__init__, "__defaults__", (1, 1, None, math.pi / 4))
        patched.setattr(ps.AnchorGuide, "rivals", 1)
        yield
