"""What relevancy maps and their removal curves cost, in units of one truncated forward and backward pass.

    python training/benchmarks/relevancy.py [--backbone dinov2-small-focus] [--image_size 224] [--rounds 5]

CPU time of interleaved rounds, of which the fastest counts: what else the machine does matters little.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.backbones.registry import load_backbone
from hsae.faithfulness.curves import faithfulness_curve
from hsae.relevancy import relevancy_map, usable_methods
from hsae.relevancy.targets import Place, latent_target
from hsae.sae.model import SparseAutoencoder
from training.benchmarks.steering import best


def main() -> None:
    """Print one table per layer: the middle one and the last but one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backbone", default="dinov2-small-focus")
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    backbone = load_backbone(options.backbone, image_size=options.image_size)
    pixels = torch.randn(1, 3, options.image_size, options.image_size)
    names = list(backbone.layers)
    print(f"{backbone.id}, {options.image_size} px, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for layer in (names[len(names) // 2 - 1], names[-2]):
        seconds = best(contestants(backbone, pixels, layer), options.rounds)
        unit = seconds["forward + backward"]
        for name, each in seconds.items():
            print(f"{layer}  {name:20} {1000 * each:8.1f} ms CPU  {each / unit:6.2f}x")


def contestants(backbone: Backbone, pixels: Tensor, layer: str) -> dict[str, Callable[[], object]]:
    """The plain pass, every method, and the removal curve of a map, each with its default settings."""
    spec = backbone.layers[layer]
    sae = SparseAutoencoder(spec.d_in, 1536)
    torch.nn.init.normal_(sae.W_enc)
    sae.requires_grad_(False)
    token: Place = "cls" if spec.n_prefix else "mean"
    target = latent_target(backbone, sae, layer, 0, token)
    mapped = partial(relevancy_map, backbone, sae, pixels, layer, 0, token=token)
    map = mapped(method="input_gradient")
    return {
        "forward + backward": lambda: plain_pass(backbone, pixels, layer),
        **{method: partial(mapped, method=method) for method in usable_methods(backbone, pixels, layer)},
        "faithfulness_curve": lambda: faithfulness_curve(backbone, target, pixels, layer, map),
    }


def plain_pass(backbone: Backbone, pixels: Tensor, layer: str) -> Tensor:
    """One pass to the layer with fused attention, and the gradient of one token at the embedding."""
    with torch.no_grad():
        embedding = backbone.embed(pixels).clone()
    state = embedding.requires_grad_()
    for name, stage in backbone.stages().items():
        state = stage(state)
        if name == layer:
            break
    return torch.autograd.grad(backbone.tokens(state)[:, 0].sum(), embedding)[0]


if __name__ == "__main__":
    main()
