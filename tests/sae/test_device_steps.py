"""On a GPU, stood for by fake tensors of the device "meta": no CPU tensor meets one of it, and no step waits for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from hsae.activations.sampler import TokenSampler
from hsae.sae.bank import InputScale
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.feed import fed
from hsae.sae.layer import LayerTraining, TrainingRun, require_finite
from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import Outcome
from hsae.sae.sparse_step import constants
from hsae.sae.steps import AutogradStep, choose_step
from hsae.sae.summary import measured_point
from hsae.sae.topk_search import DenseSearch, RoundedDenseSearch
from hsae.sae.topk_step import TopKStep
from hsae.sae.variants import VARIANTS
from tests.synthetic import write_store

D, M, K, BATCH = 24, 96, 6, 32
GPU, DEVICE = torch.device("cuda"), torch.device("meta")
"""What steps are chosen for, and where they run here: fake tensors of "cuda" need a torch that is linked with it."""
WAITS = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2")
"""Operations whose result the host must have before it goes on."""


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, result = func.overloadpacket.__name__, func(*args, **(kwargs or {}))
        source = args[{"_to_copy": 0, "copy_": 1}[name]] if name in ("_to_copy", "copy_") else None
        if name in WAITS or (source is not None and source.device == DEVICE != result.device):
            self.seen.append(name)
        return result


class Arrivals(TorchDispatchMode):
    """Counts the numbers that are sent to the device, by type."""

    def __init__(self) -> None:
        super().__init__()
        self.floating: dict[torch.dtype, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        arrives = func.overloadpacket.__name__ == "_to_copy" and result.device == DEVICE != args[0].device
        if arrives and result.is_floating_point():
            self.floating[args[0].dtype] = self.floating.get(args[0].dtype, 0) + result.numel()
        return result


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(
        sys.modules[torch.optim.Adam.__module__], "_device_dtype_check_for_fused", lambda *_, **__: None
    )
    constants.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield
    constants.cache_clear()


def layer_of(config: SAEConfig, train: TrainConfig) -> LayerTraining:
    with DEVICE:
        groups = config.groups_of(config.width(D))
        sae = SparseAutoencoder(D, config.width(D), config.activation, config.k, ks=config.ks, groups=groups)
        scale = InputScale(torch.zeros(D), torch.ones(()))
    sae.train()
    step = choose_step(config, D, GPU, train.bf16)
    if isinstance(step, AutogradStep):
        step = AutogradStep(step.variant, step.objective, step.bf16)  # nothing is compiled for what is not there
    return LayerTraining("block_01", sae, scale, step, TrainingRun(config, train, steps=100))


CASES = {name: {"activation": name, "k": K} for name in VARIANTS} | {
    "nested k": {"activation": "topk", "ks": (1, K)},
    "prefixes": {"activation": "topk", "k": K, "prefixes": 3},
    "controlled": {"activation": "relu", "l0_target": 5.0},
}


@pytest.mark.parametrize("case", CASES)
def test_no_step_mixes_devices_or_waits(fake: None, case: str) -> None:
    layer = layer_of(SAEConfig(d_sae=M, **CASES[case]), TrainConfig())
    raw = torch.empty(BATCH, D, device=DEVICE)
    with Waits() as waits:
        for step in range(3):
            layer.advance(raw, 1e-3, step)
        numbers = layer.measured()
    assert waits.seen == []
    assert {value.device for value in numbers.values()} == {DEVICE}


def test_what_waits_is_seen(fake: None) -> None:
    layer = layer_of(SAEConfig(d_sae=M, k=K), TrainConfig())
    layer.prompt = True  # as on a CPU, where every step looks at its loss
    with Waits(), pytest.raises(Exception, match=r"(?i)data.?dependent|_local_scalar_dense"):
        layer.advance(torch.empty(BATCH, D, device=DEVICE), 1e-3, 0)
    with pytest.raises(RuntimeError, match="cpu"):
        torch.empty(3) + torch.empty(3, device=DEVICE)


def outcome(step: Any, seed: int = 0, **settings: Any) -> tuple[Outcome, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    sae = SparseAutoencoder(D, M, "topk", K)
    for parameter in sae.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / D**0.5)
    sae.W_enc.data = sae.W_enc.data.T.contiguous().T
    found = step(sae, torch.randn(BATCH, D, generator=generator), torch.zeros(()))
    return found, {name: parameter.grad for name, parameter in sae.named_parameters()}


@pytest.mark.parametrize("settings", [{"k": K}, {"ks": (1, K)}, {"k": K, "prefixes": 3}], ids=str)
def test_the_sparse_step_of_a_gpu_gives_what_the_dense_one_gives(settings: dict[str, Any]) -> None:
    objective = SAEConfig(d_sae=M, **settings).objective(D)
    sparse, of_sparse = outcome(TopKStep(objective, DenseSearch))
    dense, of_dense = outcome(AutogradStep(VARIANTS["topk"], objective))
    torch.testing.assert_close(sparse.loss, dense.loss)
    torch.testing.assert_close(sparse.counts, dense.counts)
    for name, gradient in of_dense.items():
        torch.testing.assert_close(of_sparse[name], gradient, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("compiles", [True, False])
def test_topk_on_a_gpu_is_sparse_and_in_bfloat16_where_kernels_can_be_compiled(monkeypatch, compiles: bool) -> None:
    monkeypatch.setattr("hsae.sae.steps.can_compile", lambda: compiles)
    single, half = (choose_step(SAEConfig(k=K), D, GPU, bf16) for bf16 in (False, True))
    assert isinstance(single, TopKStep)
    assert isinstance(single.searches[0][2], RoundedDenseSearch if compiles else DenseSearch)
    assert isinstance(half, TopKStep if compiles else AutogradStep)


def test_what_has_no_sparse_step_goes_through_autograd() -> None:
    assert isinstance(choose_step(SAEConfig("relu"), D, GPU), AutogradStep)
    assert isinstance(choose_step(SAEConfig(k=K), D, torch.device("cpu"), bf16=True), AutogradStep)


@pytest.mark.parametrize("exact", [True, False])
def test_rounded_candidates_give_the_k_largest_and_nothing_waits(fake: None, exact: bool) -> None:
    search = RoundedDenseSearch(M, K, exact)
    with Waits() as waits, DEVICE:
        active = search(torch.empty(BATCH, D), torch.empty(M, D), torch.empty(M))
    assert waits.seen == []
    assert {part.device for part in active.__dict__.values()} == {DEVICE}


def test_rounded_candidates_are_decided_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    x, rows, bias = (torch.randn(*shape, generator=generator) for shape in ((BATCH, D), (M, D), (M,)))
    exact, rounded = RoundedDenseSearch(M, K)(x, rows, bias), RoundedDenseSearch(M, K, exact=False)(x, rows, bias)
    truth = torch.addmm(bias, x, rows.T).topk(K).values.relu()
    torch.testing.assert_close(exact.values.sort(1, descending=True).values, truth)
    assert (rounded.values.sort(1, descending=True).values - truth).abs().max() > 1e-3
    assert (rounded.values.sort(1, descending=True).values - truth).abs().max() < 0.1


def test_batches_come_in_order_on_their_device() -> None:
    batches = [{"a": torch.full((2, 3), float(number))} for number in range(5)]
    on_cpu = list(fed(iter(batches), torch.device("cpu")))
    assert all(a is b for a, b in zip(on_cpu, batches, strict=True))
    sent = list(fed(iter(batches), torch.device("meta")))
    assert [batch["a"].device.type for batch in sent] == ["meta"] * 5

    def broken() -> Iterator[dict[str, Tensor]]:
        yield batches[0]
        raise OSError("a shard is damaged")

    with pytest.raises(OSError, match="damaged"):
        list(fed(broken(), torch.device("meta")))


def test_tokens_are_mixed_on_the_device_that_wants_them(tmp_path: Path) -> None:
    """As they are stored: a float32 copy of bfloat16 on the host would be twice the traffic."""
    x = torch.randn(100, 1, 8).bfloat16()
    sampler = TokenSampler(write_store(tmp_path, {"layer": x}), ("layer",), batch_size=32, buffer_tokens=64)
    mixed = torch.cat([batch["layer"] for batch in sampler.epoch(0)])
    assert mixed.dtype == torch.float32
    assert {tuple(row) for row in mixed.tolist()} < {tuple(row) for row in x.float().flatten(0, 1).tolist()}
    sampler.device = DEVICE
    with Waits() as waits, Arrivals() as arrivals:
        batches = list(sampler.epoch(0))
    assert [batch["layer"].shape for batch in batches] == [(32, 8)] * 3
    assert all(batch["layer"].device == DEVICE and batch["layer"].dtype == torch.float32 for batch in batches)
    assert arrivals.floating == {torch.bfloat16: 100 * 8}
    assert not {"_to_copy", "copy_"} & set(waits.seen)


def test_measured_points_come_from_the_device_at_once() -> None:
    measured = {"a": {"loss": torch.tensor(0.5), "l0": torch.tensor(3)}, "b": {"loss": torch.tensor(0.25)}}
    with Waits() as waits:
        point = measured_point(7, measured)
    assert point == {"step": 7, "layers": {"a": {"loss": 0.5, "l0": 3.0}, "b": {"loss": 0.25}}}
    assert waits.seen.count("_local_scalar_dense") == 0


def test_a_loss_that_was_not_finite_is_told_of_the_layer_that_had_it() -> None:
    config, train = SAEConfig(d_sae=M, k=K), TrainConfig()
    layers = []
    for name in ("block_01", "block_02"):
        scale, step = InputScale(torch.zeros(D), torch.ones(())), choose_step(config, D, torch.device("cpu"))
        sae = SparseAutoencoder(D, M, "topk", K)
        layers.append(LayerTraining(name, sae, scale, step, TrainingRun(config, train, steps=9)))
        layers[-1].prompt = False
    layers[0].advance(torch.randn(BATCH, D), 1e-3, 0)
    layers[1].advance(torch.full((BATCH, D), torch.nan), 1e-3, 0)
    layers[1].advance(torch.randn(BATCH, D), 1e-3, 1)
    with pytest.raises(Exception, match="loss of block_02 is not finite"):
        require_finite(layers, 1)
