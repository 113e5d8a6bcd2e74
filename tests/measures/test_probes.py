"""A probe finds what is linearly there, and nothing where nothing is."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsae.errors import InputError, TrainingError
from hsae.measures.probes import LinearProbe, ProbeSettings, fit_probe
from hsae.measures.splits import rows_apart

QUICK = ProbeSettings(epochs=2, steps=20, penalties=(0.01,))


def separable(n: int = 600, d_in: int = 20, n_classes: int = 5, seed: int = 0):
    """Classes around far corners, on dimensions of very different size and offset."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(n_classes, d_in, generator=torch.Generator().manual_seed(99))
    labels = torch.randint(n_classes, (n,), generator=generator)
    scale = torch.logspace(-3, 3, d_in)
    return (centres[labels] + torch.randn(n, d_in, generator=generator)) * scale + 5 * scale, labels


def test_planted_classes_are_found_and_shuffled_labels_are_not():
    (x, labels), (held_x, held_labels) = separable(seed=0), separable(seed=1)
    assert fit_probe(x, labels, 5).accuracy(held_x, held_labels) > 0.99
    shuffled = labels[torch.randperm(len(labels))]
    assert fit_probe(x, shuffled, 5).accuracy(held_x, held_labels) < 0.45


def test_a_probe_is_as_good_as_logistic_regression():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is the oracle")
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(6, (3000,), generator=generator)
    x = 0.8 * torch.randn(6, 30, generator=generator)[labels] + 2 * torch.randn(3000, 30, generator=generator)
    train, held = slice(0, 2000), slice(2000, None)
    settings = ProbeSettings(penalties=(0.01,), epochs=30)
    probe = fit_probe(x[train], labels[train], 6, choice=(x[held], labels[held]), settings=settings)
    standard = (x - probe.mean) / probe.std
    oracle = linear_model.LogisticRegression(C=1 / (2000 * 0.01), max_iter=1000)
    oracle.fit(standard[train].numpy(), labels[train].numpy())
    theirs = oracle.score(standard[held].numpy(), labels[held].numpy())
    assert 0.4 < theirs < 0.9
    assert abs(probe.accuracy(x[held], labels[held]) - theirs) < 0.01
    torch.testing.assert_close(probe.W, torch.from_numpy(oracle.coef_.T).float(), atol=0.03, rtol=0.05)


def test_logits_and_top_k_by_hand():
    probe = LinearProbe(
        W=torch.tensor([[1.0, 0, 2], [0, 3, 0]]),
        b=torch.tensor([0.0, 1, 0]),
        mean=torch.tensor([1.0, 0]),
        std=torch.tensor([2.0, 1]),
    )
    x = torch.tensor([[3.0, 0], [1, 1], [-1, 0]])
    assert probe.logits(x).tolist() == [[1, 1, 2], [0, 4, 0], [-1, 1, -2]]
    labels = torch.tensor([2, 0, 2])
    assert [probe.accuracy(x, labels, top) for top in (1, 3, 5)] == pytest.approx([1 / 3, 1, 1])
    assert probe.accuracy(x, torch.tensor([2, 1, 0]), top=2) == 1
    assert probe.accuracy(x, torch.tensor([2, 0, -1]), top=1) == 0.5
    assert torch.tensor(probe.accuracy(x, torch.tensor([-1, -1, -1]))).isnan()


def test_a_reading_is_the_same_as_materialised_features():
    x, labels = separable()
    weight = torch.randn(20, 50, requires_grad=True)

    def relu_features(batch):
        return ((batch / 100) @ weight).relu()

    with torch.no_grad():
        features = relu_features(x)
    lazy = fit_probe(x, labels, 5, reading=relu_features, settings=QUICK)
    whole = fit_probe(features, labels, 5, settings=QUICK)
    plain = fit_probe(x, labels, 5, settings=QUICK)
    assert lazy.W.shape == (50, 5)
    torch.testing.assert_close(lazy.logits(features), whole.logits(features), atol=1e-4, rtol=1e-4)
    assert plain.W.shape == (20, 5)
    assert weight.grad is None


