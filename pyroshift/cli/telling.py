"""What a command tells while it works."""

import sys
from argparse import Namespace


def shows_progress(arguments: Namespace) -> bool:
    """Whether progress bars are for somebody to see."""
    return not arguments.quiet and sys.stderr.isatty()


def say(arguments: Namespace, text: str) -> None:
    """Tell something, unless it is to be quiet."""
    if not arguments.quiet:
        print(text, flush=True)
