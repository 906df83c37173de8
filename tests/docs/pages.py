"""The site's pages as text: their blocks of code, commands, links and tables of contents."""

import importlib.util
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs"


def from_site(name):
    """A module of the site's own, of those that need no Sphinx."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", SITE / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


assembled, rooms = from_site("assembled"), from_site("rooms")
BROUGHT_IN = (assembled.NOTEBOOKS, assembled.BENCHMARKS, assembled.PROJECT)
MADE = {
    f"{assembled.GALLERY}/index",
    "api/index",
    *(f"api/{page.name}" for page in rooms.PAGES),
}
WRITTEN = sorted(
    path
    for path in SITE.rglob("*.md")
    if path.relative_to(SITE).parts[0] in (path.name, "howto", "mathematics")
)
DOCUMENTS = [ROOT / name for name in ("README.md", *assembled.DOCUMENTS)]
READMES = [ROOT / "benchmarks" / "README.md", *sorted(ROOT.glob("benchmarks/*/README.md"))]


def named(path):
    """A page by its path, for the tests' names."""
    return path.relative_to(ROOT).as_posix().removesuffix(".md")


def blocks(text, language):
    """Fenced blocks of a language."""
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def without_blocks(text):
    """A page but for its fenced blocks of code."""
    return re.sub(r"^```\w+\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text):
    """Code within lines."""
    return [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", without_blocks(text))]


def whole_commands(text):
    """Command lines that stand by themselves, with what continues them."""
    joined = text.replace("\\\n", " ")
    return re.findall(r"^    (pyroshift .+)$", joined, re.MULTILINE)


def links(text):
    """Where links and pictures lead to, and cards."""
    text = without_blocks(text)
    inline = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text))
    return inline + [f"{card}.md" for card in re.findall(r"^:link: (\S+)$", text, re.MULTILINE)]


def contents(page):
    """Pages that a page's tables of contents name, without endings, from the site's root."""
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.M | re.S):
        entries = [line for line in block.split("\n") if line and not line.startswith(":")]
        for entry in entries:
            found = (page.parent / entry).relative_to(SITE).as_posix()
            if found.endswith("*"):
                yield from (f"{assembled.NOTEBOOKS}/{path.stem}" for path in NOTEBOOKS)
            else:
                yield found


NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))


def stands_for(target):
    """The file in the repository that a page of the site is, or None for one that is made."""
    inside = target.relative_to(SITE).as_posix()
    first, _, rest = inside.partition("/")
    if first == assembled.PROJECT:
        return ROOT / rest
    return ROOT / inside if first in BROUGHT_IN else target
