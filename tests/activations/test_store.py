"""A store that is not whole, or not a store, is an error that says what to do."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from hsae.activations.store import ActivationStore, read_manifest, shard_path
from hsae.errors import StoreError
from tests.synthetic import write_store

LAYERS = {"stem": 4, "late": 6, "early": 2}  # not in alphabetical order


@pytest.fixture
def content():
    return {name: torch.randn(10, 2, width) for name, width in LAYERS.items()}


@pytest.fixture
def store(tmp_path, content):
    return write_store(tmp_path / "store", content, shard_rows=4, labels=torch.arange(10) - 1)


def test_what_is_written_is_read(store, content):
    assert list(store.layers.items()) == list(LAYERS.items())
    assert (len(store), store.n_shards, store.n_tokens) == (10, 3, 20)
    assert store.shard_shapes == [(4, 2), (4, 2), (2, 2)]
    assert torch.equal(store.shard(1, "late", slice(1, 3)), content["late"][5:7])
    assert all(torch.equal(store.layer(name), content[name]) for name in LAYERS)
    assert torch.equal(store.shard(1, "late"), content["late"][4:8])
    assert store.labels.tolist() == list(range(-1, 9))


def test_an_unknown_layer_lists_the_known_ones(store):
    for read in (store.layer, lambda name: store.shard(0, name)):
        with pytest.raises(StoreError, match=r"No layer 'block_01'.*stem, late, early"):
            read("block_01")


def test_a_missing_shard(store):
    shard_path(store.folder, 1).unlink()
    with pytest.raises(StoreError, match=r"lacks 1 of 3 shards, first 1.*goes on where it stopped"):
        ActivationStore(store.folder)


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def change(**tensors):
    def damage(path):
        save_file(load_file(path) | tensors, path)

    return damage


def drop(name):
    def damage(path):
        save_file({key: value for key, value in load_file(path).items() if key != name}, path)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff" * 200),
        drop("late"),
        drop("label"),
        change(late=torch.zeros(4, 2, 5)),
        change(late=torch.zeros(4, 6)),
        change(late=torch.zeros(3, 2, 6)),
    ],
)
def test_a_damaged_shard_is_named(store, damage):
    ActivationStore(store.folder).layer("late")
    damage(shard_path(store.folder, 1))
    with pytest.raises(StoreError, match=r"shard_00001\.safetensors is damaged.*Delete this file"):
        ActivationStore(store.folder).layer("late")
    assert torch.equal(ActivationStore(store.folder).shard(0, "late"), store.shard(0, "late"))


def flipped(data, position):
    return data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]


def test_a_bit_that_flipped_anywhere_is_found_or_harms_nothing(store, content):
    path = shard_path(store.folder, 1)
    whole, refused = path.read_bytes(), 0
    for position in range(0, len(whole), 7):
        path.write_bytes(flipped(whole, position))
        opened = ActivationStore(store.folder)
        try:
            assert all(torch.equal(opened.layer(name), content[name]) for name in LAYERS), position
            assert opened.labels.tolist() == list(range(-1, 9)), position
        except StoreError as error:
            refused += "shard_00001.safetensors is damaged" in str(error)
    assert refused > 0.8 * len(whole) / 7


def test_a_part_of_a_layer_is_checked_too_and_only_what_is_read(store, content):
    path = shard_path(store.folder, 1)
    whole = path.read_bytes()
    start = whole.index(content["late"][7].numpy().tobytes())
    path.write_bytes(flipped(whole, start))
    opened = ActivationStore(store.folder)
    with pytest.raises(StoreError, match="damaged: late has not the sha256"):
        opened.shard(1, "late", slice(0, 2))
    assert torch.equal(opened.layer("early"), content["early"])


def test_shards_of_versions_before_are_read(store, content):
    path = shard_path(store.folder, 1)
    save_file(load_file(path), path)
    assert torch.equal(ActivationStore(store.folder).layer("late"), content["late"])


def test_no_store(tmp_path):
    with pytest.raises(StoreError, match=r"No activation store in .*Extract first"):
        ActivationStore(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"manifest"', "\ud800"])
def test_a_manifest_that_is_no_json_object(store, text):
    (store.folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(StoreError, match=r"manifest\.json"):
        read_manifest(store.folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 2}, "schema 2. Expected 1"),
        ({"schema": None}, "schema None"),
        ({"extra": 1}, "'extra'"),
        ({"layers": []}, r"layers \[\]"),
        ({"layers": {"stem": "wide"}}, "'wide'"),
        ({"dataset": {"id": "x"}}, "dataset"),
        ({"dataset": {"n_rows": 3, "classes": "all"}}, "'all'"),
        ({"shard_rows": 0}, "shard_rows 0"),
        ({"shard_rows": True}, "shard_rows True"),
    ],
)
def test_a_manifest_of_another_kind(store, changes, said):
    path = store.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(StoreError, match=said):
        read_manifest(store.folder)
