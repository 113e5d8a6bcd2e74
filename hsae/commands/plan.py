"""Say what a run of training/train.py will need, stage by stage, before anything is downloaded or computed.

    python -m hsae plan --config training/configs/starter.yaml
    python -m hsae plan --config OTHER.yaml --images 1281167,50000 --machine "8x80GB,2TB" --tflops 400

takes the flags and config files of train.py, from a checkout. Without --machine: this one. Without --tflops the
backbone's architecture is timed here on a few images of noise, and an SAE of every width on a few batches.
"""

from __future__ import annotations

import argparse

from hsae.errors import InputError

PASSES_ON = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command; all others are train.py's."""
    parser.add_argument("--images", help="training and held-out images, N,N, where they are not here to be counted")
    parser.add_argument("--machine", help='GPUs, memory, disk: "8x80GB,2TB,4TB", or "24GB" (default: this machine)')
    parser.add_argument("--tflops", type=float, help="what one GPU does in bfloat16, in place of timing")


def run(options: argparse.Namespace) -> None:
    """Print the plan."""
    try:
        from training.planning.ahead import plan_ahead
    except ModuleNotFoundError as error:
        do = "Clone the repository and run the command in it."
        raise InputError("no folder training/ here", "a checkout of hsae", do) from error
    print(plan_ahead(options.rest, options.images, options.machine, options.tflops).table())
