from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsae.errors import InputError, LabelError
from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import FiringRateFitter, firing_rates, latent_hierarchy, select_classes

# Four images, three latents; classes 0, 0, 1, 1; class 2 has no image.
LATENTS = np.array([[1.0, 0.0, 0.5], [0.0, 0.0, 0.5], [2.0, 0.0, 0.0], [3.0, 0.0, 0.1]])
LABELS = np.array([0, 0, 1, 1])
RATES = [[0.5, 1.0, np.nan], [0.0, 0.0, np.nan], [1.0, 0.5, np.nan]]


def test_rates_are_the_share_of_a_classs_images_that_fire() -> None:
    result = firing_rates(LATENTS, LABELS, n_classes=3)
    np.testing.assert_array_equal(result.rates, RATES)
    np.testing.assert_array_equal(result.fired, [[1, 2, 0], [0, 0, 0], [2, 1, 0]])
    np.testing.assert_array_equal(result.images, [2, 2, 0])


@pytest.mark.parametrize(
    "form",
    [
        torch.from_numpy,
        scipy.sparse.csr_array,
        scipy.sparse.coo_array,
        lambda z: torch.from_numpy(z).to(torch.bfloat16).requires_grad_(),
        lambda z: z.astype(np.float16),
    ],
)
def test_dense_sparse_and_tensor_forms_agree(form: object) -> None:
    result = firing_rates(form(LATENTS), torch.from_numpy(LABELS), n_classes=3)
    np.testing.assert_array_equal(result.rates, RATES)


