"""Damaged files never give anything but a result or an error of ours, quickly and in little room.

PYROSHIFT_FUZZ=2000 damages each file so often instead of a hundred times; it takes some minutes.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
from microscopes import write_berkeley, write_dm, write_emi, write_ser, write_velox
from PIL import Image
from writers import (
    KNOWN,
    signal,
    write_gwyddion,
    write_igor,
    write_nanonis,
    write_nsid,
    write_usid,
    write_zspy,
)

import pyroshift as ps

COUNT = int(os.environ.get("PYROSHIFT_FUZZ", "100"))
IMAGE = np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32)
GREY = (IMAGE * 40 + 128).clip(0, 255).astype(np.uint8)
STACK = np.stack([GREY, GREY + 1] * 2)
CUBE = np.stack([IMAGE] * 6)
AXES = [("y", 0.5, "nm"), ("x", 0.5, "nm")]


def everyday(folder):
    """NPY, pictures and TIFF."""
    np.save(folder / "image.npy", IMAGE)
    np.save(folder / "spectra.npy", CUBE)
    for extension in ("png", "jpg", "bmp"):
        Image.fromarray(GREY).save(folder / f"grey.{extension}")
    Image.fromarray(GREY).convert("P").save(folder / "palette.png")
    described = {"axes": "TYX", "unit": "nm", "finterval": 0.5}
    tifffile.imwrite(folder / "imagej.tif", STACK, imagej=True, metadata=described)
    described = {"axes": "CYX", "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0}
    tifffile.imwrite(folder / "ome.tif", STACK, ome=True, metadata=described)
    packed = {"compression": "zlib", "tile": (16, 16), "bigtiff": True}
    tifffile.imwrite(folder / "packed.tif", GREY, **packed)
    fei = [(34682, 2, 0, "[Scan]\r\nPixelWidth=2e-9\r\nPixelHeight=3e-9\r\n", True)]
    tifffile.imwrite(folder / "fei.tif", IMAGE, extratags=fei, metadata=None)


def hdf5(folder):
    """The layouts in HDF5, and zarr's."""
    import h5py
    from rsciio import hspy

    y, x = ((name, "SPATIAL", np.arange(size) * 0.5, "nm") for name, size in (("y", 12), ("x", 16)))
    write_nsid(h5py, folder / "nsid.h5", {"Channel_0": (IMAGE, "Height", "IMAGE", [y, x])})
    write_usid(h5py, folder / "usid.h5", IMAGE.reshape(-1)[:20, None])
    write_berkeley(h5py, folder / "berkeley.emd", IMAGE, AXES)
    write_velox(h5py, folder / "velox.emd", STACK, 12e-12)
    with h5py.File(folder / "packed.h5", "w") as file:
        file.create_dataset("image", data=IMAGE, compression="gzip", chunks=(4, 4))
    hspy.file_writer(str(folder / "signal.hspy"), signal(IMAGE, 0))
    write_zspy(folder / "signal.zspy")


def probes(folder):
    """Gwyddion, Igor and Nanonis."""
    write_gwyddion(folder / "fields.gwy", {"Height": KNOWN, "Phase": KNOWN})
    write_igor(folder / "wave.ibw", IMAGE, 2e-9)
    write_nanonis(folder / "scan.sxm", np.zeros((2, 2, 4, 5)), "up")


def microscopes(folder):
    """DigitalMicrograph and TIA."""
    write_dm(folder / "image.dm3", IMAGE, [(0.5, "nm"), (0.5, "nm")], version=3)
    write_dm(folder / "spectra.dm4", CUBE, [(0.5, "eV"), (0.5, "nm"), (0.5, "nm")])
    write_ser(folder / "series.ser", CUBE[:2], 2e-11)
    write_emi(folder / "pattern.emi", CUBE[:2], 4e7, "Diffraction")


def models(folder):
    """What `ps.load` reads."""
    ps.save(ps.ShiftVAE((8, 8)), folder / "model.pt")


def streams(folder):
    """Velox's streams of spectra."""
    import h5py

    write_velox(h5py, folder / "spectra.emd", STACK[:1], 12e-12, np.ones((12, 16, 4), int))


# What writes the files, and the packages that reading or writing them needs.
GROUPS = {
    everyday: (),
    hdf5: ("h5py", "rsciio", "zarr"),
    probes: ("gwyfile", "igor2", "nanonispy2"),
    microscopes: ("rsciio",),
    streams: ("h5py", "rsciio", "sparse"),
    models: (),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What went wrong with damaged files, line by line, by what wrote them."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "damaged").mkdir()
    names = {}
    for write, packages in GROUPS.items():
        if all(map(find_spec, packages)):
            own = folder / "intact" / write.__name__
            own.mkdir(parents=True)
            write(own)
            names[write] = sorted(path.name for path in own.iterdir())
            for path in own.iterdir():
                path.rename(folder / "intact" / path.name)
            own.rmdir()
    script = Path(__file__).with_name("fuzz.py")
    wanted = [name for own in names.values() for name in own if not name.endswith("_1.ser")]
    run = subprocess.run(
        [sys.executable, str(script), str(folder), str(COUNT), "0", *wanted],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stderr[-2000:]
    lines = run.stdout.splitlines()
    assert all(line.startswith(tuple(wanted)) for line in lines), run.stdout
    return {
        write: [each for each in lines if each.startswith(tuple(own))]
        for write, own in names.items()
    }


@pytest.mark.parametrize("write", GROUPS)
def test_damage_is_told(told, write):
    for package in GROUPS[write]:
        pytest.importorskip(package, reason=f"{package} is not installed: its files aren't damaged")
    assert told[write] == []


FAULTS = """
import os, signal, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {here!r})
import fuzz

def read(path):
    number = int(Path(sys.argv[1], "case").read_text()) if path.parent.name == "damaged" else 5
    if number == 0: os.kill(os.getpid(), signal.SIGSEGV)
    while number == 1: pass
    if number == 2: raise KeyError("foreign")
    if number == 3: np.ones(10**7)
    if number == 4: raise fuzz.ReaderError("ours")

fuzz.read, fuzz.PATIENCE, fuzz.MOST_MEMORY = read, 2, 5 * 10**7
fuzz.main(sys.argv[1], 6, 0, ["image.npy"])
"""


def test_what_goes_wrong_is_seen(tmp_path):
    """A crash, a hang, a foreign error and too much memory are told; what is right is not."""
    for name in ("intact", "damaged"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "image.npy", IMAGE)
    run = subprocess.run(
        [sys.executable, "-c", FAULTS.format(here=str(Path(__file__).parent)), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout.splitlines() == [
        "image.npy, truncated, 0: ended with -11",
        "image.npy, swapped, 1: 2 s",
        "image.npy, random_bytes, 2: KeyError: 'foreign'",
        "image.npy, truncated, 3: more than 0.05 GB",
    ]
