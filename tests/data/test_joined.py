"""Several sources as one: the same images and labels, in order, under one list of classes."""

from __future__ import annotations

import pickle

import pytest

from hsae.data.joined import join_samples
from hsae.data.samples import load_samples
from hsae.errors import InputError
from tests.data.conftest import CAT, DOG, OAK, png


@pytest.fixture
def sources(tmp_path):
    """Dogs and cats, oaks and cats, and one image without a label."""
    files = {f"a/{DOG}/1.png": 1, f"a/{CAT}/2.png": 2, f"b/{OAK}/1.png": 3, f"b/{CAT}/2.png": 4, "c/1.png": 5}
    for path, shade in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(png(shade))
    return [load_samples(tmp_path / name) for name in "abc"]


def seen(samples):
    return [(sample.wnid, sample.image.getpixel((0, 0))[0]) for sample in samples]


def test_images_and_labels_of_all_parts_in_order(sources):
    joined = join_samples(sources)
    assert joined.classes == (DOG, CAT, OAK)
    assert seen(joined) == [pair for part in sources for pair in seen(part)]
    assert [joined.key(row) for row in (0, 4)] == [f"{sources[0].name}: {DOG}/1.png", f"{sources[2].name}: 1.png"]
    chosen = join_samples([sources[0].subset([1]), sources[1]])
    assert seen(chosen.subset([2, 0])) == [seen(sources[1])[1], seen(sources[0])[1]]
    assert seen(pickle.loads(pickle.dumps(joined))) == seen(joined)


def test_the_fingerprint_follows_every_part(sources):
    a, b, c = sources
    joined = join_samples(sources)
    assert joined.images_fingerprint == join_samples([a, b.relabelled({CAT: None, OAK: DOG}), c]).images_fingerprint
    assert len({join_samples(parts).images_fingerprint for parts in ([a, b], [b, a], [a, c], [a, b, c])}) == 4


def test_one_part_is_itself_and_variations_come_last(sources):
    assert join_samples(sources[:1]) is sources[0]
    assert len(join_samples(sources).augmented(2)) == 10
    for parts in ([], [sources[0].augmented(2), sources[1]]):
        with pytest.raises(InputError, match="to be joined"):
            join_samples(parts)


def test_a_longer_list_of_classes_keeps_every_label(sources):
    more = sources[0].among((DOG, "n02120997", CAT))
    assert seen(more) == seen(sources[0])
    assert more.labels == [0, 2]
    with pytest.raises(InputError, match=f"without {CAT}"):
        sources[0].among((DOG,))
