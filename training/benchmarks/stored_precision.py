"""What storing activations in two bytes a number costs: the noise, and the FVU of finished SAEs on rounded activations.

    python training/benchmarks/stored_precision.py RUN/activations/heldout ARTIFACT [--images 2000]

Noise is the mean square of the rounding over the variance of the activations; FVU that of the artifact's SAEs, which
were trained on whole numbers, on the activations as they are and rounded.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.measures.reconstruction import reconstruction
from hsae.report.inputs import some_images

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def main() -> None:
    """Print a line for every layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="float32 activations")
    parser.add_argument("artifact", help="folder or Hub model")
    parser.add_argument("--images", type=int, default=2000)
    options = parser.parse_args()
    store, artifact = ActivationStore(options.store), Artifact.load(options.artifact)
    print(f"{'layer':10}{'FVU':>10}" + "".join(f"{name + ' noise':>16}{'FVU change':>14}" for name in DTYPES))
    for layer in artifact.layers:
        x, sae = store.layer(layer, some_images(len(store), options.images)).flatten(0, 1), artifact.sae(layer)
        mean = x.mean(0)
        whole = reconstruction(sae, x, mean)
        line = f"{layer:10}{whole.fvu:10.5f}"
        for dtype in DTYPES.values():
            rounded = x.to(dtype).float()
            noise = (rounded - x).pow(2).mean().item() / whole.var
            line += f"{noise:16.2e}{reconstruction(sae, rounded, mean).fvu - whole.fvu:14.2e}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
