"""What the README tells a reader to type is true: its Python runs, its files exist, CI runs its test command."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from training.settings import parse

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^    (\S.*)$", README, re.MULTILINE)


def test_the_snippet_for_downloaders_runs(capsys):
    exec(SNIPPETS[0], {})
    assert "coverage" in capsys.readouterr().out


@pytest.mark.slow
def test_the_snippet_with_an_image_steers(focus, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict = {}
    exec(SNIPPETS[1], names)
    assert names["heat"].ndim == 2
    assert names["result"].probabilities_after.sum() == pytest.approx(1, abs=1e-5)


def test_every_snippet_is_tested():
    assert len(SNIPPETS) == 2


def test_the_two_commands_install_and_then_do_everything():
    assert COMMANDS[:2] == [
        f"pip install -r requirements.txt && {command}" for command in ("python app.py", "python -m pytest")
    ]


def test_ci_runs_the_readmes_test_command():
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith("\n" + COMMANDS[1].split(" && ")[1])


@pytest.mark.parametrize("name", ["quickstart", "starter", "efficientnet", "random_backbone"])
def test_configs_are_settings_train_py_knows(name):
    config, _, _ = parse(["--config", str(ROOT / "training" / "configs" / f"{name}.yaml")])
    assert config.run == "runs/" + {"random_backbone": "starter-random"}.get(name, name)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("hf ") and "--" in c])
def test_the_hubs_own_commands_have_the_options_they_are_given(command):
    words = command.split()
    name = list(itertools.takewhile(lambda word: word.isalpha(), words))
    run = [Path(sys.executable).with_name("hf"), *name[1:], "--help"]
    told = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert [word for word in words if word.startswith("--") and word not in told] == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python -m hsae.")])
def test_modules_of_the_package_can_be_asked_for_help(command):
    words = command.split()
    known = subprocess.run([sys.executable, "-m", words[2], "--help"], cwd=ROOT, capture_output=True, text=True)
    assert known.returncode == 0
    assert "usage" in known.stdout


def test_files_named_in_links_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
