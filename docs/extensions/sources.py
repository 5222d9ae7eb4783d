"""A page for the source of each module and of each file of tests, and links to their lines.

Names in the text, such as `ar.evaluate` or `networks.made.sample_degrees`, become links: to the
reference if they are public, otherwise, and on the page about papers always, to their source. So do
the names of tests.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.application import Sphinx

import autoregress

ROOT = Path(autoregress.__file__).parent
TESTS = Path(__file__).parents[2] / "tests"
TO_SOURCE = "from-paper-to-code"
NAME = re.compile(r"(?:ar\.)?([A-Za-z]\w*(?:\.\w+)*)(?:\(.*\))?", re.DOTALL)


def page_of(file: Path) -> str:
    above = ROOT.parent if file.is_relative_to(ROOT) else TESTS.parent
    return f"source/{file.relative_to(above).with_suffix('').as_posix()}"


def tests() -> dict[str, str]:
    """The page and line of each test, by its name and, for a file of tests, by its path."""
    places = {}
    for file in TESTS.glob("test_*.py"):
        places[f"tests/{file.name}"] = f"{page_of(file)}.html"
        for line, text in enumerate(file.read_text().splitlines(), 1):
            if match := re.match(r"def (test_\w+)", text):
                places[match[1]] = f"{page_of(file)}.html#line-{line}"
    return places


def place_of(name: str) -> str | None:
    """The page and line of the source of a dotted name, None if it has none."""
    if not name:
        return None
    try:
        # As a user writes it: data.open is a function here, and not the module of that name.
        found = inspect.unwrap(reduce(getattr, name.split(".")[1:], autoregress))
        found = getattr(found, "fget", found)
        file = Path(inspect.getfile(found))
        line = 1 if inspect.ismodule(found) else inspect.getsourcelines(found)[1]
    except (ImportError, AttributeError, TypeError, OSError, ValueError):
        return None
    return f"{page_of(file)}.html#line-{line}" if file.is_relative_to(ROOT) else None


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    formatter = HtmlFormatter(linenos="inline", lineanchors="line", anchorlinenos=True)
    for file in sorted([*ROOT.rglob("*.py"), *TESTS.glob("test_*.py")]):
        title = page_of(file).removeprefix("source/") + ".py"
        body = highlight(file.read_text(), PythonLexer(), formatter)
        yield page_of(file), {"title": title, "body": f"<h1>{title}</h1>\n{body}"}, "page.html"


def link_names(app: Sphinx, doctree: nodes.document, page: str) -> None:
    if app.builder.format != "html":
        return
    documented = app.env.get_domain("py").objects  # type: ignore[attr-defined]
    up, of_tests = "../" * page.count("/"), tests()
    for literal in list(doctree.findall(nodes.literal)):
        text = literal.astext()
        match = NAME.fullmatch(text) if "." in text else None
        name = f"autoregress.{match[1]}" if match else ""
        if page != TO_SOURCE and name in documented:
            target = f"{documented[name].docname}.html#{name}"
        else:
            target = of_tests.get(text) or place_of(name)
        if target and not isinstance(literal.parent, nodes.reference):
            shown = literal.deepcopy()
            literal.replace_self(nodes.reference("", "", shown, refuri=up + target, internal=True))


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    return place_of(f"{info['module']}.{info['fullname']}")


def setup(app: Sphinx) -> dict[str, bool]:
    for module in pkgutil.walk_packages(autoregress.__path__, "autoregress."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    app.config.linkcode_resolve = linkcode_resolve  # type: ignore[attr-defined]
    app.connect("html-collect-pages", pages)
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
