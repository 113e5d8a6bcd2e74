"""Settings from flags and YAML files: what wins, what is told, what --help says."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from accelerate.commands.launch import launch_command_parser
from torch.distributed.run import get_args_parser

from hsae.errors import InputError
from hsae.sae.config import TrainConfig
from training.flags import documentation
from training.settings import CONFIGS, command_of, flags_of, parse
from training.train import main


@pytest.fixture
def config(tmp_path: Path):
    def written(text: str, name: str = "config.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return written


def test_flags_win_over_files_wherever_they_stand_and_files_over_the_defaults(config) -> None:
    first = config("run_dir: runs/x\nepochs: 7\nk: 5\nlr: 1e-4\n")
    second = config("k: 9\nd_sae: 64\n", "second.yaml")
    for arguments in (
        ["--config", first, "--epochs", "2"],
        ["--epochs", "2", "--config", first],
        [f"--config={first}", "--epochs=2"],
    ):
        run, sae, train = parse(arguments)
        assert (run.run, sae.k, train.epochs, train.lr, train.decay) == ("runs/x", 5, 2, 1e-4, TrainConfig().decay)
    _, sae, train = parse(["--config", first, "--k", "6", "--config", second])
    assert (sae.k, sae.d_sae, train.epochs) == (6, 64, 7)
    assert parse(["--config", first, "--config", second])[1].k == 9
    assert parse(["--config", second, "--config", first])[1].k == 5


def test_null_takes_a_setting_back_and_lists_are_names(config) -> None:
    first = config("run_dir: runs/x\ndecode_cache: cache\nd_sae: 64\nheldout_split: test\n")
    second = config("decode_cache: null\nd_sae: ~\nheldout_split:\nlayers: [block_01, block_02]\n", "second.yaml")
    run, sae, _ = parse(["--config", first, "--config", second])
    assert (run.decode_cache, sae.d_sae, run.heldout_split) == (None, None, None)
    assert run.layers == "block_01,block_02"
    assert run.layer_names == ["block_01", "block_02"]
    assert parse(["--config", second, "--config", first])[0].decode_cache == "cache"


def test_text_stays_as_it_is_written_and_a_tilde_is_the_home(config, monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    file = config("run: ~/runs/x\npush_tag: 1.10\ndataset_name: no\nclasses: '007'\nprivate: yes\ntau: .5\n")
    run, _, _ = parse(["--config", file, "--data=~/images"])
    assert (run.run, run.data) == ("/home/me/runs/x", "/home/me/images")
    assert (run.push_tag, run.dataset_name, run.classes, run.private, run.tau) == ("1.10", "no", "007", True, 0.5)


def test_both_names_of_the_run_folder_are_one_setting(config) -> None:
    files = [config("run: a\n", "1"), config("run_dir: b\n", "2"), config("run: c\n", "3")]
    assert parse([part for file in files for part in ("--config", file)])[0].run == "c"
    assert parse(["--config", files[0], "--run_dir", "d"])[0].run == "d"
    assert parse(["--run", "e"])[0].run == "e"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a list", "holds a list"),
        ("a: [unclosed", "cannot be read"),
        ("", "holds nothing"),
        ("run", "holds one value"),
        ("k: 1\nk: 2", "gives k twice"),
        ("epoch: 3", "line 1: unknown setting epoch (nearest: epochs)"),
        ("run: x\nk: null", "line 2: k is null"),
        ("layers: [a, [b]]", "layers is a list of more than plain values"),
        ("layers: []", "layers is a list of nothing"),
        ("layers: {a: b}", "layers is a mapping"),
        ("epoch: 3\nlayer: x\nzzz: 1", "epoch (nearest: epochs)"),
        ("epoch: 3\nlayer: x\nzzz: 1", "layer (nearest: layers)"),
        ("epoch: 3\nlayer: x\nzzz: 1", "line 3: unknown setting zzz. "),
        ("run: x\nk: [1, 2]", "--k '1,2', expected int"),
    ],
)
def test_a_config_that_is_none_is_an_error_in_one_sentence(config, capsys, text: str, said: str) -> None:
    file = config(text)
    assert main(["--config", file]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.startswith("InputError: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "--run x --epoch 3 --leyers all",
            "unknown flag --epoch (nearest: --epochs); unknown flag --leyers (nearest: ",
        ),
        ("--run x -k 3", "unknown flag -k (nearest: --k)"),
        ("--k abc --lr x", "--k 'abc', expected int; --lr 'x', expected float; the following arguments are required"),
        ("--run x --parallel rows --private perhaps", "--parallel 'rows', expected one of data, layer; --private"),
        ("--run x stray", "'stray', which belongs to no flag"),
        ("--run x --k", "expected one argument"),
        ("--config", "--config: expected one argument"),
        ("--config nowhere.yaml", "nowhere.yaml cannot be read"),
        ("--run x --k 0", "k 0. Expected a positive number"),
    ],
)
def test_a_mistake_in_the_flags_is_told_with_all_others(capsys, arguments: str, said: str) -> None:
    assert main(arguments.split()) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("config_class", CONFIGS)
def test_every_setting_is_documented_and_help_says_it_with_its_default(config_class: type, capsys) -> None:
    texts = documentation(config_class)
    assert [field.name for field in fields(config_class) if field.name not in texts] == []
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for field in fields(config_class):
        assert f"--{field.name} " in shown
        assert texts[field.name] in shown
    defaults = {"epochs": "20", "lr": "0.001", "activation": "topk", "d_sae": "none", "stream": "false"}
    for name, default in defaults.items():
        if name in texts:
            assert f"{texts[name]} (default: {default})" in shown


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("token", "cls,patch,mean"),
        ("activations", "store,online"),
        ("train_precision", "float32,bfloat16"),
        ("artifact_dtype", "float16,float32"),
    ],
)
def test_a_setting_of_few_values_takes_each_of_them_and_no_other(config, capsys, name: str, values: str) -> None:
    for value in values.split(","):
        file = config(f"{name}: {value}\n")
        for arguments in (["--config", file], [f"--{name}", value]):
            assert getattr(parse(["--run", "x", *arguments])[0], name) == value
    others = values.replace(",", ", ")
    for arguments in (["--config", config(f"{name}: other\n")], [f"--{name}=other"]):
        with pytest.raises(InputError, match=f"--{name} 'other', expected one of {others}[.]"):
            parse(["--run", "x", *arguments])
    with pytest.raises(SystemExit):
        main(["--help"])
    assert f"--{name} {{{values}}}" in " ".join(capsys.readouterr().out.split())


def test_the_command_in_the_card_can_be_typed(config) -> None:
    file = config("run_dir: runs/my run\ndataset_name: it's\ntau: -0.5\nk: 5\n")
    flags = flags_of(["--config", file, "--k", "6"])
    assert flags == ["--run_dir", "runs/my run", "--dataset_name", "it's", "--tau=-0.5", "--k", "5", "--k", "6"]
    run, sae, _ = parse(shlex.split(shlex.join(flags)))
    assert (run.run, run.dataset_name, run.tau, sae.k) == ("runs/my run", "it's", -0.5, 6)


@pytest.mark.parametrize(
    "name", [*(f.name for c in CONFIGS for f in fields(c) if f.name != "run"), "run_dir", "config"]
)
def test_no_flag_is_taken_by_the_launchers(name: str) -> None:
    for parser in (get_args_parser(), launch_command_parser()):
        given = parser.parse_args(["training/train.py", f"--{name}", "x"])
        assert given.training_script_args == [f"--{name}", "x"]


def test_a_card_tells_every_flag_once_and_no_folder_of_the_machine():
    flags = ["--run_dir", "runs/a", "--data", "/home/me/cats,../dogs", "--k", "8", "--lr=0.1", "--run_dir", "/tmp/b"]
    told = command_of(flags)
    assert told == "accelerate launch training/train.py --data cats,../dogs --k 8 --lr 0.1 --run_dir b"
    assert command_of(["--dataset_name", "cats, dogs", "--private"]).endswith("--dataset_name 'cats, dogs' --private")
