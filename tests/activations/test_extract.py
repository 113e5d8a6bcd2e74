"""A store holds exactly what the backbone gives, row by row."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from hsae.activations.extract import extract_activations
from hsae.activations.extraction import describe_backbone
from hsae.activations.labels import LABELS
from hsae.activations.store import ActivationStore, shard_path, write_manifest
from hsae.errors import InputError, StoreError
from tests.activations.noise_images import CLASSES, noise_samples
from tests.tiny_models import SIDE, PlainBackbone, tiny_dinov2


def extract(folder, samples, *arguments, backbone=None, **options) -> ActivationStore:
    settings = {"batch_size": 4, "shard_rows": 6, "progress": False} | options
    return extract_activations(backbone or tiny_dinov2(), samples, folder, *arguments, **settings)


def direct(backbone, samples, layer, token) -> torch.Tensor:
    """One image at a time, without a store."""
    each = [backbone.run([sample.image], [layer])[layer] for sample in samples]
    return torch.cat([backbone.select_token(x, layer, token) for x in each])


@pytest.mark.parametrize("token", ["cls", "patch", "mean"])
@pytest.mark.parametrize("registers", [0, 2])
def test_a_store_equals_direct_runs(tmp_path, token, registers):
    backbone, samples = tiny_dinov2(registers=registers), noise_samples(16)
    store = extract(tmp_path / "store", samples, "all", token, backbone=backbone)
    assert len(store) == 16
    assert store.n_tokens == 16 * (16 if token == "patch" else 1)
    assert store.layers == {"block_01": 32, "block_02": 32, "block_03": 32}
    for layer in store.layers:
        expected = direct(backbone, samples, layer, token)
        torch.testing.assert_close(store.layer(layer), expected, atol=1e-5, rtol=1e-5)
        assert (store.layer(layer).roll(1, 0) - expected).abs().max() > 1e-2


def test_labels_rows_and_classes(tmp_path):
    store = extract(tmp_path / "store", noise_samples(9))
    assert store.labels.tolist() == [0, 1, 2, -1, 0, 1, 2, -1, 0]
    assert store.rows.tolist() == list(range(9))
    assert store.classes == CLASSES


def test_broken_images_leave_a_gap(tmp_path, caplog):
    broken = (2, 6, 7, 8, 9, 10, 11)  # one in shard 0, all of shard 1
    samples = noise_samples(16, broken)
    store = extract(tmp_path / "store", samples)
    assert store.rows.tolist() == [0, 1, 3, 4, 5, 12, 13, 14, 15]
    assert store.labels.tolist() == [0, 1, -1, 0, 1, 0, 1, 2, -1]
    assert store.shard_shapes == [(5, 1), (0, 1), (4, 1)]
    assert store.shard(1, "block_02").shape == (0, 1, 32)
    whole = extract(tmp_path / "whole", noise_samples(16))
    torch.testing.assert_close(store.layer("block_03"), whole.layer("block_03")[store.rows], atol=1e-5, rtol=1e-5)
    assert len(samples.skipped) == len(broken)
    assert "row 6" in caplog.text


def test_a_subset_of_layers_in_model_order(tmp_path):
    backbone = tiny_dinov2()
    backbone.model.encoder.layer[2].register_forward_hook(lambda *_: pytest.fail("block 3 is not asked for"))
    store = extract(tmp_path / "store", noise_samples(5), ["block_02", "block_01"], backbone=backbone)
    assert list(store.layers) == ["block_01", "block_02"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_stored_dtypes_are_roundings(tmp_path, dtype):
    full = extract(tmp_path / "full", noise_samples(6)).layer("block_03")
    rounded = extract(tmp_path / "half", noise_samples(6), dtype=dtype).layer("block_03")
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, full.to(dtype).float())
    assert not torch.equal(rounded, full)


def test_a_backbone_without_a_class_token(tmp_path):
    with pytest.raises(InputError, match="no class token"):
        extract(tmp_path / "cls", noise_samples(4), backbone=PlainBackbone())
    assert not (tmp_path / "cls").exists()
    store = extract(tmp_path / "mean", noise_samples(4), "all", "mean", backbone=PlainBackbone())
    assert store.layer("stage_1").shape == (4, 1, 3)


def test_the_manifest_says_what_it_is_made_from(tmp_path):
    backbone, samples = tiny_dinov2(), noise_samples(7)
    manifest = extract(tmp_path / "store", samples, backbone=backbone).manifest
    expected = {"id": "tiny", "revision": None, "weights_sha256": backbone.fingerprint, "image_size": SIDE}
    assert manifest.backbone == describe_backbone(backbone) == expected
    assert manifest.dataset == {
        "id": "noise",
        "images": samples.images_fingerprint,
        "fingerprint": samples.fingerprint,
        "labelling": samples.labelling,
        "n_rows": 7,
        "classes": list(CLASSES),
    }
    assert (manifest.token, manifest.dtype, manifest.shard_rows, manifest.n_shards) == ("cls", "float32", 6, 2)


def test_a_shard_is_bounded_in_bytes(tmp_path, monkeypatch):
    default = extract(tmp_path / "rows", noise_samples(3), shard_rows=None)
    assert default.manifest.shard_rows == 1024
    monkeypatch.setattr("hsae.activations.extraction.SHARD_BYTES", 2 * 3 * 16 * 32 * 4)
    small = extract(tmp_path / "bytes", noise_samples(3), "all", "patch", shard_rows=None)
    assert small.manifest.shard_rows == 2
    assert torch.equal(small.labels, default.labels)


DIFFERENT = {
    "backbone": {"backbone": tiny_dinov2(seed=1)},
    "token": {"token": "mean"},
    "layers": {"layers": ["block_02"]},
    "shard_rows": {"shard_rows": 5},
    "dtype": {"dtype": torch.float16},
    "precision": {"precision": torch.bfloat16},
    "dataset": {"samples": noise_samples(8)},
}


@pytest.mark.parametrize("field", DIFFERENT)
def test_a_folder_with_other_activations_is_left_alone(tmp_path, field):
    folder = tmp_path / "store"
    extract(folder, noise_samples(7))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    options = {"samples": noise_samples(7)} | DIFFERENT[field]
    with pytest.raises(StoreError, match=rf"holds other activations: different {field}\."):
        extract(folder, **options)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="is not empty"):
        extract(tmp_path, noise_samples(3))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "thesis.tex").unlink()
    extract(tmp_path, noise_samples(3))


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="could not be written"):
        extract(tmp_path / "file" / "store", noise_samples(3))


def test_a_finished_store_is_not_extracted_again(tmp_path):
    extract(tmp_path / "store", noise_samples(7))
    backbone = tiny_dinov2()
    backbone.model.encoder.layer[0].register_forward_hook(lambda *_: pytest.fail("nothing is left to do"))
    assert len(extract(tmp_path / "store", noise_samples(7), backbone=backbone)) == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": noise_samples(0)}, "0 images of noise"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"shard_rows": -1}, "shard_rows -1"),
        ({"token": "class"}, "'class'"),
        ({"layers": ["block_77"]}, "block_77"),
    ],
)
def test_senseless_settings_touch_nothing(tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        extract(tmp_path / "store", **({"samples": noise_samples(3)} | options))
    assert not (tmp_path / "store").exists()


def test_nothing_but_broken_images(tmp_path):
    with pytest.raises(StoreError, match="None of the 3 images of noise is whole"):
        extract(tmp_path / "store", noise_samples(3, broken=(0, 1, 2)))


def test_bfloat16_is_nearly_as_good_and_told_apart(tmp_path):
    exact = extract(tmp_path / "exact", noise_samples(16))
    rounded = extract(tmp_path / "rounded", noise_samples(16), precision=torch.bfloat16)
    assert (exact.manifest.precision, rounded.manifest.precision) == ("float32", "bfloat16")
    for layer in exact.layers:
        x, noise = exact.layer(layer), rounded.layer(layer) - exact.layer(layer)
        assert rounded.layer(layer).dtype == torch.float32
        share = noise.pow(2).sum() / (x - x.mean(0)).pow(2).sum()
        assert 0 < share < 0.01, "rounded, but little"
    with pytest.raises(StoreError, match=r"different precision\."):
        extract(tmp_path / "rounded", noise_samples(16))


def test_a_store_from_before_there_was_a_precision_opens(tmp_path):
    store = extract(tmp_path / "store", noise_samples(3))
    path = store.folder / "manifest.json"
    stated = json.loads(path.read_text())
    del stated["precision"]
    path.write_text(json.dumps(stated))
    assert ActivationStore(store.folder).manifest == store.manifest
    del stated["dtype"]
    path.write_text(json.dumps(stated))
    with pytest.raises(StoreError, match="the fields"):
        ActivationStore(store.folder)


def mended(samples):
    """The same images with other labels: one class gone, another one renamed."""
    return samples.relabelled({CLASSES[0]: "n02087122", CLASSES[1]: CLASSES[1], CLASSES[2]: None})


def test_mended_labels_run_no_image_again_and_keep_every_shard(tmp_path):
    samples, folder = noise_samples(12, broken=(1,)), tmp_path / "store"
    first = extract(folder, samples)
    labels = first.labels.tolist()
    shards = {path.name: path.read_bytes() for path in folder.iterdir()}
    backbone = tiny_dinov2()
    backbone.model.encoder.layer[0].register_forward_hook(lambda *_: pytest.fail("labels need no backbone"))
    store = extract(folder, mended(samples), backbone=backbone)
    fresh = extract(tmp_path / "fresh", mended(samples))
    assert store.classes == fresh.classes == tuple(sorted(["n02087122", CLASSES[1]])) != CLASSES
    assert store.labels.tolist() == fresh.labels.tolist() != labels
    assert store.manifest.content == first.manifest.content == fresh.manifest.content
    assert {name: (folder / name).read_bytes() for name in shards if name.startswith("shard")} == {
        name: data for name, data in shards.items() if name.startswith("shard")
    }
    again = extract(folder, samples, backbone=backbone)
    assert (again.classes, again.labels.tolist()) == (CLASSES, labels)


def test_labels_mended_halfway_are_those_of_all_images(tmp_path):
    samples, folder = noise_samples(12), tmp_path / "store"
    extract(folder, samples)
    shard_path(folder, 1).unlink()
    store = extract(folder, mended(samples))
    assert store.labels.tolist() == extract(tmp_path / "fresh", mended(samples)).labels.tolist()
    shard_path(folder, 0).unlink()
    assert extract(folder, samples).labels.tolist() == extract(tmp_path / "other", samples).labels.tolist()


def test_a_store_without_labels_takes_them_later(tmp_path):
    samples = noise_samples(7)
    store = extract(tmp_path / "store", samples.relabelled(dict.fromkeys(CLASSES)))
    assert (store.classes, set(store.labels.tolist())) == ((), {-1})
    store = extract(tmp_path / "store", samples)
    assert (store.classes, store.labels.tolist()) == (CLASSES, [0, 1, 2, -1, 0, 1, 2])


def test_damaged_labels_are_named(tmp_path):
    samples, folder = noise_samples(7), tmp_path / "store"
    extract(folder, samples)
    extract(folder, mended(samples))
    for data, says in (
        (b"x", "is damaged"),
        (save({"label": torch.zeros(3, dtype=torch.int64)}, META), "3 labels for 7"),
    ):
        (folder / LABELS).write_bytes(data)
        with pytest.raises(StoreError, match=says):
            ActivationStore(folder).labels  # noqa: B018 - reading is what fails
    (folder / LABELS).unlink()
    with pytest.raises(StoreError, match="left while its labels were exchanged"):
        ActivationStore(folder).labels  # noqa: B018
    assert extract(folder, mended(samples)).classes == mended(samples).classes


META = {"hsae": '{"classes": ["n02084071"], "labelling": "x"}'}


def test_a_store_of_an_older_version_goes_on_with_its_own_labels_only(tmp_path):
    samples, folder = noise_samples(7), tmp_path / "store"
    now = extract(folder, samples)
    old = {name: value for name, value in now.manifest.dataset.items() if name not in ("images", "labelling")}
    write_manifest(folder, replace(now.manifest, dataset=old))
    store = extract(folder, samples)
    assert store.manifest.dataset == store.manifest.content["dataset"] == old
    assert store.labels.tolist() == now.labels.tolist()
    with pytest.raises(StoreError, match=r"different dataset\."):
        extract(folder, mended(samples))
