"""Packages that only some of the work needs, which come with an extra."""

import importlib.util


def check_installed(*modules: str, extra: str, what: str = "this") -> None:
    """Raise an ImportError that says what to install, if a module is missing.

    Args:
        modules: what has to be there.
        extra: what it comes with.
        what: what needs it, for the error.

    Example:
        >>> check_installed("numpy", extra="atoms")
    """
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        raise ImportError(f"{what} needs {' and '.join(missing)}: pip install pyroshift[{extra}]")
