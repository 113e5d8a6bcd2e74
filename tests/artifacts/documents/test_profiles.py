"""profiles.json: weaker images and co-firing come back as they were written, and strangers' lines do no harm."""

from __future__ import annotations

import pytest

from hsae.artifacts.documents.profiles import LayerFiring, read_profile, read_together, read_weaker, write_profiles
from hsae.artifacts.strangers_json import check_plain
from hsae.measures.profiles import Profile
from hsae.measures.weaker_images import WeakerImages

PROFILE = Profile((3, 1), ((0, 75),))
WEAKER = WeakerImages(((12, 55), (3, 54)), ((8, 1),))
PHOTOS = WeakerImages(low=((1, 20),))
LAYER = LayerFiring(
    [PROFILE, None], [((1, 40), (0, 9)), ()], [WEAKER, WeakerImages()], [PHOTOS, WeakerImages()]
)  # fmt: skip


@pytest.fixture
def document():
    return write_profiles({"block_01": LAYER}, ["animals/cat", "animals/dog"])


def test_what_is_written_is_read(document):
    check_plain(document, "profiles.json")
    assert read_profile(document, "block_01", 0, 4) == PROFILE
    assert read_together(document, "block_01", 0, 2) == ((1, 40), (0, 9))
    found = read_weaker(document, "block_01", 0)
    assert found.images == WEAKER
    assert found.photos == {"middle": [], "low": [("animals/dog", 20)]}
    assert read_profile(document, "block_01", 1, 4) is None
    assert read_together(document, "block_01", 1, 2) == ()
    assert read_weaker(document, "block_01", 1).images == WeakerImages()


def test_a_document_from_before_these_fields_knows_none():
    for document in (None, {"bins": 2, "layers": {"block_01": ["3 1|0 75"]}}):
        assert read_together(document, "block_01", 0, 2) == ()
        assert read_weaker(document, "block_01", 0).images == WeakerImages()


@pytest.mark.parametrize("line", ["x", "1 2 3|4", "9 40|9 40", "1 999|1 999", "1 " + "9" * 40, 3, None, "|", "1  2|"])
def test_lines_of_strangers(document, line):
    for field in ("together", "weaker", "weaker_photos"):
        document[field]["block_01"][0] = line
    document["photos"] = [{"no": "text"}, 7]
    assert all(other < 2 and share <= 100 for other, share in read_together(document, "block_01", 0, 2))
    assert all(share <= 100 for _, share in read_weaker(document, "block_01", 0).images.low)
    assert read_weaker(document, "block_01", 0).photos == {"middle": [], "low": []}
