"""MkDocs hook: formulas between dollars become MathML, which browsers set without any script."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
NAMED = re.compile(r"(<mi>(?:log|exp|min|max|tanh)</mi>)(?!<mo[^>]*>(?:&#x00028;|\()|</mrow>)")
THIN_SPACE = r'\1<mspace width="0.167em" />'


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Convert what pymdownx.arithmatex has marked."""

    def converted(found: re.Match[str]) -> str:
        latex = html.unescape(found["latex"]).strip()
        try:
            mathml = convert(latex, display="block" if found["tag"] == "div" else "inline")
            mathml = NAMED.sub(THIN_SPACE, mathml)  # as TeX sets a function's argument off
        except Exception as error:
            raise PluginError(f"{page.file.src_uri}: {latex}: {error!r}") from error
        return f"<{found['tag']}>{mathml}</{found['tag']}>"

    return FORMULA.sub(converted, content)
