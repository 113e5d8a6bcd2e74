"""Train an artifact: images -> activations -> SAEs -> probes and analysis -> artifact, skipping what is done.

    accelerate launch training/train.py --config training/configs/quickstart.yaml [--epochs 5 ...]

Flags override the config files. Run it again after an interruption: finished stages are not repeated.
"""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # launchers put only training/ on the path

from hsae.exit_status import exit_status


def main(arguments: list[str]) -> int:
    """Run all stages; returns the exit status and prints errors a user can cause as one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    again = "Run the same command again: it goes on where it stopped."
    return exit_status(lambda: train(arguments), interrupted=again)


def train(arguments: list[str]) -> None:
    """Run all stages with the settings of config files and flags, and say how to look at the artifact."""
    # These take seconds to load, in which Ctrl+C ends with one line too.
    from training.ledger import Ledger
    from training.planning.here import beside
    from training.processes import new_accelerator
    from training.rehearsal import rehearse
    from training.settings import command_of, flags_of, parse
    from training.stages import run

    flags = flags_of(arguments)
    run_config, sae_config, train_config = parse(flags)
    accelerator = new_accelerator(run_config)
    if run_config.rehearse:
        rehearse((run_config, sae_config, train_config), accelerator)
        accelerator.end_training()
        return
    ledger = Ledger()
    artifact = run(run_config, sae_config, train_config, accelerator, command_of(flags), ledger)
    if accelerator.is_main_process:
        print(beside(ledger))
        look = ["python", "app.py", "--artifact", run_config.push_to_hub or str(artifact)]
        print(f"Done. Look at it with: {shlex.join(look)}")
    accelerator.end_training()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
