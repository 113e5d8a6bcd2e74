"""How many of the k largest latents the bfloat16 search of the TopK trainer finds on real activations.

    python training/benchmarks/search_recall.py [ARTIFACT]

Prints per layer, over the class tokens of the starter photographs: the share of the k largest latents among those
found, and the share of their sum. The search is made by hand on any processor, so the numbers do not depend on it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

from hsae.artifacts.artifact import Artifact
from hsae.data.samples import load_samples
from hsae.sae.model import SparseAutoencoder
from hsae.sae.topk_search import RoundedSearch


def main() -> None:
    """Print a line per layer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("artifact", nargs="?", default="starter")
    artifact = Artifact.load(parser.parse_args().artifact)
    backbone = artifact.load_backbone()
    parts = [backbone.run([sample.image], artifact.layers) for sample in load_samples("starter")]
    for layer in artifact.layers:
        x = torch.cat([backbone.select_token(part[layer], layer, artifact.token) for part in parts])
        share, weight = recall(artifact.sae(layer), x.flatten(0, 1))
        print(f"{layer}  {share:.6f} of the latents, {weight:.7f} of their sum")


@torch.no_grad()
def recall(sae: SparseAutoencoder, x: Tensor) -> tuple[float, float]:
    """Shares of the k largest positive latents of `x [n, d_in]` that are found, by number and by value."""
    centred, rows = x - sae.b_dec, sae.W_enc.T
    true = torch.addmm(sae.b_enc, centred, rows.T).topk(sae.k)
    rounded = RoundedSearch(sae.d_sae, sae.k)(centred, rows, sae.b_enc)
    hit = (true.indices.unsqueeze(2) == rounded.indices.unsqueeze(1)).any(2)
    positive = true.values > 0
    values = true.values.relu()
    return float(hit[positive].float().mean()), float((values * hit).sum() / values.sum())


if __name__ == "__main__":
    main()
