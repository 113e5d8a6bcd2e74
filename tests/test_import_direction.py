"""Imports point backwards along the flow of data, and heavy libraries have one home each."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ORDER = (
    *("errors", "version", "atomic", "tensor_files", "exit_status", "starter"),
    *("data", "backbones", "activations", "sae", "hierarchy", "measures", "report", "bench"),
    *(
        "relevancy",
        "faithfulness",
        "steering",
        "artifacts",
        "comparison",
        "consistency",
        "session",
        "commands",
        "views",
        "__main__",
    ),
)
"""The folders and modules of hsae, each of which imports only from those before it."""
RANK = {name: rank for rank, name in enumerate(ORDER)}
EXCEPTIONS = {
    f"hsae/{folder}/__main__.py": "the old spelling of a command, which names the new one and runs it"
    for folder in ("analysis", "faithfulness", "steering", "steering/causal", "steering/segmentation")
}

HOMES = {
    "gradio": ("hsae/views/",),
    "transformers": ("hsae/backbones/hf", "hsae/backbones/focus.py"),
    "onnx": ("hsae/backbones/focus",),
    "datasets": ("hsae/data/",),
    "huggingface_hub": (
        "hsae/artifacts/",
        *("hsae/backbones/checkpoint.py", "hsae/backbones/hub.py", "hsae/data/streamed.py"),
    ),
    "cv2": ("hsae/data/", "hsae/backbones/"),
    "nltk": ("hsae/hierarchy/",),
    "numba": ("hsae/measures/wordnet/kernels.py",),
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
    if path in {"hsae/__init__.py", "hsae/analysis/__init__.py", *EXCEPTIONS}:
        return found
    here = Path(path).with_suffix("").parts[1]
    if here not in RANK:
        return [*found, f"{path}: {here} has no place in the order of hsae"]
    for name in names:
        if name.startswith("hsae."):
            there = part_of(name)
            if RANK.get(there, len(ORDER)) > RANK[here]:
                found.append(f"{path} imports {name}, which comes later")
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every set of modules that reach each other by imports."""
    graph = {module: set(targets) for module, targets in graph.items()}
    while free := [module for module, targets in graph.items() if not targets & graph.keys()]:
        for module in free:
            del graph[module]
    # What is left either is on a circle or leads to one; peel from the other side too.
    while free := [module for module in graph if not any(module in targets for targets in graph.values())]:
        for module in free:
            del graph[module]
    return [sorted(graph)] if graph else []


def module_graph(modules: dict[str, str]) -> dict[str, set[str]]:
    """Which module imports which, of {path: source}; a package stands for its __init__."""
    names = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in modules}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        wanted = imported(ast.parse(modules[path]))
        targets = {n if n in names else n.rpartition(".")[0] for n in wanted if n.startswith("hsae")}
        graph[name] = {target for target in targets if target in names and target != name}
    return graph


def sources() -> dict[str, str]:
    files = sorted((ROOT / "hsae").rglob("*.py"))
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def test_every_module_keeps_to_the_order():
    modules = sources()
    assert len(modules) > 30
    assert [line for path, source in modules.items() for line in offences(path, source)] == []


def test_no_modules_import_each_other_in_a_circle():
    graph = module_graph(sources())
    graph.pop("hsae")  # its names are imported when first used
    assert circles(graph) == []


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}, "e": set()}) == [["b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    ("path", "source", "said"),
    [
        ("hsae/data/new.py", "from hsae.backbones.base import Backbone", "comes later"),
        ("hsae/sae/new.py", "def f():\n    import hsae.session", "comes later"),
        ("hsae/sae/new.py", "from hsae import views", "comes later"),
        ("hsae/sae/new.py", "from hsae.unheard import of", "comes later"),
        ("hsae/hierarchy/new.py", "from hsae.measures.statistics import mean", "comes later"),
        ("hsae/unheard.py", "import numpy", "no place"),
        (
            "hsae/commands/new.py",
            "from hsae.views.page import app\nif __name__ == '__main__':\n    pass",
            "comes later",
        ),
        ("hsae/relevancy/new.py", "from hsae.faithfulness import scenes", "comes later"),
        ("hsae/session/session.py", "import gradio as gr", "home is hsae/views/"),
        ("hsae/backbones/base.py", "if True:\n    from transformers import AutoModel", "home is hsae/backbones/hf"),
        ("hsae/sae/train.py", "import datasets", "home is hsae/data/"),
        ("hsae/session/session.py", "from huggingface_hub import HfApi", "home is hsae/artifacts/"),
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
        ("hsae/report/new.py", "from hsae.hierarchy.lch import lch\nfrom hsae.measures.probes import LinearProbe"),
        ("hsae/steering/causal/__main__.py", "from hsae.__main__ import renamed"),
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


@pytest.mark.slow
def test_importing_hsae_loads_nothing_heavy():
    assert loaded_by("import hsae") == set()
    assert "transformers" in loaded_by("import hsae.backbones.hf")


@pytest.mark.slow
def test_base_classes_come_without_transformers():
    modules = [
        "backbones.base",
        "backbones.hooks",
        "backbones.registry",
        "activations.store",
        "measures.probes",
        "relevancy",
    ]
    assert not loaded_by("\n".join(f"import hsae.{module}" for module in modules)) & {"transformers", "gradio"}
