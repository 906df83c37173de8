"""Files of electron microscopes, as small as their readers take them."""

import json
import struct

import numpy as np

TEM_CAMERA = """<ObjectInfo><AcquireInfo><CameraNamePath>Camera</CameraNamePath></AcquireInfo>\
<AcquireDate>Thu Nov 05 10:00:00 2020</AcquireDate><ExperimentalDescription><Root>\
<Data><Label>Mode</Label><Value>{mode}</Value><Unit></Unit></Data></Root>\
</ExperimentalDescription></ObjectInfo>"""


def write_ser(path, frames, delta):
    """TIA's series of images (frame, y, x), the lowest row first; delta as it is in the file."""
    frames = np.asarray(frames, dtype="<f4")[:, ::-1]
    count, rows, columns = frames.shape
    dimension = struct.pack("<IddIII", count, 0.0, 1.0, 0, 0, 0)
    calibration = struct.pack("<ddI", 0.0, delta, 0) * 2 + struct.pack("<HII", 7, columns, rows)
    tag = struct.pack("<HHI", 16722, 0, 0)
    element = len(calibration) + frames[0].nbytes + len(tag)
    head = 30 + len(dimension)
    first = head + 8 * count
    offsets = [first + element * number for number in range(count)]
    tags = [offset + element - len(tag) for offset in offsets]
    header = struct.pack("<HHHIIIIII", 0x4949, 0x197, 528, 16674, 16722, count, count, head, 1)
    body = b"".join(calibration + frame.tobytes() + tag for frame in frames)
    table = struct.pack(f"<{2 * count}I", *offsets, *tags)
    path.write_bytes(header + dimension + table + body)


def write_emi(path, frames, delta, mode):
    """TIA's description of a series beside it, with the microscope's mode."""
    path.write_bytes(b"\0" * 16 + TEM_CAMERA.format(mode=mode).encode() + b"\0" * 16)
    write_ser(path.with_name(f"{path.stem}_1.ser"), frames, delta)


class Tags:
    """The tags of a DigitalMicrograph file of version 3 or 4, from nested dicts of values.

    Names that are numbers are left out, as the format does for the parts of a list.
    """

    def __init__(self, version):
        self.version = version

    def count(self, *numbers):
        return struct.pack(f">{len(numbers)}{'q' if self.version == 4 else 'i'}", *numbers)

    def data(self, value):
        if isinstance(value, int):
            return self.count(1, 3) + struct.pack("<i", value)
        if isinstance(value, float):
            return self.count(1, 7) + struct.pack("<d", value)
        kind, content = 6, value
        if isinstance(value, str):
            kind, content = 4, np.frombuffer(value.encode("utf-16-le"), "<u2")
        return self.count(3, 20, kind, len(content.ravel())) + content.tobytes()

    def tag(self, name, value):
        name = "" if name.isdigit() else name
        head = struct.pack(">bh", 20 if isinstance(value, dict) else 21, len(name)) + name.encode()
        if isinstance(value, dict):
            content = self.group(value)
            size = self.count(len(content)) if self.version == 4 else b""
            return head + b"\1\0" + size + content
        return head + b"\0" * (8 if self.version == 4 else 0) + b"%%%%" + self.data(value)

    def group(self, values):
        return self.count(len(values)) + b"".join(map(self.tag, values, values.values()))

    def write(self, path, root):
        content = b"\1\0" + self.group(root)
        size = self.count(len(content))
        endian = struct.pack(">i", 1)
        path.write_bytes(struct.pack(">i", self.version) + size + endian + content)


def write_dm(path, values, axes, metadata=None, version=4):
    """DigitalMicrograph's file of float32 values; `axes`: (scale, units), in the array's order."""
    calibration = {
        str(number): {"Origin": 0.0, "Scale": scale, "Units": units}
        for number, (scale, units) in enumerate(reversed(axes))
    }
    brightness = {"Origin": 0.0, "Scale": 1.0, "Units": ""}
    image = {
        "ImageData": {
            "Calibrations": {"Brightness": brightness, "Dimension": calibration},
            "Data": values.astype("<f4"),
            "DataType": 2,
            "Dimensions": {str(n): size for n, size in enumerate(reversed(values.shape))},
            "PixelDepth": 4,
        },
        "ImageTags": {"Meta Data": metadata or {}},
        "Name": "lattice",
    }
    Tags(version).write(path, {"ImageList": {"0": image}})


def packed(content):
    """JSON as Velox packs it: one column of bytes."""
    return np.frombuffer(json.dumps(content).encode().ljust(400, b"\0"), np.uint8)[:, None]


def text_dataset(group, name, content):
    """JSON as a dataset of one text."""
    group.create_dataset(name, data=np.array([json.dumps(content).encode()], dtype="S400"))


def write_velox(h5py, path, frames, step, spectra=None):
    """Velox's file of images (frame, y, x), its pixel in metres; spectra (y, x, channel) counts."""
    metadata = {
        "BinaryResult": {
            "PixelSize": {"width": str(step), "height": str(step)},
            "Offset": {"x": "0", "y": "0"},
            "PixelUnitX": "m",
            "PixelUnitY": "m",
            "Detector": "HAADF",
            "DetectorIndex": "0",
        },
        "Detectors": {"Detector-0": {"DetectorName": "HAADF"}},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "0"}},
        "CustomProperties": {},
        "Scan": {"FrameTime": "0.5"},
    }
    with h5py.File(path, "w") as file:
        text_dataset(file, "Version", {"format": "Velox", "version": "11"})
        file.create_group("Displays/ImageDisplay")
        image = file.create_group("Data/Image/0a")
        image["Data"] = np.moveaxis(frames, 0, -1)
        image["Metadata"] = packed(metadata)
        if spectra is None:
            return
        energies = {"DetectorName": "HAADF", "Dispersion": "5", "OffsetEnergy": "-10"}
        stream = file.create_group("Data/SpectrumStream/0b")
        stream["Metadata"] = packed({**metadata, "Detectors": {"Detector-0": energies}})
        text_dataset(
            stream,
            "AcquisitionSettings",
            {"bincount": str(spectra.shape[-1]), "StreamEncoding": "uint16"},
        )
        events = [
            [*np.repeat(np.arange(len(counts)), counts), 65535]
            for counts in spectra.reshape(-1, spectra.shape[-1])
        ]
        stream["Data"] = np.concatenate(events).astype(np.uint16)[:, None]
        text_dataset(
            file.create_group("Data/SpectrumImage/0c"),
            "SpectrumImageSettings",
            {"endFramePosition": "1"},
        )


def write_berkeley(h5py, path, values, axes):
    """Berkeley's file; `axes`: (name, scale, units) of `dim1` and so on, in the array's order."""
    with h5py.File(path, "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        group = file.create_group("data/lattice")
        group.attrs["emd_group_type"] = 1
        group["data"] = values
        for number, (name, scale, units) in enumerate(axes, start=1):
            axis = group.create_dataset(f"dim{number}", data=np.arange(2) * scale)
            axis.attrs.update(name=np.bytes_(name), units=np.bytes_(units.encode()))
