"""The parts of pages that are made from the code: the line ``<!-- NAME -->`` becomes its text."""

import ast
import io
import os
import re
from contextlib import redirect_stdout

from messages import messages
from sources import ROOT, page_of
from sphinx.application import Sphinx

from autoregress.cli import main
from autoregress.cli.program import VERBS
from autoregress.plot import __all__ as figures
from autoregress.recipes import GENERAL, RECIPES
from autoregress.sklearn import __all__ as estimators

# The sections of the reference, and the public names of each.
MODELS = ("MADE", "PixelCNN", "GatedPixelCNN", "RowLSTM", "DiagonalBiLSTM", "VideoTransformer")
SECTIONS = {
    "Models": (*MODELS, "Mixture"),
    "What every model does": ("AutoregressiveModel",),
    "Options of models": ("MADEConfig", "PixelConfig", "VideoTransformerConfig"),
    "Tables": ("Table", "Schema"),
    "scikit-learn": tuple(f"sklearn.{name}" for name in estimators),
    "Training": ("fit", "Training", "Fit", "plan", "Plan", "join", "Processes"),
    "Measuring and checking": (
        *("evaluate", "Score", "check_causality", "Causality", "check_normalisation"),
        "check_faces",
    ),
    "Compressing": ("encode", "decode", "encode_to", "Archive"),
    "Saving": ("save", "load"),
    "Figures": tuple(f"plot.{name}" for name in figures),
    "Families of your own": ("family", "Member", "Update", "Visit", "Ordering", "Columns"),
    "Data": (
        *("data.open", "data.read", "data.write", "data.as_source", "data.Reading", "data.Source"),
        *("data.Data", "data.Subset", "data.ImageFolder", "data.VideoFolder", "data.Shards"),
        *("data.write_shards", "data.picture", "data.check_distinct", "data.check_writable"),
    ),
    "Bundled and published data": (
        *("data.digits", "data.digits_splits", "data.bouncing_digits", "data.moving_mnist"),
        *("data.MovingImages", "data.read_mnist", "data.read_cifar10"),
    ),
}
# Families whose own methods are those of every model; the rest is not repeated.
ABSTRACT = {"forward", "unroll", "members", "objective", "start_from"}
THEMES = {
    "data": "Reading and writing data",
    "tables": "Tables",
    "sklearn": "scikit-learn",
    "cli": "The command line",
    "page": "The page in the browser",
    "training": "Training",
    "networks": "Making a model",
    "configs": "Options of a model",
    "model": "Using a model",
    "symbols": "Symbols and shapes",
    "coding": "Compression",
    "storage": "Saved models",
    "checks": "Checks",
}


def public_names() -> list[str]:
    """All names in the stubs, estimators and figures, with the name of their module before them."""
    names = [*(f"sklearn.{name}" for name in estimators), *(f"plot.{name}" for name in figures)]
    for stub, prefix in ((ROOT / "__init__.pyi", ""), (ROOT / "data" / "__init__.pyi", "data.")):
        for node in ast.parse(stub.read_text()).body:
            assert isinstance(node, ast.ImportFrom)
            names += [f"{prefix}{alias.asname}" for alias in node.names]
    return [name for name in names if name not in ("data", "plot", "__version__")]


def reference() -> str:
    listed = [name for names in SECTIONS.values() for name in names]
    if missing := set(public_names()) ^ set(listed):
        raise ValueError(f"the reference lacks, or lists in vain: {', '.join(sorted(missing))}")
    parts = []
    for title, names in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in names:
            parts.append(f"```{{eval-rst}}\n{_directive(name)}\n```\n")
    return "\n".join(parts)


def _directive(name: str) -> str:
    if name.rpartition(".")[2][0].islower():
        return f".. autofunction:: autoregress.{name}"
    skipped = ABSTRACT | {"Config"} if name in MODELS else {"Config"}
    if name.startswith("sklearn."):  # scikit-learn adds these, with references of its own
        skipped |= {f"set_{method}_request" for method in ("fit", "predict", "score", "transform")}
    return (
        f".. autoclass:: autoregress.{name}\n"
        f"   :members:\n   :exclude-members: {', '.join(sorted(skipped))}"
    )


def command_line() -> str:
    parts = [_help()]
    for verb in VERBS:
        commands = [[verb]] if verb not in ("train", "plan") else [[verb], [verb, "made"]]
        parts.append(f"## {verb}\n")
        parts += [_help(*command) for command in commands]
    families = [name for name in GENERAL if name != "made"]
    parts.append("## The options of each family\n")
    for name in families:
        options = re.search(r"╭─ model options.*?╰─*╯", _help("train", name), re.DOTALL)
        assert options
        parts.append(f"`autoregress train {name}`:\n\n```text\n{options[0]}\n```\n")
    return "\n".join(parts)


def _help(*command: str) -> str:
    """What a command prints for ``--help``, as a reader with 96 columns sees it."""
    before = {name: os.environ.get(name) for name in ("COLUMNS", "NO_COLOR")}
    os.environ |= {"COLUMNS": "96", "NO_COLOR": "1"}
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8")
    try:
        with redirect_stdout(printed):
            main([*command, "--help"])
    except SystemExit:
        pass
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    printed.seek(0)
    shown = " ".join(["autoregress", *command, "--help"])
    return f"`{shown}`:\n\n```text\n{printed.read().strip()}\n```\n"


def recipes() -> str:
    own = {name: RECIPES[name] for name in GENERAL}
    others = {name: recipe for name, recipe in RECIPES.items() if name not in own}
    parts = []
    for title, group in (("For data of your own", own), ("The papers' experiments", others)):
        parts.append(f"## {title}\n")
        for name, recipe in group.items():
            about, _, rest = recipe.description.partition("\n")
            command = f"`autoregress train {name} --data … --run …`"
            parts.append(f"### {name}\n\n{about}\n\n{rest.strip()}\n\n{command}\n")
    return "\n".join(parts)


def errors() -> str:
    """Every message, by where it arises, linked to its line."""
    themes: dict[str, list[str]] = {}
    for file in sorted(ROOT.rglob("*.py")):
        first = file.relative_to(ROOT).parts[0].removesuffix(".py")
        theme = THEMES.get(first, "Others")
        for message in messages(file):
            place = f"{page_of(file)}.html#line-{message.line}"
            text = " ".join(message.text.split()).replace("`", "'").replace("|", "\\|")
            row = f"| `` {text} `` | <a href='{place}'>{file.name}:{message.line}</a> |"
            themes.setdefault(theme, []).append(row)
    order = [*THEMES.values(), "Others"]
    return "\n".join(
        f"### {theme}\n\n| message | source |\n|---|---|\n" + "\n".join(themes[theme]) + "\n"
        for theme in sorted(themes, key=order.index)
    )


PARTS = {
    "reference": reference,
    "command line": command_line,
    "recipes": recipes,
    "errors": errors,
}


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    for name, make in PARTS.items():
        mark = f"<!-- {name} -->"
        if mark in source[0]:
            source[0] = source[0].replace(mark, make())


def escape_shapes(app: Sphinx, kind: str, name: str, of: object, options: object, lines: list[str]):
    """Keeps the star of shapes such as (batch, *event_shape) from being taken for emphasis."""
    lines[:] = [re.sub(r"(?<=[(, ])\*(?=(event_)?shape)", r"\\*", line) for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", escape_shapes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
