"""`llms.txt`: the site in one short file, a line for each page, for programs that read."""

import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 160  # characters of what is said of a page


def write(app: Sphinx, failed: Exception | None) -> None:
    """Write the map beside the pages, when these are built."""
    if failed or app.builder.format != "html":
        return
    first, *pages = in_order(app, app.config.root_doc)
    lines = [f"# {app.config.project}", "", f"> {said_of(app, first)}", ""]
    for page in pages:
        title = app.env.titles[page].astext()
        lines.append(f"- [{title}]({app.builder.get_target_uri(page)}): {said_of(app, page)}")
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def in_order(app: Sphinx, page: str) -> Iterator[str]:
    """A page and all below it, as tables of contents have them."""
    yield page
    for below in app.env.toctree_includes.get(page, []):
        yield from in_order(app, below)


def said_of(app: Sphinx, page: str) -> str:
    """The first sentence of a page."""
    paragraph = next(iter(app.env.get_doctree(page).findall(nodes.paragraph)), None)
    text = " ".join("" if paragraph is None else paragraph.astext().split("\n")).strip()
    sentence = re.split(r"(?<=[.?!]) |:$", text)[0].rstrip(".:")
    if len(sentence) > LONGEST:
        sentence = sentence[:LONGEST].rsplit(" ", 1)[0] + " …"
    return sentence


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