def test_rows_without_a_label_are_left_out():
    x, labels = separable()
    noisy = torch.cat([x, 1e3 * torch.randn(50, 20)])
    unlabelled = torch.cat([labels, torch.full((50,), -1)])
    with_them, without = fit_probe(noisy, unlabelled, 5), fit_probe(x, labels, 5)
    assert all(torch.equal(getattr(with_them, name), getattr(without, name)) for name in ("W", "b", "mean", "std"))
    labelled = fit_probe(noisy, unlabelled.clamp_min(0), 5)
    assert not torch.equal(labelled.W, without.W)


@pytest.mark.parametrize("constant", [0.0, 7.25, 1e4, -3e6])
def test_a_constant_dimension_changes_nothing(constant):
    x, labels = separable(d_in=6)
    x[:, 2] = constant
    probe = fit_probe(x, labels, 5)
    assert probe.std[2] == 1
    assert probe.mean[2] == pytest.approx(constant)
    others = [0, 1, 3, 4, 5]
    assert (probe.std[others] != 1).all()
    without = fit_probe(x[:, others], labels, 5)
    torch.testing.assert_close(probe.logits(x), without.logits(x[:, others]), atol=1e-3, rtol=1e-3)


def test_rounding_is_not_blown_up():
    x, labels = separable(d_in=6)
    x[:, 2] = 1e4 * (1 + 1e-7 * torch.randn(len(x)))
    assert x[:, 2].std() > 0
    probe = fit_probe(x, labels, 5)
    assert probe.std[2] == 1
    told = (x - probe.mean) / probe.std * probe.W.abs().amax(1)
    assert told[:, 2].abs().max() < 1e-2 < told[:, 1].abs().max()


def test_every_dimension_counts_whatever_its_unit():
    x, labels = separable(d_in=6)
    units = torch.tensor([1e-8, 1, 1e6, -3, 1e-3, 100])
    offsets = torch.tensor([0.0, 500, 0, 0, 10, 0])
    plain, changed = fit_probe(x, labels, 5), fit_probe(x * units + offsets * units, labels, 5)
    torch.testing.assert_close(plain.logits(x), changed.logits(x * units + offsets * units), atol=0.05, rtol=0.05)


