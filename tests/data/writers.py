"""Files as instruments write them, made from what their readers know of the formats."""

import numpy as np
import pytest
import xarray as xr

from pyroshift.data.readers import load_image
from pyroshift.errors import ReaderError

KNOWN = np.arange(20.0).reshape(4, 5)


def assert_same(image, array):
    assert image.dtype.kind == array.dtype.kind
    assert image.dtype.isnative
    np.testing.assert_array_equal(image.values, array)


def survives_netcdf(image, folder):
    path = folder / "image.nc"
    image.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataarray(path, engine="h5netcdf") as again:
        xr.testing.assert_identical(again.load(), image)


def assert_damage_is_told(path):
    """Cuts the file at several places: what is missing must never be read as an image."""
    content = path.read_bytes()
    for part in (0.2, 0.6, 0.9):
        damaged = path.with_name(f"damaged{path.suffix}")
        damaged.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(ReaderError):
            load_image(damaged)


def write_gwyddion(path, fields):
    """`fields`: title -> values; pixels of 1 by 2 nm."""
    gwyfile = pytest.importorskip("gwyfile")
    content = gwyfile.objects.GwyContainer()
    for number, (title, values) in enumerate(fields.items()):
        y, x = values.shape
        content[f"/{number}/data/title"] = title
        content[f"/{number}/data"] = gwyfile.objects.GwyDataField(
            values, xreal=x * 1e-9, yreal=y * 2e-9, si_unit_xy="m", si_unit_z="m"
        )
    content.tofile(str(path))


def write_nanonis(path, signals, direction, recorded=("both", "both")):
    header = f"""
        :NANONIS_VERSION:\n2
        :SCANIT_TYPE:\nFLOAT            MSBFIRST
        :ACQ_TIME:\n10.0
        :SCAN_PIXELS:\n5       4
        :SCAN_TIME:\n1.0E+0             1.0E+0
        :SCAN_RANGE:\n5.0E-9           8.0E-9
        :SCAN_OFFSET:\n0.0E+0         0.0E+0
        :SCAN_ANGLE:\n0.0E+0
        :SCAN_DIR:\n{direction}
        :BIAS:\n1.0E-1
        :DATA_INFO:
        \tChannel\tName\tUnit\tDirection\tCalibration\tOffset
        """.replace("        ", "")
    rows = [
        f"\t{n}\t{name}\t{unit}\t{recorded[n]}\t1\t0\n"
        for n, (name, unit) in enumerate([("Z", "m"), ("I", "A")])
    ]
    text = header.lstrip("\n") + "".join(rows) + "\n:SCANIT_END:\n\n\n"
    path.write_bytes(text.encode() + b"\x1a\x04" + signals.astype(">f4").tobytes())


def write_igor(path, values, step):
    """An Igor binary wave of version 5: checksum, header and values, x fastest."""
    binary = np.zeros(1, [("version", "<i2"), ("checksum", "<i2"), ("sizes", "<i4", 15)])
    binary["version"] = 5
    binary["sizes"][0, 0] = 320 + values.nbytes
    header = np.zeros(
        1,
        [
            ("start", "<u4", 3),
            ("points", "<i4"),
            ("type", "<i2"),
            ("lock", "<i2"),
            ("pad", "S6"),
            ("version", "<i2"),
            ("name", "S32"),
            ("pad2", "<i4"),
            ("folder", "<u4"),
            ("sizes", "<i4", 4),
            ("steps", "<f8", 4),
            ("starts", "<f8", 4),
            ("units", "S4"),
            ("dimension_units", "S4", 4),
            ("rest", "V152"),
        ],
    )
    header["points"], header["type"], header["version"] = values.size, 2, 1
    header["name"] = b"Height"
    header["sizes"][0, : values.ndim] = values.shape
    header["steps"][0, :2] = step
    header["dimension_units"][0, :2] = b"m"
    assert header.itemsize == 320
    path.write_bytes(binary.tobytes() + header.tobytes() + values.tobytes(order="F"))


def write_nsid(h5py, path, datasets):
    """`datasets`: name -> (values, quantity, data_type, [(label, kind, scale, units)])."""
    with h5py.File(path, "w") as file:
        for name, (values, quantity, data_type, dimensions) in datasets.items():
            group = file.create_group(f"Measurement_000/{name}/{name}")
            main = group.create_dataset(name, data=values)
            main.attrs.update(quantity=quantity, data_type=data_type, units="a.u.")
            for number, (label, kind, scale, units) in enumerate(dimensions):
                axis = group.create_dataset(label, data=scale)
                axis.attrs.update(dimension_type=kind, units=units, quantity=label)
                axis.make_scale(label)
                main.dims[number].label = label
                main.dims[number].attach_scale(axis)


def signal(values, navigation, units="nm"):
    names = ("t", "y", "x")[-values.ndim :]
    axes = [
        {"_type": "UniformDataAxis", "name": name, "size": size, "scale": 0.1, "offset": 0.0}
        | {"units": units, "navigate": number < navigation, "is_binned": False}
        for number, (name, size) in enumerate(zip(names, values.shape, strict=True))
    ]
    empty = ("original_metadata", "learning_results", "models", "tmp_parameters")
    return {
        "data": values,
        "axes": axes,
        "metadata": {"General": {"title": "signal"}, "Signal": {"signal_type": ""}},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "hyperspy", "package_version": "2.0"},
    } | {key: {} for key in empty}


def write_usid(h5py, path, values):
    """`values`: position x spectral, the positions those of 4 rows of 5 pixels."""
    rows, columns = np.divmod(np.arange(20), 5)
    spectra = values.shape[1]
    with h5py.File(path, "w") as file:
        tables = {
            "Position_Indices": np.stack([columns, rows], axis=1),
            "Position_Values": np.stack([columns * 0.25, rows * 0.5], axis=1),
            "Spectroscopic_Indices": np.arange(spectra)[None],
            "Spectroscopic_Values": np.linspace(0, 1, spectra)[None],
        }
        main = file.create_dataset("Measurement_000/Channel_000/Raw_Data", data=values)
        main.attrs.update(quantity="Deflection", units="V")
        for name, table in tables.items():
            table = file.create_dataset(f"Measurement_000/Channel_000/{name}", data=table)
            position = name.startswith("Position")
            table.attrs["labels"] = ["X", "Y"] if position else ["Bias"]
            table.attrs["units"] = ["um", "um"] if position else ["V"]
            main.attrs[name] = table.ref


def write_zspy(path, **options):
    zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    group = root.create_group("Experiments/lattice")
    array = group.create_array("data", shape=KNOWN.shape, dtype=KNOWN.dtype, **options)
    for number, name in enumerate("yx"):
        axis = group.create_group(f"axis-{number}")
        axis.attrs.update(name=name, size=KNOWN.shape[number], scale=0.1, units="nm")
        axis.attrs.update(navigate=False)
    array[...] = KNOWN
