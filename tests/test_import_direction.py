"""Imports point backwards along the flow of data, and heavy libraries have one home each."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ORDER = (
    {"errors", "version", "atomic", "tensor_files", "exit_status"},
    {"data", "starter"},
    {"backbones"},
    {"activations"},
    {"sae"},
    {"probes", "analysis", "hierarchy"},
    {"targets", "relevancy", "faithfulness", "steering"},
    {"artifacts"},
    {"session"},
    {"views"},
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}

HOMES = {
    "gradio": ("hsae/views/",),
    "transformers": ("hsae/backbones/hf", "hsae/backbones/focus.py"),
    "onnx": ("hsae/backbones/focus.py",),
    "datasets": ("hsae/data/",),
    "huggingface_hub": ("hsae/artifacts/", "hsae/backbones/checkpoint.py"),
    "cv2": ("hsae/data/", "hsae/backbones/"),
    "nltk": ("hsae/hierarchy/",),
}
NOWHERE = {"torchvision", "timm", "lxt", "quantus", "pickle"}


def imported(tree: ast.Module) -> list[str]:
    """Dotted names of everything a module imports, at its top or inside functions."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def is_entry(tree: ast.Module) -> bool:
    """Whether the module is run as a script: then it stands outside the line."""
    tests = [node.test for node in tree.body if isinstance(node, ast.If)]
    return any("__name__" in ast.unparse(test) for test in tests)


def part_of(module: str) -> str:
    """`analysis` for hsae.measures.sparse_latents.rank."""
    return module.split(".")[1]


def offences(path: str, source: str) -> list[str]:
    """What is wrong with the imports of the module at `path` (relative to the repository)."""
    tree = ast.parse(source)
    names = imported(tree)
    found = [f"{path} imports {name}, which has no home in hsae" for name in names if name.split(".")[0] in NOWHERE]
    for name in names:
        homes = HOMES.get(name.split(".")[0])
        if homes and not path.startswith(homes):
            found.append(f"{path} imports {name}, whose home is {' and '.join(homes)}")
    if path == "hsae/__init__.py" or is_entry(tree):
        return found
    here = Path(path).with_suffix("").parts[1]
    if here not in RANK:
        return [*found, f"{path}: {here} has no place in the order of hsae"]
    for name in names:
        if name.startswith("hsae."):
            there = part_of(name)
            forwards = RANK.get(there, len(ORDER)) > RANK[here]
            if forwards or (here == "hierarchy" and there not in {"hierarchy", "errors"}):
                found.append(f"{path} imports {name}, which comes later")
    return found


def sources() -> dict[str, str]:
    files = sorted((ROOT / "hsae").rglob("*.py"))
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def test_every_module_keeps_to_the_order():
    modules = sources()
    assert len(modules) > 30
    assert [line for path, source in modules.items() for line in offences(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source", "said"),
    [
        ("hsae/data/new.py", "from hsae.backbones.base import Backbone", "comes later"),
        ("hsae/sae/new.py", "def f():\n    import hsae.session", "comes later"),
        ("hsae/sae/new.py", "from hsae import views", "comes later"),
        ("hsae/sae/new.py", "from hsae.unheard import of", "comes later"),
        ("hsae/hierarchy/new.py", "from hsae.data.samples import Samples", "comes later"),
        ("hsae/unheard.py", "import numpy", "no place"),
        ("hsae/session.py", "import gradio as gr", "home is hsae/views/"),
        ("hsae/backbones/base.py", "if True:\n    from transformers import AutoModel", "home is hsae/backbones/hf"),
        ("hsae/sae/train.py", "import datasets", "home is hsae/data/"),
        ("hsae/session.py", "from huggingface_hub import HfApi", "home is hsae/artifacts/"),
        ("hsae/__init__.py", "import gradio", "home is hsae/views/"),
        ("hsae/hierarchy/new.py", "import nltk, cv2", "imports cv2"),
        ("hsae/sae/new.py", "import pickle", "no home"),
        ("hsae/backbones/new.py", "from torchvision.transforms import v2", "no home"),
    ],
)
def test_an_offender_is_found(path, source, said):
    (only,) = offences(path, source)
    assert said in only


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("hsae/views/new.py", "import gradio\nfrom hsae.session import Session\nfrom hsae.data.decode import x"),
        ("hsae/analysis/new.py", "from hsae.hierarchy.lch import lch\nfrom hsae.measures.probes import LinearProbe"),
        ("hsae/hierarchy/tool.py", "from hsae.atomic import x\nif __name__ == '__main__':\n    pass"),
        ("hsae/__init__.py", "from hsae.session import Session"),
    ],
)
def test_what_is_allowed_passes(path, source):
    assert offences(path, source) == []


HEAVY = "transformers", "gradio", "datasets", "onnx", "nltk", "cv2"


def loaded_by(statement: str) -> set[str]:
    """Which heavy libraries a fresh process has loaded after the statement."""
    code = f"import sys\n{statement}\nprint(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_hsae_loads_nothing_heavy():
    assert loaded_by("import hsae") == set()
    assert "transformers" in loaded_by("import hsae.backbones.hf")


def test_base_classes_come_without_transformers():
    modules = ["backbones.base", "backbones.hooks", "backbones.registry", "activations.store", "probes", "relevancy"]
    assert not loaded_by("\n".join(f"import hsae.{module}" for module in modules)) & {"transformers", "gradio"}
