"""The package is layered: a file imports only from layers before its own."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import autoregress

SOURCE = Path(autoregress.__file__).parent

LAYERS = [
    "version",
    "brief",
    "configs",
    "symbols",
    "orderings",
    "conditionals",
    "predictors",
    "grids",
    "traversal",
    "kinds",
    "container",
    "disk",
    "data",
    "model",
    "families",
    "mixture",
    "networks",
    "devices",
    "memory",
    "processes",
    "evaluation",
    "baselines",
    "checks",
    "hub",
    "bundled",
    "card",
    "storage",
    "portable",
    "coding",
    "archive",
    "training",
    "planning",
    "tables",
    "packing",
    "sklearn",
    "page",
    "plot",
    "report",
    "recipes",
    "cli",
    "__main__",
]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCE.rglob("*.py")}


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports anywhere, be it for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & MODULES.keys()


def layer(module: str) -> str:
    return module.split(".")[1]


def test_every_file_imports_only_from_its_own_layer_and_those_before():
    for module, path in MODULES.items():
        if module == "autoregress":
            continue
        assert layer(module) in LAYERS, f"{module} has no place in the layout"
        for other in imports(path) - {"autoregress"}:
            assert LAYERS.index(layer(other)) <= LAYERS.index(layer(module)), (
                f"{module} imports {other}"
            )


def test_nothing_below_the_command_line_imports_the_package_itself():
    for module, path in MODULES.items():
        if layer(f"{module}.") not in ("cli", "__main__", ""):
            assert "autoregress" not in imports(path), f"{module} imports the package"


def test_no_files_import_each_other_in_a_circle():
    graph = {module: imports(path) - {module} for module, path in MODULES.items()}
    TopologicalSorter(graph).prepare()


def test_data_flows_through_few_floors():
    """A file's floor is one above the highest that it imports."""
    floors: dict[str, int] = {}
    graph = {module: imports(path) - {module} for module, path in MODULES.items()}
    for module in TopologicalSorter(graph).static_order():
        floors[module] = 1 + max((floors[other] for other in graph[module]), default=-1)
    assert floors["autoregress.data.source"] <= 2
    users = LAYERS[LAYERS.index("packing") :]
    assert max(n for module, n in floors.items() if layer(f"{module}.") not in users) <= 11


def test_every_public_name_is_there_and_has_a_docstring():
    stub = (SOURCE / "__init__.pyi").read_text()
    named = [
        alias.asname
        for node in ast.parse(stub).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(filter(None, named)) == sorted(dir(autoregress))
    for name in set(named) - {"__version__"}:
        assert getattr(autoregress, str(name)).__doc__, f"{name} has no docstring"
