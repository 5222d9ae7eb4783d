"""The package is layered: a file imports only from layers before its own."""

import ast
from pathlib import Path

import autoregress

SOURCE = Path(autoregress.__file__).parent

LAYERS = [
    "version",
    "symbols",
    "orderings",
    "conditionals",
    "predictors",
    "traversal",
    "disk",
    "devices",
    "data",
    "model",
    "mixture",
    "networks",
    "processes",
    "evaluation",
    "checks",
    "storage",
    "coding",
    "training",
    "planning",
    "recipes",
    "cli.examples",
    "cli.by_recipe",
    "cli.train",
    "cli.mix",
    "cli.prepare",
    "cli.plan",
    "cli.measure",
    "cli.draw",
    "cli.compress",
    "cli.info",
    "cli.program",
    "cli",
    "__main__",
]


def layer(module: str) -> str:
    """Of ``autoregress.data.source`` it is data; ``autoregress.cli.train`` is one by itself."""
    _, *names = module.split(".")
    own = ".".join(names[:2])
    return own if own in LAYERS else names[0]


def imports(path: Path) -> list[str]:
    """The modules of the package that a file imports when it runs."""
    found = []
    tree = ast.parse(path.read_text())
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "autoregress":
                found += [f"autoregress.{alias.name}" for alias in node.names]
            elif node.module.startswith("autoregress."):
                found.append(node.module)
        elif isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.startswith("autoregress.")]
    return found


def test_every_file_imports_only_from_layers_before_its_own():
    files = [p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py"]
    for path in files:
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        own = layer(".".join(parts).removesuffix(".__init__"))
        assert own in LAYERS, f"{path.name} has no place in the layout"
        for module in imports(path):
            other = layer(module)
            if other in LAYERS and other != own:
                assert LAYERS.index(other) < LAYERS.index(own), f"{path} imports {module}"
