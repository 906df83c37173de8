"""The `pyroshift` command: from an image file to a folder with maps, pictures and a report."""

from pyroshift.cli.command import main

__all__ = ["main"]
