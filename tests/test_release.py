"""What strangers get: the papers of the files are named, the versions agree, files run no code."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import autoregress

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "autoregress"


def test_all_files_name_the_same_version():
    citation = (ROOT / "CITATION.cff").read_text()
    changes = (ROOT / "CHANGELOG.md").read_text()
    cited = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    newest = re.search(r"^## (\S+)", changes, re.MULTILINE)
    assert cited
    assert newest
    assert cited[1] == newest[1] == autoregress.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", autoregress.__version__)


def test_every_cited_paper_is_named_where_it_is_used():
    cited = re.findall(r"arXiv:(\d{4}\.\d{5})", (ROOT / "CITATION.cff").read_text())
    assert len(cited) == len(set(cited)) > 5
    code = "".join(file.read_text() for file in SOURCE.rglob("*.py"))
    assert [number for number in cited if number not in code] == []


def test_the_licence_is_the_declared_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (licence,) = project["license-files"]
    text = " ".join((ROOT / licence).read_text().split())
    assert text.startswith("Apache License Version 2.0, January 2004")
    assert text.endswith("limitations under the License.")
    assert project["license"] == "Apache-2.0"


@pytest.mark.parametrize(
    "workflow", sorted((ROOT / ".github" / "workflows").iterdir()), ids=lambda p: p.name
)
def test_workflows_run_what_there_is(workflow):
    commands = re.findall(r"- run: (.+)", workflow.read_text())
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {".ci/run", "make lowest"} <= set(commands)
    for command in commands:
        tool, *arguments = command.split()
        assert set(arguments) <= set(targets) if tool == "make" else (ROOT / tool).exists()


def test_the_tree_in_contributing_is_that_of_the_source():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    tree = page[page.index("src/autoregress/\n") :].partition("\n```")[0]
    shown = re.findall(r"^  ([\w.]+)", tree, re.MULTILINE)
    private = {"__init__", "__main__", "__pycache__", "version", "py"}
    there = {path.name for path in SOURCE.iterdir() if path.name.split(".")[0] not in private}
    assert sorted(shown) == sorted(there)


# What SECURITY.md says that never happens.
UNPICKLING = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN = {"eval", "exec", "compile", "torch.load", "__import__"}
# The user names this module on the command line.
PLUGIN = "cli/program.py"


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.stem)
def test_no_file_read_can_run_code(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & UNPICKLING
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in UNPICKLING
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in FORBIDDEN
            if name == "np.load":
                keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert keywords["allow_pickle"] == "False"
            if name.endswith("import_module"):
                assert file == SOURCE / PLUGIN
