"""Equations as MathML, which browsers draw: the site needs no script from elsewhere."""

from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

# What browsers leave out: space after a function's name, and a prime that is one.
_DRAWN = {
    "<mo>&ApplyFunction;</mo>": '<mspace width="0.17em"></mspace>',
    "<mo>'</mo>": '<mo lspace="0" rspace="0">\N{PRIME}</mo>',
}


def drawn(equation: str, as_block: bool = False) -> str:
    """An equation as MathML.

    Args:
        equation: in LaTeX.
        as_block: whether it stands by itself.
    """
    found = tex2mathml(equation, as_block=as_block)
    for plain, better in _DRAWN.items():
        found = found.replace(plain, better)
    return found


def inline(writer: Any, node: nodes.math) -> None:
    """An equation within a line."""
    writer.body.append(drawn(node.astext()))
    raise nodes.SkipNode


def block(writer: Any, node: nodes.math_block) -> None:
    """An equation, or several, of their own."""
    writer.body.append(f'<div class="math">{drawn(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
