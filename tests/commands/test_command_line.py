"""One table of commands: help, one sentence per error, Ctrl+C, and the spellings of version 1."""

from __future__ import annotations

import runpy
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

from hsae.__main__ import COMMANDS, RENAMED, main, usage
from hsae.commands.command_line import run_command
from hsae.errors import InputError


@pytest.mark.parametrize("command", ["causal", "faithfulness", "figures", "nearest", "pairs", "segmentation"])
def test_errors_are_one_sentence_and_exit_status_1(command, tmp_path, capsys):
    assert main([command, str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("ArtifactError: ")
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_prints_the_documentation_of_every_option(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: python -m hsae {command}" in text
    assert import_module(COMMANDS[command].module).__doc__.splitlines()[0] in text


def test_without_a_command_all_are_named(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == usage()
    assert all(name in usage() for name in COMMANDS)
    assert main(["figurs"]) == 2
    assert "no command 'figurs'" in capsys.readouterr().err


@pytest.mark.parametrize("module", sorted(RENAMED))
def test_the_old_spelling_names_the_new_one_and_works(module, capsys, monkeypatch):
    """As `python -m` runs a module, but in this process, which has loaded everything."""
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    told = capsys.readouterr()
    assert f"python -m hsae {RENAMED[module]}" in told.err
    assert f"usage: python -m hsae {RENAMED[module]}" in told.out


@pytest.mark.slow
def test_an_old_spelling_works_in_a_process_of_its_own():
    run = [sys.executable, "-m", "hsae.analysis", "--help"]
    told = subprocess.run(run, capture_output=True, text=True, check=True)
    assert f"python -m hsae {RENAMED['hsae.analysis']}" in told.stderr
    assert f"usage: python -m hsae {RENAMED['hsae.analysis']}" in told.stdout


def test_compare_was_once_a_word_after_analysis(tmp_path, capsys):
    from hsae.__main__ import renamed

    assert renamed("hsae.analysis", ["compare", str(tmp_path), str(tmp_path)]) == 1
    assert "python -m hsae compare" in capsys.readouterr().err


def test_options_reach_the_command_and_defaults_are_documented(capsys):
    """First line."""
    command = ModuleType("command", "First line.\n\nMore.")
    asked = []
    command.add_arguments = lambda parser: parser.add_argument("--n", type=int, default=3, help="how many")
    command.run = lambda options: asked.append(options.n)
    assert run_command(command, "x", ["--n", "5"]) == 0
    assert run_command(command, "x", []) == 0
    assert asked == [5, 3]
    with pytest.raises(SystemExit):
        run_command(command, "x", ["--help"])
    text = capsys.readouterr().out
    assert "how many (default: 3)" in text
    assert "More." in text

    def refuse(options):
        raise InputError("n", "m")

    command.run = refuse
    assert run_command(command, "x", []) == 1
