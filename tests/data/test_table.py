"""Parquet files: columns found by type, rows by number, splits by file name."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from hsae.data.samples import load_samples
from hsae.errors import ImageError, InputError, LabelError
from tests.data.conftest import CAT, DOG, OAK, png

FEATURES = Features({"picture": Image(), "kind": ClassLabel(names=[DOG, CAT]), "note": Value("string")})


def write(path, shades, kinds, features=FEATURES):
    rows = {"picture": [{"bytes": png(s), "path": None} for s in shades], "kind": kinds, "note": ["x"] * len(kinds)}
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(rows, features=features).to_parquet(path)
    return path


def shades(samples):
    return [sample.image.getpixel((0, 0))[0] for sample in samples]


@pytest.fixture
def parquet(tmp_path):
    """Train in two files (0..4), validation in one (10, 11), in a folder whose name looks like a pattern."""
    folder = tmp_path / "set [1]*"
    write(folder / "train-00000-of-00002.parquet", [0, 1, 2], [0, 1, 1])
    write(folder / "train-00001-of-00002.parquet", [3, 4], [0, -1])
    write(folder / "validation-00000-of-00001.parquet", [10, 11], [1, 0])
    return folder


def test_rows_labels_and_keys(parquet):
    samples = load_samples(parquet)
    assert samples.classes == (DOG, CAT)
    assert samples.labels == [0, 1, 1, 0, None]
    assert shades(samples) == [0, 1, 2, 3, 4]
    last = samples.read(4)
    assert (last.key, last.label, last.wnid, last.mask) == ("row 4", None, None, None)
    assert samples.read(1).wnid == CAT


def test_ways_to_name_files(parquet, tmp_path):
    files = sorted(parquet.glob("*.parquet"))
    assert shades(load_samples(parquet, split="validation")) == [10, 11]
    assert shades(load_samples(files[2])) == [10, 11]
    assert shades(load_samples([files[2], files[0]])) == [10, 11, 0, 1, 2]
    assert shades(load_samples(f"{tmp_path}/set*/*.parquet")) == [0, 1, 2, 3, 4, 10, 11]
    assert shades(load_samples(f"{tmp_path}/set*/*.parquet", split="validation")) == [10, 11]
    hub_layout = tmp_path / "hub"
    write(hub_layout / "data" / "test.parquet", [7], [0])
    assert shades(load_samples(hub_layout)) == shades(load_samples(hub_layout, split="test")) == [7]


@pytest.mark.parametrize("split", ["test", "tra"])
def test_an_unknown_split_is_refused(parquet, split):
    with pytest.raises(InputError):
        load_samples(parquet, split=split)


def test_class_names_can_be_mapped(tmp_path):
    features = FEATURES | {"kind": ClassLabel(names=["tree, oak", "hound"])}
    path = write(tmp_path / "a.parquet", [0, 1], [0, 1], Features(features))
    with pytest.raises(LabelError, match="'hound', 'tree, oak'"):
        load_samples(path)
    samples = load_samples(path, label_map={"tree, oak": OAK, "hound": DOG})
    assert [sample.wnid for sample in samples] == [OAK, DOG]


def test_the_fingerprint_follows_labels(tmp_path):
    paths = [
        write(tmp_path / f"{n}.parquet", [n, 1], kinds) for n, kinds in enumerate([[0, 1], [0, 1], [1, 0], [0, -1]])
    ]
    first, same, swapped, unlabelled = (load_samples(path).fingerprint for path in paths)
    assert first == same
    assert len({first, swapped, unlabelled}) == 3


def test_the_fingerprint_of_the_images_follows_images_only(tmp_path):
    kinds = [[0, 1], [1, 0], [0, -1], [0, 1]]
    paths = [write(tmp_path / f"{n}.parquet", [n // 3, 1], labels) for n, labels in enumerate(kinds)]
    first, swapped, unlabelled, other = (load_samples(path).images_fingerprint for path in paths)
    assert first == swapped == unlabelled != other


@pytest.mark.parametrize("name", ["label", "labels", "wnid", "cls", "class", "target"])
def test_a_column_of_plain_labels_is_found_by_its_name(tmp_path, name):
    images = [{"bytes": png(shade), "path": "x.png"} for shade in (5, 6, 7)]
    pq.write_table(pa.table({"image": images, name: [CAT, None, DOG]}), tmp_path / "a.parquet")
    assert load_samples(tmp_path).labels == [1, None, 0]


def test_a_table_without_labels_is_taken_without_and_says_so(tmp_path, caplog):
    images = [{"bytes": png(shade), "path": "x.png"} for shade in (5, 6)]
    pq.write_table(pa.table({"image": images, "mood": [CAT, DOG]}), tmp_path / "a.parquet")
    samples = load_samples(tmp_path)
    assert (samples.classes, samples.labels, shades(samples)) == ((), [None, None], [5, 6])
    assert "no column of labels among image, mood" in caplog.text


def test_a_column_of_lists_is_refused_by_name_unless_no_labels_are_wanted(tmp_path):
    images = [{"bytes": png(shade), "path": "x.png"} for shade in (5, 6)]
    pq.write_table(pa.table({"image": images, "label": [[CAT], [DOG, CAT]]}), tmp_path / "a.parquet")
    with pytest.raises(LabelError, match=r"the column 'label' of .* holds List"):
        load_samples(tmp_path)
    assert load_samples(tmp_path, label_map="none").labels == [None, None]


def test_parquet_that_others_wrote_without_types(tmp_path):
    images = [{"bytes": png(shade), "path": "x.png"} for shade in (5, 6, 7)]
    path = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"image": images, "label": [CAT, None, DOG]}), path)
    samples = load_samples(path)
    assert shades(samples) == [5, 6, 7]
    assert [sample.wnid for sample in samples] == [CAT, None, DOG]
    pq.write_table(pa.table({"image": images}), tmp_path / "unlabelled.parquet")
    assert load_samples(tmp_path / "unlabelled.parquet").labels == [None] * 3


def test_rows_without_an_image_are_broken(tmp_path):
    images = [{"bytes": png(1), "path": None}, None, {"bytes": None, "path": None}]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    pq.write_table(pa.table({"image": pa.array(images, kind)}), tmp_path / "a.parquet")
    samples = load_samples(tmp_path / "a.parquet")
    assert shades(samples) == [1]
    assert len(samples.skipped) == 2
    with pytest.raises(ImageError, match=r"row 1 of .* has no image"):
        samples.read(1)


@pytest.mark.parametrize(
    "columns", [{"label": [1, 2]}, {"a": [{"bytes": b"", "path": ""}], "b": [{"bytes": b"", "path": ""}]}]
)
def test_none_or_several_image_columns_are_refused(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"(0|2) image columns"):
        load_samples(tmp_path / "a.parquet")


def test_a_broken_parquet_file_is_an_input_error(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_samples(tmp_path)


def test_samples_travel_to_worker_processes(parquet):
    samples = load_samples(parquet).subset([3, 1])
    assert shades(pickle.loads(pickle.dumps(samples))) == [3, 1]


def test_tiny_imagenet(shared):
    folder = shared / "data" / "tiny-imagenet"
    train, validation = load_samples(folder), load_samples(folder, split="validation")
    assert (len(train), len(validation)) == (50_000, 5_000)
    assert len(train.classes) == 200
    assert train.classes == validation.classes == tuple(sorted(train.classes))
    assert [train.labels.count(label) for label in range(200)] == [250] * 200
    assert train.fingerprint != validation.fingerprint
    stored = pq.read_table(sorted(folder.glob("train-*"))[4]).slice(9_999, 1).to_pylist()[0]
    sample = train.read(49_999)
    assert (sample.key, sample.image.size, sample.image.mode) == ("row 49999", (64, 64), "RGB")
    assert stored["image"]["path"].split("_")[0] == sample.wnid == train.classes[stored["label"]]
