"""Every stage of a run with its real shapes, on synthetic images and random weights; nothing is downloaded.

RUN-rehearsal/images/CLASS/NUMBER.png   what is run on
RUN-rehearsal/run/                      the run's own folder

The folder is removed when the rehearsal has ended.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from PIL import Image

from hsae.atomic import remove
from hsae.backbones.registry import SUFFIX
from hsae.sae.config import SAEConfig, TrainConfig
from training.ledger import Ledger
from training.planning.here import beside
from training.run_config import RunConfig
from training.stages import run
from training.stores import SHARD_REHEARSED

CLASSES = ("n02084071", "n02121620", "n04524313", "n07705931")
"""Dogs, cats, vehicles and fruit; what their images show is noise of one colour each."""
PER_CLASS = 16
HELDOUT_SHARE, CHOICE_SHARE = 0.25, 0.25
EPOCHS = 4
KEPT = (
    *("image_size", "token", "layers", "train_precision", "activations", "workers"),
    *("probe_images", "store_dtype", "layers_at_once", "tau", "artifact_dtype"),
)
"""Settings of the run that its rehearsal has too."""

Settings = tuple[RunConfig, SAEConfig, TrainConfig]


def rehearse(settings: Settings, accelerator: Accelerator) -> Ledger:
    """Run all stages as they would be run, and print what each used beside its plan; returns the same."""
    folder = Path(f"{settings[0].run}-rehearsal")
    if accelerator.is_main_process:
        remove(folder)
        write_images(folder / "images", settings[0].image_size)
    accelerator.wait_for_everyone()
    ledger = Ledger()
    run(*rehearsed(*settings, folder, accelerator.num_processes), accelerator, ledger=ledger)
    if accelerator.is_main_process:
        print(f"Planned, and used by {settings[0].backbone} with random weights:\n{beside(ledger)}")
        remove(folder)
    return ledger


def rehearsed(config: RunConfig, sae: SAEConfig, train: TrainConfig, folder: Path, processes: int = 1) -> Settings:
    """The same run on the images in `folder`: whatever decides the size of anything but the data stays."""
    most = n_train() // (processes if train.parallel == "data" else 1)  # a batch of each
    backbone = (config.base_backbone or config.backbone).removesuffix(SUFFIX) + SUFFIX  # a fine-tune is as large
    own = RunConfig(
        run=str(folder / "run"),
        data=str(folder / "images"),
        heldout_share=HELDOUT_SHARE,
        choice_share=CHOICE_SHARE,
        backbone=backbone,
        rehearse=True,
        images_per_batch=min(config.images_per_batch, SHARD_REHEARSED),
    )
    own = replace(own, **{name: getattr(config, name) for name in KEPT})
    return own, sae, replace(train, epochs=EPOCHS, batch_size=min(train.batch_size, most))


def n_train() -> int:
    """Images that are left to train on."""
    left = PER_CLASS - round(HELDOUT_SHARE * PER_CLASS)
    return len(CLASSES) * (left - round(CHOICE_SHARE * left))


def write_images(folder: Path, side: int) -> None:
    """Noise in a colour for each class, in a folder for each class."""
    generator = np.random.default_rng(0)
    for wnid in CLASSES:
        colour = generator.integers(40, 216, 3)
        (folder / wnid).mkdir(parents=True, exist_ok=True)
        for number in range(PER_CLASS):
            pixels = colour + generator.normal(0, 30, (side, side, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / wnid / f"{number:02d}.png")
