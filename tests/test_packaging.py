"""What `pip install .` gives: every file of the package, the libraries it imports, and nothing that only tests need."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email import message_from_string
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hsae.artifacts.artifact import Artifact
from tests.artifacts.conftest import GOLDEN
from tests.hub_emulator import TOKEN

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = ("hsae", "hub_cards", "pyproject.toml", "README.md", "LICENSE")

COMPARED = {
    "sae-lens",
    "eai-sparsify",
    "dictionary-learning",
}  # by training/benchmarks/peers.py, where they are installed
BEHIND_OTHERS = {"pyarrow", "tqdm"}


def specifiers(lines: list[str]) -> dict[str, Requirement]:
    """Requirements by name."""
    given = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(one.name): one for one in given}


RUNTIME, TESTS = specifiers(PROJECT["dependencies"]), specifiers(PROJECT["optional-dependencies"]["test"])


def test_requirements_txt_is_the_full_set_of_pyproject():
    checkout = specifiers((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    pinned, torch = checkout.pop("torch"), RUNTIME["torch"]
    assert {name: str(one.specifier) for name, one in checkout.items()} == {
        name: str(one.specifier) for name, one in (RUNTIME | TESTS).items() if name != "torch"
    }
    (only,) = pinned.specifier
    assert only.operator == "=="
    assert only.version in torch.specifier
    assert not RUNTIME.keys() & TESTS.keys()


def third_party(*folders: str) -> set[str]:
    """Distributions that the modules below the folders import, at their top or inside functions."""
    names = set()
    for file in [file for folder in folders for file in (ROOT / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).split(".")[0])
    names -= {"hsae", "training", "tests", *sys.stdlib_module_names}
    known = packages_distributions()
    return {canonicalize_name(known[name][0]) for name in names if name in known}


def test_what_the_package_imports_is_declared_and_nothing_else_is():
    imported = third_party("hsae", "training")
    assert imported - RUNTIME.keys() - COMPARED == set()
    assert RUNTIME.keys() - imported - BEHIND_OTHERS == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, compiled files lying about and all."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", source / "dist", source], check=True, capture_output=True)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package_and_the_cards_templates(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")}
    files = [file for file in (ROOT / "hsae").rglob("*") if file.is_file() and file.parent.name != "__pycache__"]
    files += (ROOT / "hub_cards").glob("*.md")
    assert packed == {file.relative_to(ROOT).as_posix() for file in files}
    assert {"hsae/py.typed", "hub_cards/model_card.md", "hub_cards/space_card.md"} <= packed


@pytest.mark.slow
def test_the_wheel_asks_for_what_runs_it_and_not_for_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_string(archive.read(name).decode())
    asked = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    assert {canonicalize_name(one.name) for one in asked if one.marker is None} == RUNTIME.keys()
    assert set(metadata.get_all("Provides-Extra")) == {"mcp", "test"}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment with the wheel; its libraries are those of this one, which are not fetched again."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    python = Path(sysconfig.get_path("scripts", "venv", paths)) / Path(sys.executable).name
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, capture_output=True)
    return python


@pytest.mark.slow
def test_an_installed_package_pushes_with_its_card(installed, hub, tmp_path):
    artifact = shutil.copytree(GOLDEN / "schema_1", tmp_path / "artifact")
    (artifact / "README.md").unlink()  # so that the push renders one
    program = "import hsae; print(hsae.__file__); print(hsae.Artifact.load('artifact').push('org/new'))"
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
    settings |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [installed, "-c", program], cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    where, commit = done.stdout.split()
    assert Path(where).is_relative_to(installed.parents[1])
    card = hub.repo("org/new").commits[commit]["README.md"].decode()
    assert 'hsae.Artifact.load("org/new", layers=["block_02"])' in card
    assert Artifact.load("org/new").sha256 == Artifact.load(artifact).sha256
