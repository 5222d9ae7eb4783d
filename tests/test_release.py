"""What strangers get: the wheel works alone, the files about the project are true of it."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import autoregress
from autoregress.bundled import NAMES

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
            fixed = all(isinstance(each, ast.Constant) for each in node.args)
            assert name not in FORBIDDEN or (name == "exec" and fixed)
            if name == "np.load":
                keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert keywords["allow_pickle"] == "False"
            if name.endswith("import_module"):
                assert file == SOURCE / PLUGIN


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = out.glob("*.tar.gz")
    (built,) = out.glob("*.whl")
    check = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(built)]
    done = subprocess.run(check, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        (about,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(file.read(about))
    info = about.partition("/")[0]
    ours = {name for name in names if not name.startswith(f"{info}/")}
    files = [path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert ours == {str(path.relative_to(SOURCE.parent)) for path in files}
    assert "autoregress/py.typed" in ours
    assert {f"autoregress/bundled/{name}/model.safetensors" for name in NAMES} <= ours
    assert f"{info}/licenses/LICENSE" in names
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Version"] == autoregress.__version__


@pytest.mark.slow
def test_the_wheel_alone_runs_the_first_steps(wheel, tmp_path):
    python = alone(wheel, tmp_path / "env")
    page = tmp_path / "first-steps.md"
    shutil.copy(ROOT / "docs" / "first-steps.md", page)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    where = [python, "-I", "-c", "import autoregress; print(autoregress.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, env=environment, check=True)
    assert Path(found.stdout.strip()).is_relative_to(tmp_path)
    done = subprocess.run(
        [python, "-I", ROOT / "docs" / "run_pages.py", page],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    as_printed, as_shown = page.read_text(), (ROOT / "docs" / "first-steps.md").read_text()
    assert re.sub(r"[\d.,]+", "#", as_printed) == re.sub(r"[\d.,]+", "#", as_shown)


def alone(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment with the wheel and what it requires, and nothing else.

    What it requires is linked from here, as torch is large.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for name in sorted(requirements(wheel)):
        for path in contents(distribution(name)):
            if not (link := site / path.name).exists():
                link.symlink_to(path)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, *offline, str(wheel)], check=True, timeout=300)
    return python


def requirements(wheel: Path) -> set[str]:
    """The names of all packages that the wheel needs, directly or not."""
    with zipfile.ZipFile(wheel) as file:
        (about,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        needed = message_from_bytes(file.read(about)).get_all("Requires-Dist", [])
    found: set[str] = set()
    while needed:
        requirement = Requirement(needed.pop())
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name not in found:
            found.add(requirement.name)
            needed += distribution(requirement.name).requires or []
    return found


def contents(package: Distribution) -> Iterator[Path]:
    """The files and folders of a package that lie in site-packages itself."""
    for name in sorted({file.parts[0] for file in package.files or ()}):
        if name not in ("..", "__pycache__"):
            yield Path(str(package.locate_file(name)))
