"""Checkpoints of a training run: written whole or not at all, and read without pickle."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from pyroshift.data.files import written
from pyroshift.errors import ModelFileError
from pyroshift.training.history import EpochRecord

FORMAT = "pyroshift checkpoint 1"
_FOLDER = 0x10  # among a zip entry's external attributes


def write_torch(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values to a file; an old one stays until the new one is whole.

    By way of memory: where a file can't grow, torch raises errors of its own.

    Raises:
        OSError: if there is no space.
    """
    archive = io.BytesIO()
    torch.save(content, archive)
    with written(path) as partial:
        partial.write_bytes(archive.getbuffer())


def read_torch(path: Path, what: str, content_format: str) -> dict[str, Any]:
    """Read what `write_torch` wrote, without running anything that the file might hold.

    Raises:
        FileNotFoundError: if there is no such file.
        ModelFileError: if it is damaged, or something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {what} {path}")
    try:
        _check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelFileError(
            f"{path} can't be read as a {what}: it is damaged, was altered, or is something else "
            f"({type(error).__name__})"
        ) from error
    if not isinstance(content, dict) or content.get("format") != content_format:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ModelFileError(f"{path} is no {what}: expected {content_format!r}, found {found!r}")
    return content


def _check_archive(path: Path) -> None:
    """Raise a BadZipFile where torch would read on: at wrong checksums, and at "folders"."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"bad checksum of {damaged}")
        if any(entry.external_attr & _FOLDER for entry in archive.infolist()):
            raise zipfile.BadZipFile("a file marked as a folder, which torch takes for empty")


def write_checkpoint(
    path: Path, settings: dict[str, Any], records: list[EpochRecord], state: dict[str, Any]
) -> None:
    """Write a run's state after an epoch.

    Args:
        path: the file.
        settings: what must be the same for the run to go on.
        records: what was measured so far.
        state: tensors to go on from, by name.
    """
    write_torch(
        path,
        {
            "format": FORMAT,
            "settings": json.dumps(settings, sort_keys=True),
            "records": json.dumps([dataclasses.asdict(record) for record in records]),
            "state": state,
        },
    )


def read_checkpoint(
    path: Path, settings: dict[str, Any]
) -> tuple[list[EpochRecord], dict[str, Any]]:
    """The records and the state of a run, to go on with it.

    Args:
        path: the file.
        settings: those of the run that is to go on.

    Raises:
        ModelFileError: if the file is damaged, or from a run with other settings.
    """
    content = read_torch(path, "checkpoint", FORMAT)
    try:
        earlier = dict(json.loads(content["settings"]))
        each = enumerate(json.loads(content["records"]), start=1)
        records = [EpochRecord(**{"epoch": number, **record}) for number, record in each]
        state = dict(content["state"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"the checkpoint {path} is damaged or was altered ({type(error).__name__}: {error})"
        ) from error
    now = json.loads(json.dumps(settings))
    differing = sorted(name for name in earlier | now if earlier.get(name) != now.get(name))
    if differing:
        changes = ", ".join(
            f"{name} was {earlier.get(name)!r}, is {now.get(name)!r}" for name in differing
        )
        raise ModelFileError(
            f"the checkpoint {path} is from a different run ({changes}): give another path, or "
            "delete it (--overwrite does) to start afresh"
        )
    return records, state
