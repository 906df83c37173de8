"""The reference's pages, and docstrings made ready for Sphinx."""

import inspect
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from rooms import PAGES, Page, left_out, names_of, valued
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx


def write(site: Path) -> None:
    """Write the reference's pages.

    Args:
        site: the folder of the site's sources.

    Raises:
        LookupError: if a public name is on no page.
    """
    if left := left_out():
        raise LookupError(f"no page of the reference has {sorted(left)}: see PAGES in rooms.py")
    folder = site / "api"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for page in PAGES:
        (folder / f"{page.name}.rst").write_text(text_of(page), encoding="utf-8")
    (folder / "index.rst").write_text(index(), encoding="utf-8")


def index() -> str:
    """The reference's first page: every name with what it gives, by room."""
    lines = [
        *headed("Reference", "="),
        "Every public name, by room, from its docstring: what it "
        "gives, its arguments with units and defaults, and an example that runs.",
        "",
    ]
    lines += [".. toctree::", "   :hidden:", "", *(f"   {page.name}" for page in PAGES), ""]
    for page in PAGES:
        lines += [*headed(page.title, "-"), f":doc:`{page.name}`: {page.about}", ""]
        lines += [".. list-table::", "   :widths: 30 70", ""]
        for name in names_of(page):
            first = (inspect.getdoc(valued(name)) or "").split("\n")[0]
            if not callable(valued(name)):
                first = "A tuple of checks, for parametrised tests."
            lines += [f"   * - :py:obj:`~{name}`", f"     - {first}"]
        lines.append("")
    return "\n".join(lines)


def text_of(page: Page) -> str:
    """A page, as reStructuredText for autodoc."""
    lines = [*headed(page.title, "="), page.about, ""]
    if page.whole:
        lines += [f".. automodule:: pyroshift.{page.modules[0]}", "   :no-members:", ""]
    for name in names_of(page):
        value = valued(name)
        lines += headed(name.rsplit(".", 1)[-1].replace("_", r"\_"), "-")
        if inspect.isclass(value):
            lines += [f".. autoclass:: {name}", "   :members:", ""]
        else:
            lines += [f".. auto{'function' if callable(value) else 'data'}:: {name}", ""]
    return "\n".join(lines)


def headed(title: str, line: str) -> list[str]:
    """A heading."""
    return [title, line * len(title), ""]


def prepared(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """What is indented after a colon in a docstring, a story or a drawing, is verbatim."""
    for number in range(len(lines) - 2):
        line, blank, block = lines[number : number + 3]
        indent = len(line) - len(line.lstrip())
        deeper = len(block) - len(block.lstrip()) > indent
        if line.endswith(":") and not line.endswith("::") and not blank and block and deeper:
            lines[number] = line if block.lstrip().startswith((">>>", "-")) else f"{line}:"


def readable(
    app: Any, what: str, name: str, value: Any, options: Any, signature: str | None, returned: Any
) -> tuple[str | None, Any]:
    """Signatures that can be parsed: a default that is made anew is no expression."""
    return (signature or "").replace("<factory>", "...") or None, returned


def linked() -> dict[str, str]:
    """By what docstrings call them, the public names that can't be taken for words."""
    every = [name for page in PAGES for name in names_of(page)]
    short = {name.removeprefix("pyroshift.").removeprefix("data."): name for name in every}
    return {name: full for name, full in short.items() if re.search(r"[A-Z_.]", name)}


def known_role(
    name: str, raw: str, text: str, line: int, inliner: Any, options: Any = None,
    content: Sequence[str] = (),
) -> tuple[list[nodes.Node], list[nodes.Node]]:  # fmt: skip
    """A link to a public name; other code as it is."""
    plain = nodes.unescape(text)
    code = nodes.literal(raw, plain, classes=["code"])
    target = _targets.get(plain.removesuffix("()"))
    if target is None:
        return [code], []
    link = pending_xref(
        raw, code, refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=True
    )
    return [link], []


_targets: dict[str, str] = {}


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    _targets.update(linked())
    app.add_role("known", known_role)
    app.connect("autodoc-process-docstring", prepared, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", readable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
