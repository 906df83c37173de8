"""What `pyroshift COMMAND --help` says of each command, and examples."""

DESCRIPTION = """\
Find what varies in a microscope image. It is cut into windows, and each is described by what its
motif looks like (the latents z), apart from where it sits (offset) and how it is turned (angle)."""
EPILOG = """\
start here:
  pyroshift demo          the whole way on a real STM image, in minutes
  pyroshift fit --help    what every option means, with examples
"""
FIT_DESCRIPTION = """\
Cut an image into windows, train a model on them, and map what it finds. The folder DIR gets
maps.nc (the maps, for xarray), maps.png, manifold.png, reconstructions.png, training.png,
history.nc, model.pt, and report.html, which explains them. Ctrl-C during the training ends it
early: what has been learnt is kept and mapped."""
FIT_EPILOG = """\
which model:
  shift   lattices: windows differ by where the lattice sits in them
  rvae    grains or particles that are turned against each other; with --offsets where the windows
          aren't centred on them
  vae     the baseline, without pose: shifts and turns end up in z

examples:
  pyroshift fit graphite.tif --window auto --out quick_look
  pyroshift fit graphite.tif --window 40 --step 12 --out graphite
  pyroshift fit graphite.tif --window 40 --step 12 --out graphite --resume
  torchrun --nproc-per-node 4 -m pyroshift fit graphite.tif --window 40 --out graphite
  pyroshift fit manganite.tif --window auto --normalize image --out manganite
  pyroshift fit graphene.npy --model rvae --window 32 --at-atoms --interpolate --symmetry 3 \\
      --out grains
  pyroshift fit graphene.npy --model rvae --window 32 --positions atoms/atoms.nc --out grains
  pyroshift fit particles.tif --model rvae --offsets --window 48 --out particles
  pyroshift fit scan.sxm --channel Z --level 1 --window 48 --latent-dim 3 --out scan
  pyroshift fit pfm.ibw --channel Amplitude --channel Phase --likelihood Phase=von_mises \\
      --normalize none --window 32 --out pfm
  pyroshift fit particles.tif --model rvae --offsets --classes 3 --window 48 --out kinds
"""
ENCODE_DESCRIPTION = """\
Map an image with a model that is trained: the same image on a finer grid, or another one taken
alike. Prepare it as for `fit`, by the same --channel, --level and --normalize; the window is the
model's, and so are several channels, unless others are named. With --out maps.zarr the maps are
written block by block, so that the image may be larger than the memory: a .npy file or a Zarr array
is then read block by block too, unless --level needs all of it. Ctrl-C keeps the blocks that are
done, and the same command goes on with the others. With --scheduler a Dask cluster does it."""
ENCODE_EPILOG = """\
examples:
  pyroshift encode graphite/model.pt graphite.tif --step 5 --out graphite_fine.nc
  pyroshift encode graphite/model.pt mosaic.npy --step 2 --out mosaic.zarr
  pyroshift encode graphite/model.pt mosaic.zarr --out maps.zarr --scheduler tcp://host:8786
"""
EVIDENCE_DESCRIPTION = """\
Tell how probable saved models hold the windows of an image, their latents integrated out: the log
evidence, by importance weights of the guide's draws. Of several models the best comes first, and
differences are paired by window. Prepare the image as for `fit`. Models are only compared fairly by
windows that none of them was trained on: another image, or --held-out with the same share, image
and windows as in `fit --held-out`. The folder DIR gets evidence.csv (the table), evidence.nc (for
xarray, with the evidence of each window) and evidence.png: of one model where its guide can be
trusted, of several how they compare."""
EVIDENCE_EPILOG = """\
examples:
  pyroshift fit graphite.tif --window 40 --held-out 0.2 --out two
  pyroshift fit graphite.tif --window 40 --held-out 0.2 --latent-dim 3 --out three
  pyroshift evidence two/model.pt three/model.pt graphite.tif --held-out 0.2 --out compared
  pyroshift evidence two/model.pt another.tif --out trusted
"""
SEARCH_DESCRIPTION = """\
Train on an image once for each of many KL weights, initial and final, and more if asked for, and
find those for which the map of a latent is smoothest, as physical order parameters are. The folder
DIR gets search.nc (all scores and maps, for xarray), search.png, model.pt (the best model, for
`pyroshift encode`), and every single training. Ctrl-C keeps the trainings that are done. Needs
pyroshift[search]."""
SEARCH_EPILOG = """\
examples:
  pyroshift search graphite.tif --window 40 --step 12 --out search
  pyroshift search graphite.tif --window 40 --step 12 --out search --resume
  pyroshift search graphite.tif --window 40 --trainings 9 --workers 4 --out search
  pyroshift search graphite.tif --vary window 28 40 --initial 0.1 1 --final 1 --out search
"""
ATOMS_DESCRIPTION = """\
Find the atoms of an image, or of every frame of a stack, to a fraction of a pixel. The folder DIR
gets atoms.nc (positions with their uncertainties, for xarray, and for `fit --positions`), atoms.csv
(the same as a table, in pixels), and atoms.png, which is worth a look. Needs pyroshift[atoms]."""
ATOMS_EPILOG = """\
examples:
  pyroshift atoms graphene.npy --out atoms
  pyroshift atoms perovskite.dm4 --sublattices 2 --out atoms
  pyroshift atoms movie.hspy --dark --track --out atoms
  pyroshift fit movie.hspy --model rvae --window 32 --positions atoms/atoms.nc --out result
"""
STRAIN_DESCRIPTION = """\
Map how the lattice in an image is displaced, stretched, sheared and turned, with intervals, and
where its dislocations are. As for `fit`, a shift-VAE is trained on windows of the image; its
offsets tell where the lattice is. The folder DIR gets displacement.nc and strain.nc (for xarray),
their pictures, dislocations.csv, and all that `fit` leaves, with a report. Needs
pyroshift[atoms]."""
STRAIN_EPILOG = """\
examples:
  pyroshift strain manganite.tif --out strain
  pyroshift strain film.dm4 --region 0 5 0 20 --resolution 2 --out strain
  pyroshift strain gold.npy --vectors 20.1 0 0 20.1 --fixed --finite --out strain
"""
DOMAINS_DESCRIPTION = """\
Find ferroelectric domains and their walls in piezoresponse: an rVAE is trained on windows of
amplitude and phase, as by `fit`, and walls are drawn where the phase goes to its opposite. The
folder DIR gets walls.nc (for xarray) and walls.csv, point by point with angles, curvatures and
their intervals; walls.png and rose.png; with --second also switched.nc and switched.png; and all
that `fit` leaves, with a report. Needs pyroshift[atoms]."""
DOMAINS_EPILOG = """\
which windows:
  small (8 to 16 px), --latent-dim 1    in which domain a window is, or on a wall
  large (some domains across)           how much has switched, and how complex domains are

examples:
  pyroshift domains pfm.ibw --out domains
  pyroshift domains pfm.ibw --window 12 --step 4 --latent-dim 1 --out walls
  pyroshift domains before.h5 --second after.h5 --window 40 --out switched
  pyroshift domains pfm.sxm --channel LI1_R --channel LI1_Theta --phase LI1_Theta --out domains
"""
PATTERNS_DESCRIPTION = """\
Map how the beam is deflected over a scan with a diffraction pattern at every position (4D-STEM),
with its uncertainty, apart from what changes within the patterns. A shift-VAE is trained on them:
its offsets are the deflection, its latents z the rest. The folder DIR gets deflection.png and all
that `fit` leaves, with a report."""
PATTERNS_EPILOG = """\
examples:
  pyroshift patterns scan.hspy --out deflection
  pyroshift patterns scan.mib --binning 4 --mask beam_stop.npy --latent-dim 3 --out deflection
  pyroshift patterns scan.npy --scan-step 0.5 nm --detector-step 0.8 mrad --out deflection
"""
SPECTRA_DESCRIPTION = """\
Find what varies in a cube of spectra: energy losses, tunnelling curves, resonances. Each spectrum
is a window of its own, described by its latents z, apart from its offset along the axis, such as
the drift of the zero-loss peak. Where latents cluster are classes. The folder DIR gets maps.nc, all
that `fit` leaves, where the peak is (peak.png), which class each spectrum is of (classified.nc,
abundances.png), their mean spectra with the drift taken off (spectra.nc, spectra.png), and
report.html. Needs pyroshift[atoms]."""
SPECTRA_EPILOG = """\
examples:
  pyroshift spectra eels.dm4 --classes 2 --out plasmons
  pyroshift spectra eels.hspy --range -1 5 --peak -0.5 0.5 --classes 3 --out plasmons
  pyroshift spectra curves.hf5 --out curves
  pyroshift spectra resonances.npy --offset-scale 0.1 --classes 2 --out resonances
"""
DEMO_DESCRIPTION = """\
Run `pyroshift fit` on a scanning tunnelling microscope's image of Si(111)-7x7 with a step edge. The
image comes with the package SPIEPy: pip install pyroshift[demo]."""
