"""`main`: what the user typed, done, and every failure told in one message."""

import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyroshift.cli import work
from pyroshift.cli.choices import rank
from pyroshift.cli.deflection import patterns
from pyroshift.cli.evidence import evidence
from pyroshift.cli.options import build_parser
from pyroshift.errors import PyroshiftError

COMMANDS = {
    "fit": work.fit,
    "search": work.search,
    "encode": work.encode,
    "evidence": evidence,
    "atoms": work.atoms,
    "strain": work.strain,
    "domains": work.domains,
    "patterns": patterns,
    "spectra": work.spectra,
    "demo": work.demo,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `pyroshift` command.

    Args:
        argv: the arguments, by default those of the process.

    Returns:
        Exit status: 0; 2 after an error of the user's, which is told in one message on stderr; 130
        after Ctrl-C, unless it only ended the training early.

    Example:
        >>> main(["encode", "no_model.pt", "no_image.tif", "--out", "maps.nc"])
        2
    """
    given = sys.argv[1:] if argv is None else list(argv)
    arguments = build_parser().parse_args(given)
    arguments.command_line = shlex.join(["pyroshift", *given])
    try:
        with _collected_notes() as notes:
            COMMANDS[arguments.command](arguments, notes)
    except (PyroshiftError, OSError, ImportError) as error:  # the last of an extra not installed
        print(f"pyroshift {arguments.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def _collected_notes() -> Iterator[list[str]]:
    """Warnings as short notes on stderr, and in the list that is given."""
    notes: list[str] = []

    def note(message: Warning | str, *details: Any, **more: Any) -> None:
        notes.append(str(message))
        if not rank():
            print(f"note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        # Our own are always told; whether those of other packages are is for the user's filters.
        warnings.filterwarnings("always", category=UserWarning, module="pyroshift")
        warnings.showwarning = note
        yield notes
