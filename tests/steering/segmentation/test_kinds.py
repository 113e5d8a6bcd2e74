from __future__ import annotations

from hsae.data.samples import load_samples
from hsae.steering.segmentation.head import BACKGROUND
from hsae.steering.segmentation.kinds import KINDS, class_of, held_out, ranks


def test_a_photograph_is_of_the_first_class_above_it():
    classes = (BACKGROUND, *KINDS)

    def kind(wnid):
        at = class_of(wnid, classes)
        return None if at is None else classes[at]

    assert kind("n01558993") == "n01503061"  # robin: bird
    assert kind("n02084071") == "n01861778"  # dog: mammal
    assert kind("n02206856") == "n00015388"  # bee: another animal
    assert kind("n02691156") == "n04524313"  # aeroplane: vehicle
    assert kind("n00001740") is None  # entity
    assert kind(None) is None
    assert class_of("n02084071", ("n02084071", "n01861778")) == 0  # a class is its own


def test_the_starter_photographs_can_teach_every_kind():
    samples = load_samples("starter:cutouts")
    kinds = [class_of(samples.classes[label], KINDS) for label in samples.labels if label is not None]
    counts = [kinds.count(kind) for kind in range(len(KINDS))]
    assert min(counts) >= 10
    assert sum(counts) > 0.9 * len(kinds)
    kept = held_out(kinds)
    assert [kept[[k == kind for k in kinds]].sum() for kind in range(len(KINDS))] == [count // 4 for count in counts]


def test_ranks_count_within_a_class():
    assert ranks([1, 2, 1, None, 1, 2, None]).tolist() == [0, 0, 1, 0, 2, 1, 1]
    assert held_out([1, 2] * 4).tolist() == [False] * 6 + [True] * 2
