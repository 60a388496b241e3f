"""A Sphinx extension that writes formulas as MathML, which browsers draw without a script."""

import re
import unicodedata

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.logging import getLogger

LOG = getLogger(__name__)
SIZED = re.compile(r"\\[bB]igg?([lr]?)(?![a-z])")  # browsers size brackets by what they hold
VARIANT = re.compile(
    r'<m([in]) mathvariant="(bold|bold-italic|double-struck|script)">([^<&]|&#x0*([0-9A-F]+);)</m[in]>'
)
SIDES = {"l": r"\left", "r": r"\right", "": ""}


def setup(app) -> dict:
    """Register the renderer under the name mathml."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator, node: nodes.math) -> None:
    translator.body.append(_formula(node))
    raise nodes.SkipNode


def _block(translator, node: nodes.math_block) -> None:
    formula = _formula(node, display="block")
    translator.body.append(f'<div class="formula" role="group" aria-label="formula" tabindex="0">{formula}</div>')
    raise nodes.SkipNode


def _formula(node: nodes.Element, **how: str) -> str:
    """Convert a formula; a command that the converter leaves as it is fails the build, as a warning."""
    formula = convert(SIZED.sub(lambda sized: SIDES[sized[1]], node.astext()), **how)
    if "\\" in formula:
        LOG.warning("write this formula in other commands, one of them is not known: %s", node.astext(), location=node)
    return VARIANT.sub(_letter, formula)


def _letter(found: re.Match) -> str:
    """Return a bold, double-struck or script letter as a character of its own: browsers heed only these."""
    tag, variant, letter, code = found.groups()
    name = unicodedata.name(chr(int(code, 16)) if code else letter)
    name = f"{variant.upper().replace('BOLD-', 'BOLD ')} {re.sub('LATIN |GREEK |LETTER ', '', name)}"
    try:
        character = unicodedata.lookup(f"MATHEMATICAL {name}")
    except KeyError:  # ℝ and ℒ have older names
        character = unicodedata.lookup(name)
    return f'<m{tag} mathvariant="normal">{character}</m{tag}>'
