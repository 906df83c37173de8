"""`python -m pyroshift`: the same as the `pyroshift` command."""

import sys

from pyroshift.cli import main

if __name__ == "__main__":
    sys.exit(main())
