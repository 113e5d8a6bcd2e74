"""Whatever bytes change, loading either raises an HsaeError or gives sound values; nothing else, and no crash."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from hsae.artifacts.artifact import Artifact
from hsae.errors import HsaeError
from tests.artifacts.conftest import read_all, rehash

FILES = {
    "block_01/cfg.json": lambda artifact: artifact.sae("block_01"),
    "block_01/sae_weights.safetensors": lambda artifact: artifact.sae("block_01"),
    "block_01/latents.parquet": lambda artifact: artifact.latents("block_01"),
    "block_01/top_images.json": lambda artifact: artifact.top_images("block_01"),
    "probes.safetensors": lambda artifact: artifact.probe("block_01"),
    "curves.json": lambda artifact: artifact.curves,
}
"""Files to mutate, and what reads them."""
ROUNDS = 100  # for each of 13 tests


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Flip, overwrite, insert, delete, repeat or cut somewhere; headers and footers are met most."""
    place = min(int(abs(chance.gauss(0, 1)) * 100), len(content) - 1)
    place = len(content) - 1 - place if chance.random() < 0.5 else place
    kind = chance.randrange(6)
    if kind == 0:
        return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
    if kind == 1:
        return content[:place] + chance.randbytes(4) + content[place + 4 :]
    if kind == 2:
        return content[:place] + chance.choice([b"\0", b"\xff" * 8, b"9" * 30, b'"', b"[" * 50]) + content[place:]
    if kind == 3:
        return content[:place] + content[place + chance.randrange(1, 20) :]
    if kind == 4:
        return content[:place] + content[place - 10 : place + 10] + content[place:]
    return content[:place]


def sound(artifact: Artifact) -> None:
    """What was let through is finite and fits the index."""
    for name in artifact.layers:
        layer = artifact.index.layer(name)
        assert all(torch.isfinite(tensor).all() for tensor in artifact.sae(name).parameters())
        assert artifact.sae(name).encode(torch.zeros(1, layer.d_in)).shape == (1, layer.d_sae)
        assert len(artifact.latents(name)) == len(artifact.top_images(name)) == layer.d_sae
        assert artifact.probe(name).logits(torch.zeros(1, layer.d_in)).shape == (1, len(artifact.classes))


@pytest.mark.parametrize("path", FILES)
def test_a_mutated_file_is_refused_by_its_hash(folder, path):
    content, chance = (folder / path).read_bytes(), random.Random(path)
    for _ in range(ROUNDS):
        changed = mutate(content, chance)
        (folder / path).write_bytes(changed)
        if changed != content:
            with pytest.raises(HsaeError):
                FILES[path](Artifact.load(folder))


@pytest.mark.slow
@pytest.mark.parametrize("path", [*FILES, "hsae.json"])
def test_a_mutated_file_with_a_matching_hash_is_refused_or_sound(folder: Path, path):
    content, chance = (folder / path).read_bytes(), random.Random(path)
    refused = 0
    for _ in range(ROUNDS):
        (folder / path).write_bytes(mutate(content, chance))
        if path != "hsae.json":
            rehash(folder)
        try:
            sound(read_all(folder))
        except HsaeError:
            refused += 1
    assert refused > ROUNDS // 3