@given(cuts=st.lists(st.integers(0, 40), max_size=4), seed=st.integers(0, 99))
def test_batches_add_up_to_the_whole(cuts: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    latents, labels = random.standard_normal((40, 6)), random.integers(0, 5, 40)
    fitter = FiringRateFitter(6, 5)
    for rows in np.split(np.arange(40), sorted(cuts)):
        fitter.update(latents[rows], labels[rows])
    whole, parts = firing_rates(latents, labels, 5), fitter.compute()
    np.testing.assert_array_equal(parts.fired, whole.fired)
    np.testing.assert_array_equal(parts.images, whole.images)


def test_a_result_does_not_change_when_counting_goes_on() -> None:
    fitter = FiringRateFitter(3, 3).update(LATENTS, LABELS)
    before = fitter.compute()
    fitter.update(LATENTS, LABELS)
    np.testing.assert_array_equal(before.images, [2, 2, 0])
    np.testing.assert_array_equal(before.fired, [[1, 2, 0], [0, 0, 0], [2, 1, 0]])
    np.testing.assert_array_equal(fitter.compute().images, [4, 4, 0])


def test_tau_is_reached_from_the_rate_on() -> None:
    result = firing_rates(LATENTS, LABELS, n_classes=3)
    np.testing.assert_array_equal(select_classes(result), [[1, 1, 0], [0, 0, 0], [1, 1, 0]])
    np.testing.assert_array_equal(select_classes(result, tau=0.51), [[0, 1, 0], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(select_classes(result.rates, tau=1.0), [[0, 1, 0], [0, 0, 0], [1, 0, 0]])
    assert select_classes(result).dtype == bool


@pytest.mark.parametrize("tau", [0.0, -0.5, 1.5, np.nan])
def test_tau_outside_its_range_is_refused(tau: float) -> None:
    with pytest.raises(InputError, match="tau"):
        select_classes(np.zeros((1, 1)), tau)


def test_bad_batches_are_refused_and_leave_no_trace() -> None:
    fitter = FiringRateFitter(3, 3).update(LATENTS, LABELS)
    with pytest.raises(InputError, match=r"\[batch, 3\]"):
        fitter.update(LATENTS[:, :2], LABELS)
    with pytest.raises(InputError, match=r"labels of shape \(3,\)"):
        fitter.update(LATENTS, LABELS[:3])
    with pytest.raises(LabelError, match=r"class numbers -1, 3\."):
        fitter.update(LATENTS, np.array([0, 3, -1, 3]))
    with pytest.raises(LabelError, match="float64"):
        fitter.update(LATENTS, LABELS.astype(float))
    with pytest.raises(InputError, match="NaN"):
        fitter.update(np.where(LATENTS == 0, np.nan, LATENTS), LABELS)
    np.testing.assert_array_equal(fitter.compute().rates, RATES)


def test_no_image_is_an_error_not_a_zero() -> None:
    with pytest.raises(InputError, match="no image"):
        FiringRateFitter(3, 3).compute()


@pytest.fixture
def table(small: Taxonomy) -> pd.DataFrame:
    """Latents for: nothing, the tabby, two of three cats, beagle and tabby, all cats and the fire engine."""
    sets = [[], [0], [0, 1], [0, 3], [0, 1, 2, 9]]
    return latent_hierarchy(small, np.array([np.isin(np.arange(len(small.classes)), chosen) for chosen in sets]))


def test_a_latent_without_classes_is_missing_everywhere(table: pd.DataFrame) -> None:
    row = table.iloc[0]
    assert row["n_classes"] == 0
    assert row["minimal_common_hypernyms"] == ()
    assert row.drop(["latent", "n_classes", "minimal_common_hypernyms"]).isna().all()
    assert row["lch"] is None


def test_a_class_latent_has_height_0_and_coverage_1(table: pd.DataFrame) -> None:
    row = table.iloc[1]
    assert (row["lch"], row["lch_height"], row["coverage"]) == ("n02123045", 0, 1.0)
    assert (row["best_node"], row["best_node_f1"]) == ("n02123045", 1.0)


def test_the_table_says_where_classes_meet(table: pd.DataFrame, small: Taxonomy) -> None:
    cats, pets, outlier = (table.iloc[number] for number in (2, 3, 4))
    domestic_cat, domestic_animal, carnivore, dog = "n02121808", "n01317541", "n02075296", "n02084071"
    assert (cats["lch"], cats["lch_leaf_count"], cats["coverage"]) == (domestic_cat, 3, 2 / 3)
    assert (cats["lch_height"], cats["lch_contracted_height"]) == (1, 1)
    assert (cats["best_node"], cats["best_node_f1"]) == (domestic_cat, 0.8)
    assert cats["best_node_jaccard"] == pytest.approx(2 / 3)
    assert pets["minimal_common_hypernyms"] == (domestic_animal, carnivore)
    assert pets["lch_height"] == small.height(dog) + 1
    assert outlier["lch"] == small.lch([small.classes[column] for column in (0, 1, 2, 9)])
    assert outlier["lch_height"] > 10  # one fire engine lifts the LCH to the top; the best node does not follow
    assert outlier["best_node"] == domestic_cat
    assert outlier["best_node_jaccard"] == pytest.approx(3 / 4)


def test_the_table_carries_its_rules_and_survives_parquet(table: pd.DataFrame, small: Taxonomy, tmp_path) -> None:
    assert table.attrs == small.rules
    table.to_parquet(tmp_path / "latents.parquet")
    again = pd.read_parquet(tmp_path / "latents.parquet")
    assert again["lch"].isna().tolist() == [True, False, False, False, False]
    assert again["lch_height"].dtype == table["lch_height"].dtype
    assert again.attrs == small.rules


def test_a_planted_latent_is_found_from_images_alone(small: Taxonomy) -> None:
    """Fires on most cats and now and then elsewhere; control: with shuffled labels nothing reaches tau."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(small.classes)), 50)
    fires = random.random(len(labels)) < np.where(labels < 3, 0.8, 0.1)
    latents = scipy.sparse.csr_array((fires * random.random(len(labels)))[:, None])

    def lch_of(labels: np.ndarray) -> str | None:
        selected = select_classes(firing_rates(latents, labels, len(small.classes)))
        return latent_hierarchy(small, selected)["lch"][0]

    assert lch_of(labels) == "n02121808"
    assert lch_of(random.permutation(labels)) is None