def test_the_same_seed_gives_the_same_probe():
    x, labels = separable()
    first, second, other = (fit_probe(x, labels, 5, settings=replace(QUICK, seed=seed)).W for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@given(st.integers(1, 40), st.integers(1, 8))
def test_mean_and_std_are_those_of_the_activations(n, d_in):
    x = 10 * torch.randn(n, d_in) + 3
    probe = fit_probe(x, torch.zeros(n, dtype=torch.long), 2, choice=(x[:0], torch.zeros(0).long()), settings=QUICK)
    torch.testing.assert_close(probe.mean, x.mean(0), atol=1e-4, rtol=1e-4)
    if n > 1:
        torch.testing.assert_close(probe.std, x.std(0, correction=0), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("labels", "n_classes", "said"),
    [
        ([-1, -1, -1], 3, "0 of 3 labels known"),
        ([0, 1, 3], 3, "3 classes"),
        ([0, 1], 3, "3 activations"),
        ([], 3, "0 of 0 labels known"),
        ([0, 0, 0], 0, "0 classes"),
    ],
)
def test_labels_that_do_not_fit(labels, n_classes, said):
    with pytest.raises(InputError, match=said):
        fit_probe(torch.randn(3, 4), torch.tensor(labels, dtype=torch.long), n_classes)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_activations_that_are_not_finite(bad):
    x, labels = separable()
    x[17, 3] = bad
    with pytest.raises(TrainingError, match="not finite"):
        fit_probe(x, labels, 5)


def noisy(n: int, seed: int, d_in: int = 60, n_classes: int = 4):
    """Classes that few of many dimensions tell, and not well."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(n_classes, (n,), generator=generator)
    x = torch.randn(n, d_in, generator=generator)
    x[torch.arange(n), labels] += 1.5
    return x, labels


def test_few_noisy_images_call_for_a_strong_penalty():
    few, test = noisy(150, seed=0), noisy(2000, seed=3)
    chosen = fit_probe(*few, 4, choice=noisy(1000, seed=1))
    assert chosen.penalty >= 0.03
    weakest = ProbeSettings(penalties=(0.0001,), steps=500)
    assert chosen.accuracy(*test) > fit_probe(*few, 4, choice=noisy(1000, seed=1), settings=weakest).accuracy(*test)


def test_what_only_large_weights_tell_calls_for_a_weak_penalty():
    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0)) + 10 * torch.randn(4000, 1)
    labels = (x[:, 0] > x[:, 1]).long()
    chosen = fit_probe(x[:2000], labels[:2000], 2, choice=(x[2000:3000], labels[2000:3000]))
    assert chosen.penalty <= 0.001
    assert chosen.accuracy(x[3000:], labels[3000:]) > 0.95


def test_the_choice_decides_and_is_not_trained_on():
    x, labels = noisy(800, seed=0)
    shuffled = (x, labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))])
    probe = fit_probe(x, labels, 4, choice=shuffled)
    assert probe.penalty == ProbeSettings.penalties[0]
    assert probe.temperature > 5
    assert fit_probe(x, labels, 4, choice=noisy(800, seed=1)).accuracy(*noisy(800, seed=2)) > 0.6


def test_without_a_choice_a_share_of_every_class_is_set_apart():
    x, labels = noisy(400, seed=0)
    apart = torch.zeros(400, dtype=torch.bool)
    apart[rows_apart(labels.tolist(), ProbeSettings.share_apart)] = True
    found = fit_probe(x, labels, 4)
    assert torch.equal(found.W, fit_probe(x[~apart], labels[~apart], 4, choice=(x[apart], labels[apart])).W)
    once = fit_probe(torch.randn(3, 4), torch.tensor([0, 1, 2]), 3)
    assert (once.penalty, once.temperature) == (ProbeSettings.unchosen, 1)


@pytest.mark.parametrize("unit", [1e-3, 1.0])
def test_a_common_scale_is_that_of_the_features_that_vary(unit):
    """Latents that never fire, of small activations: without them the same probe."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (400,), generator=generator)
    x = unit * torch.eye(4)[labels] * torch.rand(400, 4, generator=generator)
    settings = replace(QUICK, scale="common")
    alone = fit_probe(x, labels, 4, settings=settings)
    beside = fit_probe(torch.cat([x, torch.zeros(400, 60)], dim=1), labels, 4, settings=settings)
    torch.testing.assert_close(beside.std[:4], alone.std)
    torch.testing.assert_close(beside.W[:4], alone.W)
    assert beside.accuracy(torch.cat([x, torch.zeros(400, 60)], dim=1), labels) > 0.9
    nothing = fit_probe(torch.zeros(400, 4), labels, 4, settings=settings)
    assert nothing.std.tolist() == [1] * 4


def test_seldom_features_of_one_unit_are_not_blown_up_on_a_common_scale():
    x, labels = noisy(600, seed=0)
    x[:, 40:] *= torch.rand(600, 20) < 0.01
    each, common = (fit_probe(x, labels, 4, settings=ProbeSettings(scale=scale)) for scale in ("each", "common"))
    assert each.std[50] < 0.5 < common.std[50]
    assert len(set(common.std.tolist())) == 1


def test_the_temperature_divides_the_logits_and_changes_no_prediction():
    probe = fit_probe(*noisy(300, seed=0), 4)
    x = torch.randn(20, 60)
    torch.testing.assert_close(replace(probe, temperature=2.0).logits(x) * 2, replace(probe, temperature=1.0).logits(x))
