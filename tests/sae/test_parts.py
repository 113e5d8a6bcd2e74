"""Two real processes (gloo), each with a store of its own, train one SAE that knows what either of them has seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from hsae.activations.sampler import TokenSampler
from hsae.activations.store import ActivationStore, Part
from hsae.measures.reconstruction import reconstruction
from hsae.sae.bank import new_bank
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import train_bank
from tests.forked import two_at_once
from tests.synthetic import write_store

SAE, TRAIN = SAEConfig(d_sae=24, k=2), TrainConfig(epochs=60, batch_size=64, lr=3e-3)
ATOMS = 8
"""Of each of two stores."""


def two_stores(folder: Path) -> list[ActivationStore]:
    """Sums of two unit atoms: of one half of the atoms in one store, of the others in the other."""
    generator = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(2 * ATOMS, 16, generator=generator), dim=-1)
    stores = []
    for number, n in enumerate((700, 640)):
        which = torch.rand(n, ATOMS, generator=generator).argsort(1)[:, :2] + number * ATOMS
        x = atoms[which].sum(1) + 0.02 * torch.randn(n, 16, generator=generator)
        stores.append(write_store(folder / f"store_{number}", {"layer": x[:, None]}))
    return stores


def unexplained(sae: SparseAutoencoder, store: ActivationStore) -> float:
    """FVU on a store."""
    x = store.layer("layer").flatten(0, 1)
    return reconstruction(sae.eval(), x, x.mean(0)).fvu


def train_part(arguments: list[str]) -> int:
    """What each of the processes does."""
    torch.set_num_threads(1)
    (folder,) = arguments
    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    store = ActivationStore(f"{folder}/store_{rank}")
    store.part = Part(place=0, readers=1, tokens=640, images=1340)
    bank = train_bank(store, SAE, TRAIN, accelerator=accelerator, progress=False)
    save_file(bank["layer"].state_dict(), f"{folder}/{rank}.safetensors")
    accelerator.end_training()
    return 0


@pytest.mark.slow
def test_each_process_learns_what_the_other_has_seen(tmp_path: Path) -> None:
    stores = two_stores(tmp_path)
    two_at_once(tmp_path, train_part, str(tmp_path))
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    both, alone = (
        new_bank(stores[0], ("layer",), SAE)["layer"],
        train_bank(stores[0], SAE, TRAIN, progress=False)["layer"],
    )
    both.load_state_dict(first)
    assert max(unexplained(both, store) for store in stores) < 0.35
    assert unexplained(alone, stores[1]) > 0.7


def test_parts_of_different_sizes_have_as_many_batches(tmp_path: Path) -> None:
    batches = []
    for store in two_stores(tmp_path):
        store.part = Part(place=1, readers=2, tokens=640, images=1340)
        sampler = TokenSampler(store, ("layer",), batch_size=64, share=(1, 2))
        read = list(sampler.epoch(0))
        assert len(read) == sampler.batches_per_epoch
        assert {len(batch["layer"]) for batch in read} == {32}
        batches.append(len(read))
    assert batches == [10, 10]
