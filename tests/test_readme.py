"""What the documents tell a reader to type is true: their Python runs, commands exist, links lead somewhere."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import hsae
from hsae.__main__ import COMMANDS as HSAE_COMMANDS
from training.settings import parse

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "hub_cards/RESULTS.md", "training/README.md", "training/benchmarks/README.md"),
    *("hsae/artifacts/README.md", "hsae/starter/README.md"),
]
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
SNIPPETS = [code for text in TEXTS.values() for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
LINES = [line for text in TEXTS.values() for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE)]
INLINE = [code for text in TEXTS.values() for code in re.findall(r"`([^`\n]+)`", text)]
COMMANDS = sorted({part.strip() for line in (*LINES, *INLINE) for part in line.split("&&")})


def starting(*words: str) -> list[str]:
    """The commands that start with these words."""
    return [command for command in COMMANDS if command.split()[: len(words)] == list(words)]


def test_the_snippet_for_downloaders_runs(capsys):
    exec(SNIPPETS[0], {})
    assert "node_precision" in capsys.readouterr().out


@pytest.mark.slow
def test_the_snippet_with_an_image_steers(focus, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict = {}
    exec(SNIPPETS[1], names)
    assert names["session"].classes()["name"][0] == "German shepherd"
    assert names["heat"].ndim == 2
    assert names["result"].probabilities_after.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_the_snippet_of_a_place_tells_where_its_strongest_feature_fires(focus, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict = {"hsae": hsae}
    exec(SNIPPETS[2], names)
    assert names["heat"][7, 8] == pytest.approx(names["here"].activation[0], rel=1e-4)


def test_every_snippet_is_tested():
    assert len(SNIPPETS) == 3


def test_two_commands_install_and_then_do_everything():
    lines = re.findall(r"^    (pip install.*)$", TEXTS["README.md"], re.MULTILINE)
    assert lines == [f"pip install -r requirements.txt && {do}" for do in ("python app.py", "python -m pytest -n 3")]


def test_ci_runs_the_readmes_test_command():
    assert "\npython -m pytest -n 3\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "training" / "configs").glob("*.yaml")))
def test_configs_are_settings_train_py_knows(name):
    parse(["--config", str(ROOT / "training" / "configs" / f"{name}.yaml")])


@pytest.mark.parametrize("command", starting("accelerate", "launch", "training/train.py"))
def test_training_commands_have_the_flags_they_are_given(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = shlex.split(command)[3:]
    if arguments and arguments != ["--help"] and "..." not in arguments:
        parse(arguments)


@pytest.mark.parametrize("command", starting("hf"))
def test_the_hubs_own_commands_have_the_options_they_are_given(command):
    words = command.split()
    name = list(itertools.takewhile(lambda word: word.isalpha(), words))
    run = [Path(sys.executable).with_name("hf"), *name[1:], "--help"]
    told = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert [word for word in words if word.startswith("--") and word not in told] == []


@pytest.mark.parametrize("command", starting("python", "-m", "hsae"))
def test_commands_of_the_package_have_the_options_they_are_given(command, capsys):
    from hsae.__main__ import main

    words = shlex.split(command)[3:]
    if words[0] == "COMMAND":
        return
    assert words[0] in HSAE_COMMANDS
    with pytest.raises(SystemExit) as ended:
        main([words[0], "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in told] == []


@pytest.mark.parametrize("script", sorted({c.split()[1] for c in COMMANDS if re.match(r"python training/\S+\.py", c)}))
def test_scripts_that_are_named_exist(script):
    assert (ROOT / script).is_file()


@pytest.mark.parametrize(
    "module", sorted({c.split()[2] for c in COMMANDS if re.match(r"python -m (training|tests)", c)})
)
def test_modules_that_are_named_exist(module):
    assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files_and_headings(name):
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXTS[name]):
        path, _, heading = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, link


def test_the_readme_is_short_enough_to_be_read():
    _, _, text = TEXTS["README.md"].split("---\n", 2)  # without the settings of a Space
    assert len(text.split()) < 1000
    assert len(TEXTS["CONTRIBUTING.md"].splitlines()) <= 80
