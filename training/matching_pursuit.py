"""Does a matching-pursuit encoder know more WordNet nodes than TopK? Two more rows of a benchmark of a run.

    python training/matching_pursuit.py runs/starter --layer block_11

Dictionaries of 1 536 rows are trained to reconstruct by `hsae.sae.pursuit` with as many steps as --k says, for as many
epochs and images as the benchmark's other SAEs, and measured as they are, by latents and by products with the rows. The
baselines and TopK are taken from RUN/bench, or made there; the rows of both are kept, and the table is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from scipy.sparse import csr_array
from torch import Tensor
from tqdm import tqdm

from hsae.bench.contestant import Contestant
from hsae.bench.grid import Entry, Grid
from hsae.bench.images import BenchLayer, open_images
from hsae.bench.rows import Row, Rows
from hsae.bench.suite import LayerBench, make
from hsae.bench.table import table
from hsae.commands.bench import read_parts
from hsae.exit_status import exit_status
from hsae.sae.bank import scale_of
from hsae.sae.pursuit import MatchingPursuit

LR, CLIP, DECAY = 1e-3, 1.0, 0.3
"""Adam's rate, the largest gradient norm, and the share of the steps over which the rate falls to 0."""
SHOWN = ("name", "seed", "fvu", "l0", "dead", "node_ap", "R", "owned_40", "n_named", "name_bits", "purity")


def main(arguments: list[str]) -> int:
    """Train, measure, print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run with stored activations and images set apart")
    parser.add_argument("--layer", required=True)
    parser.add_argument("--d_sae", type=int, default=1536)
    parser.add_argument("--k", type=int, default=64, help="latents taken for each activation")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch_size", type=int, default=512)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--parts", default="", help="as for `python -m hsae bench`")
    return exit_status(lambda: compare(parser.parse_args(arguments)))


def compare(options: argparse.Namespace) -> None:
    """Print a line for random directions, probes, TopK and every seed of matching pursuit."""
    images = open_images(options.run, read_parts(options.parts))
    bench = LayerBench(images, options.layer, Rows(options.run / "bench", images.content))
    grid = Grid(
        {"topk": {"activation": "topk"}},
        baselines=("random", "probes"),
        d_sae=(options.d_sae,),
        L0=(options.k,),
        seeds=tuple(options.seeds),
        epochs=options.epochs,
        batch_size=options.batch_size,
    )
    found = [_peer(bench, entry, grid) for entry in grid.entries(options.layer)]
    training = {"k": options.k, "epochs": options.epochs, "batch_size": options.batch_size, "lr": LR}
    for seed in options.seeds:
        pursuit = cache(partial(_trained, bench, seed, options))
        for name, contestant in KINDS.items():
            entry = Entry(f"matching pursuit, {name}", options.layer, options.d_sae, seed, options.k)
            found.append(bench.row(entry, partial(_contestant, contestant, pursuit), training)[0])
        if pursuit.cache_info().currsize:
            print(f"matching pursuit, seed {seed}: {told(pursuit(), BenchLayer(images, options.layer))}")
    frame = table(found)
    print(frame[[name for name in SHOWN if name in frame]].round(3).to_string(index=False))


def _peer(bench: LayerBench, entry: Entry, grid: Grid) -> Row:
    return bench.row(entry, partial(make, entry=entry, grid=grid), asdict(grid.train(entry)) if entry.sae else None)[0]


def _contestant(
    kind: Callable[[MatchingPursuit], Contestant], pursuit: Callable[[], MatchingPursuit], layer: BenchLayer
) -> Contestant:
    return kind(pursuit())


def _trained(bench: LayerBench, seed: int, options: argparse.Namespace) -> MatchingPursuit:
    return trained(BenchLayer(bench.images, bench.layer).x, seed, options)


KINDS: dict[str, Callable[[MatchingPursuit], Contestant]] = {
    "products": lambda found: Contestant(lambda x: (x - found.b_dec) @ found.W_dec.T, len(found.W_dec)),
    "latents": lambda found: Contestant(found.encode, len(found.W_dec), lambda x: csr_array(found.encode(x).numpy())),
}
"""What ranks images: the products with the rows, as an encoder's pre-activations would, or the latents."""


@torch.no_grad()
def told(pursuit: MatchingPursuit, layer: BenchLayer) -> str:
    """FVU and L0 on the test images, and the share of latents that are silent on them."""
    x = layer.test.flatten(0, 1)
    z = torch.cat([pursuit.encode(part) for part in x.split(1024)])
    error = x - z @ pursuit.W_dec - pursuit.b_dec
    fvu = error.square().sum() / (x - layer.x.mean(0)).square().sum()
    fires = z > 0
    return f"FVU {fvu:.3f}, L0 {fires.sum(1).float().mean():.1f}, silent {1 - fires.any(0).float().mean():.1%}"


@torch.enable_grad()
def trained(x: Tensor, seed: int, options: argparse.Namespace) -> MatchingPursuit:
    """A dictionary for activations `x [n, d_in]`, in their own units; rows start as random activations."""
    generator = torch.Generator().manual_seed(seed)
    scale, size = scale_of([x], options.layer), options.batch_size
    x = scale.normalise(x)
    first = torch.randperm(len(x), generator=generator)[: options.d_sae]
    pursuit = MatchingPursuit(x[first], torch.zeros(x.shape[1]), options.k)
    optimiser = torch.optim.Adam(pursuit.parameters(), lr=LR)
    steps = options.epochs * (len(x) // size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (steps - step) / (DECAY * steps)))
    with tqdm(total=steps, desc=f"matching pursuit {seed}", unit="step") as bar:
        while bar.n < steps:
            for rows in torch.randperm(len(x), generator=generator)[: len(x) // size * size].split(size):
                optimiser.zero_grad()
                loss = pursuit.error(x[rows]).square().mean()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(pursuit.parameters(), CLIP)
                optimiser.step()
                schedule.step()
                pursuit.normalise()
                bar.update()
                bar.set_postfix_str(f"fvu {loss.item():.3f}")
    origin = pursuit.b_dec.detach() * scale.scale + scale.mean
    return MatchingPursuit(pursuit.W_dec.detach(), origin, pursuit.k).requires_grad_(False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
