"""The page as HTML, complete in itself: style, scripts and data in one file."""

import json
import re
from html import escape
from importlib import resources
from typing import Any

from pyroshift.explorer.packing import as_text

# Each may import from those before it.
SCRIPTS = ("data", "colours", "canvas", "field", "scatter", "place", "motifs", "explorer")
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main id="explorer"></main>
<script type="application/json" id="header">{header}</script>
<script type="text/plain" id="data">{data}</script>
<script type="module">
{script}
openPage(document);
</script>
</body>
</html>
"""


def page(header: dict[str, Any], data: bytes) -> str:
    """The whole page.

    Args:
        header: what there is.
        data: the arrays, deflated.
    """
    return _PAGE.format(
        title=escape(header["title"]),
        style=style(),
        header=json.dumps(header).replace("<", "\\u003c"),
        data=as_text(data),
        script=script(),
    )


def script() -> str:
    """All scripts as one module: what they import from each other is there already.

    Example:
        >>> "import {" in script(), "export default" in script()
        (False, True)
    """
    parts = [_file(f"{name}.js") for name in SCRIPTS]
    alone = [
        re.sub(r"^import \{[^}]*\} from \"\./[^;]*;\n", "", part, flags=re.M) for part in parts
    ]
    return "\n".join(re.sub(r"^export (?!default)", "", part, flags=re.M) for part in alone)


def style() -> str:
    """The style sheet."""
    return _file("explorer.css")


def _file(name: str) -> str:
    return (resources.files("pyroshift") / "explorer" / name).read_text(encoding="utf-8")
