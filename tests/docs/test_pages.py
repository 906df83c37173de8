"""Every page can be reached, every link leads somewhere, and every name and option is there.

Sphinx isn't needed: that the pages build, `make docs` says. README and what the site takes in from
elsewhere are checked alike.
"""

import ast
import inspect
import re
import shlex

import pytest
from pages import (
    DOCUMENTS,
    MADE,
    NOTEBOOKS,
    READMES,
    ROOT,
    SITE,
    WRITTEN,
    assembled,
    blocks,
    contents,
    links,
    named,
    rooms,
    spans,
    stands_for,
    whole_commands,
)

import pyroshift as ps
from pyroshift.cli.options import build_parser

EVERY = [*WRITTEN, *DOCUMENTS, *READMES]
every_page = pytest.mark.parametrize("path", EVERY, ids=named)
MODULES = {name for name in ps.__all__ if inspect.ismodule(getattr(ps, name))}


def test_every_page_is_in_a_table_of_contents():
    reached, ahead = {"index"}, ["index"]
    while ahead:
        page = SITE / f"{ahead.pop()}.md"
        found = set(contents(page)) - reached if page in WRITTEN else set()
        reached |= found
        ahead += found
    pages = {path.relative_to(SITE).with_suffix("").as_posix() for path in WRITTEN}
    notebooks = {f"{assembled.NOTEBOOKS}/{path.stem}" for path in NOTEBOOKS}
    project = {f"{assembled.PROJECT}/{name.removesuffix('.md')}" for name in assembled.DOCUMENTS}
    gathered = {name for name in MADE if name.endswith("index")}  # which list the others
    assert pages | notebooks | project | gathered | {"benchmarks/README"} == reached


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_is_in_the_list_of_them(path):
    assert f"({assembled.NOTEBOOKS}/{path.name})" in (SITE / "notebooks.md").read_text()


@pytest.mark.parametrize("name", assembled.benchmarks())
def test_every_benchmark_is_in_the_list_of_them(name):
    assert f"({name}/README.md)" in (ROOT / "benchmarks" / "README.md").read_text()


@every_page
def test_links_lead_somewhere(path):
    for link in links(path.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if target.is_relative_to(SITE):
            if target.relative_to(SITE).with_suffix("").as_posix() in MADE:
                continue
            target = stands_for(target)
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link} leads to no heading"


def anchors(path):
    """What a page's headings are called in links."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def attributes(code):
    """Dotted names that begin with `ps` in code, and for calls the keywords that are given."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), [each.arg for each in node.keywords if each.arg]
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node), []


def check_name(name, keywords=()):
    """A public name is one, and takes these keywords."""
    _, *parts = name.split(".")
    value = ps
    for number, part in enumerate(parts):
        if number == 0:
            assert part in ps.__all__, f"{name} isn't public"
        elif parts[0] in MODULES and number == 1:
            listed = getattr(value, "__all__", None)
            assert listed is None or part in listed, f"{name} isn't public"
        assert hasattr(value, part), f"there is no {name}"
        value = getattr(value, part)
    if keywords:
        parameters = inspect.signature(value).parameters
        further = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
        unknown = set(keywords) - set(parameters)
        assert further or not unknown, f"{name} takes no {sorted(unknown)}"


@every_page
def test_code_compiles_and_names_what_is_public(path):
    for code in blocks(path.read_text(), "python"):
        compile(code, named(path), "exec")
        for name, keywords in attributes(code):
            if re.fullmatch(r"ps(\.\w+)+", name):
                check_name(name, keywords)


@every_page
def test_names_within_lines_are_public(path):
    for span in spans(path.read_text()):
        for name in re.findall(r"(?<![\w./-])ps(?:\.[A-Za-z_]\w*)+", span):
            check_name(name)


def subcommands():
    """The commands' parsers by name."""
    actions = build_parser()._actions
    return next(each.choices for each in actions if isinstance(each.choices, dict))


@every_page
def test_commands_have_these_options(path):
    known = subcommands()
    for span in [*spans(path.read_text()), *whole_commands(path.read_text())]:
        if not re.match(r"pyroshift [a-z]", span):
            continue
        _, command, *options = shlex.split(span)
        assert command in known, f"there is no command {span!r}"
        for option in (each.split("=")[0] for each in options if each.startswith("--")):
            assert option in known[command]._option_string_actions, f"{span!r}: no {option}"


@every_page
def test_whole_commands_are_understood(path):
    for command in whole_commands(path.read_text()):
        if "|" not in command and "--help" not in command:
            build_parser().parse_args(shlex.split(command)[1:])


def test_every_public_name_is_in_the_reference():
    assert rooms.left_out() == set()
    names = [name for page in rooms.PAGES for name in rooms.names_of(page)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("picture", assembled.PICTURES, ids=lambda picture: picture.title)
def test_pictures_of_the_gallery_are_in_the_notebooks(picture):
    assert assembled.found(picture).startswith(b"\x89PNG")


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
