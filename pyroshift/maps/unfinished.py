"""A Zarr store that fills up part by part, and knows how far it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The attribute of a store that isn't finished: how far it is, and with what it was begun. One, so
# that it comes, changes and goes in one write, and text, as every file format takes it.
UNFINISHED = "pyroshift_unfinished"


def left(state: Mapping[str, Any], count: int) -> list[int]:
    """Numbers of the parts that aren't done.

    Args:
        state: how far the store is.
        count: how many parts there are.

    Example:
        >>> left({"done": 1, "beyond": [2]}, 4)
        [1, 3]
    """
    return sorted(set(range(state["done"], count)) - set(state.get("beyond", ())))


def tick(state: dict[str, Any], number: int) -> None:
    """Note in a state that a part is done, whichever others are.

    Args:
        state: `done` is how many are done from the first on without a gap, and `beyond` has the
            numbers of those after the gap.
        number: of the part.

    Example:
        >>> state = {"done": 0}
        >>> tick(state, 1)
        >>> state
        {'done': 0, 'beyond': [1]}
        >>> tick(state, 0)
        >>> state
        {'done': 2, 'beyond': []}
    """
    beyond = {*state.get("beyond", ()), number}
    while state["done"] in beyond:
        beyond.remove(state["done"])
        state["done"] += 1
    state["beyond"] = sorted(beyond)


class UnfinishedStore:
    """The mark of a store that isn't finished, by which the same call goes on with it.

    Args:
        path: of the store.
        what: is in it, for errors.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what

    def state(self, overwrite: bool) -> dict[str, Any] | None:
        """How far an unfinished store is; None if one is to be made.

        Args:
            overwrite: whether one that exists may be replaced.

        Raises:
            FileExistsError: if there is something that may not be replaced.
        """
        if not self.path.exists():
            return None
        try:
            attributes = self.attributes("r")
        except (OSError, ValueError) as error:
            raise FileExistsError(
                f"{self.path} exists and is no Zarr store of {self.what}: choose another path"
            ) from error
        if overwrite:
            return None
        if UNFINISHED not in attributes:
            raise FileExistsError(
                f"{self.path} is a store already: choose another path, or let it be "
                "overwritten (overwrite=True, or --overwrite)"
            )
        return json.loads(attributes[UNFINISHED])

    def check_same(self, settings: Mapping[str, Any], begun: Mapping[str, Any]) -> None:
        """Raise a FileExistsError if it was begun with other settings.

        Args:
            settings: of this call.
            begun: those that it was begun with.
        """
        if changed := [name for name in settings if settings[name] != begun.get(name)]:
            raise FileExistsError(
                f"{self.path} is unfinished, and was begun with another {', '.join(changed)}: go "
                "on with the same, choose another path, or let it be overwritten "
                "(overwrite=True, or --overwrite)"
            )

    def note(self, state: Mapping[str, Any]) -> None:
        """Write down how far it is."""
        self.attributes("r+")[UNFINISHED] = json.dumps(state)

    def finish(self) -> None:
        """Take off the mark of an unfinished store."""
        del self.attributes("r+")[UNFINISHED]

    def attributes(self, mode: Any) -> Any:
        """Those of the store, to be read or changed."""
        import zarr

        return zarr.open_group(self.path, mode=mode).attrs
