"""The README of a Space."""

from __future__ import annotations

from huggingface_hub import SpaceCard

from hsae.__main__ import main


def test_the_space_shows_its_artifacts_and_fetches_them_while_it_is_built(tmp_path, capsys):
    out = tmp_path / "space" / "README.md"
    assert main(["space", "org/a", "org/b", "--title", "Look", "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    card = SpaceCard.load(out)
    assert (card.data.sdk, card.data.app_file, card.data.models) == ("gradio", "app.py", ["org/a", "org/b"])
    assert card.data.to_dict()["preload_from_hub"] == ["org/a", "org/b"]
    assert "python app.py --artifact org/a --artifact org/b" in card.text


def test_what_cannot_be_on_the_hub_is_refused(tmp_path, capsys):
    out = tmp_path / "README.md"
    assert main(["space", "no such/name", "--out", str(out)]) == 1
    assert "no such/name" in capsys.readouterr().err
    assert not out.exists()
