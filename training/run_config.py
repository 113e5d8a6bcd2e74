"""What a run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hsae.artifacts.sae_folder import Dtype
from hsae.backbones.base import Token
from hsae.errors import InputError

MOST_PROBED = 20_000
"""Training images that probes are fitted on, where an image is hundreds of tokens and a run does not say otherwise."""


@dataclass(frozen=True)
class DataSource:
    """One of the sources of a run."""

    name: str
    split: str | None
    heldout_split: str | None
    label_map: str | None


@dataclass(frozen=True)
class RunConfig:
    """What is run on what; every field is a flag of train.py."""

    run: str = field(metadata={"aliases": ["--run_dir"]})  # `--run` alone is no flag that torchrun lets pass
    """Folder of the run, e.g. runs/quickstart; one run at a time."""
    data: str = "starter"
    """"starter", a folder of images or of class folders, parquet or tar files, a Hub id; or several of them between
    commas: then the splits and label maps may be several too, one each (nothing between two commas: none)."""
    data_split: str | None = None
    """Split of `data` to train on, where it has several."""
    data_limit: int | None = None
    """Use only the first rows, of each source."""
    stream: bool = False
    """Read the training rows as they come, without downloading them first; needs heldout_split, which is downloaded."""
    workers: int | None = None
    """Threads that decode images; default: none for a backbone on the CPU, one per core for one on a GPU."""
    decode_cache: str | None = None
    """Folder to keep decoded images in, for online runs and for several backbones on the same images (not streams)."""
    heldout_split: str | None = None
    """Split of `data` to measure on; without one, `heldout_share` of the images of every class is set apart."""
    heldout_share: float = 0.2
    """Share of every class to measure on, in place of a split."""
    choice_share: float | None = None
    """Share of the training images of every class to set apart: of these, three quarters choose what latents are named
    after and every setting that is chosen, and the others confirm it. Default: 0.15 of a source whose classes have 20
    images or more in the median; with fewer, with a stream and without labels: none, and latents have no such names."""
    label_map: str | None = None
    """File that maps class names to WordNet ids (CSV, JSON, an index of Keras or Kaggle), or imagenet-1k, cifar-100 or
    cifar-10, or none to take all images without labels."""
    classes: str | None = None
    """WordNet ids separated by commas: label each image by the first of them that its own class lies under."""
    copies: int = 1
    """Use every image this many times: as it is, then randomly cropped and mirrored."""
    dataset_name: str | None = None
    """Name of the data set in the artifact; default: `data`."""
    backbone: str = "dinov2-small-focus"
    """Name of a known backbone, Hub id, folder, or checkpoint; NAME@random: with random weights."""
    base_backbone: str | None = None
    """The model that `backbone` was fine-tuned from: the run stops when the image side is still the same."""
    image_size: int = 224
    """Side in pixels of the square the backbone sees."""
    token: Token = "cls"
    """cls, mean or patch."""
    layers: str = "all"
    """all, or names separated by commas."""
    images_per_batch: int = 32
    """Images that the backbone sees at once."""
    train_precision: Literal["float32", "bfloat16"] = "float32"
    """float32, or bfloat16: what the backbone multiplies matrices in on the training images, in half the time on
    hardware that knows it. The held-out images, on which everything is measured, are always run in float32."""
    activations: Literal["store", "online"] = "store"
    """store: extract the training images once; online: run the backbone in every epoch and store nothing of them but
    what the probes need, for patch tokens, of which a data set has more than a disk should hold."""
    store_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """What stored activations of the training and choice images are kept in; two bytes a number in place of four cost
    less than 0.001 of FVU (training/README.md). The held-out ones are always kept in float32."""
    probe_images: int | None = None
    """The most training images that probes are fitted on; default: all, but 20000 with the token patch, or with
    `activations` online, where no others are stored."""
    own_disks: bool = False
    """Machines share no disk: each keeps the activations of its part of the training images in a run folder of its own
    and trains on them; the first measures on its disk and has the SAEs and the artifact."""
    layers_at_once: int | None = None
    """SAEs that are trained together, in one pass over the activations; fewer need less memory and give the same bits.
    Default: as many as memory holds."""
    tau: float = 0.5
    """A class belongs to a latent when the latent fires on at least this share of its held-out images."""
    second_encoder: str | None = None
    """Backbone whose embeddings of the held-out images judge monosemanticity too; best not of the SAEs' own family."""
    random_backbone_run: str | None = None
    """Folder of a finished run on this backbone's `@random` twin, to report as a baseline."""
    examples: int = 0
    """Thumbnails of held-out images to keep in the artifact, at most: only of images that may be passed on."""
    examples_licence: str = ""
    """Licence of those images, shown beside them."""
    examples_source: str = ""
    """Where those images come from, shown beside them."""
    artifact_dtype: Dtype = "float16"
    """float16 or float32, for the SAE weights on disk."""
    log_with: str | None = None
    """Also log the training to tensorboard, trackio or wandb, when that is installed."""
    push_to_hub: str | None = None
    """Publish the artifact as this Hub model, org/name."""
    push_tag: str | None = None
    """Name for the published commit, e.g. v1."""
    private: bool = False
    """Make a new Hub model private."""
    force: bool = False
    """Publish even where another backbone's artifact or something else is."""
    rehearse: bool = False
    """Run every stage with the shapes of this run on 64 synthetic images and random weights, with nothing downloaded,
    and print what was measured beside what was planned."""

    @property
    def sources(self) -> tuple[DataSource, ...]:
        """What `data`, its splits and its label maps name, one by one; InputError unless there are as many of each."""
        names = [self.data] if Path(self.data).exists() else [name.strip() for name in self.data.split(",")]
        columns = {
            name: _each(getattr(self, name), len(names)) for name in ("data_split", "heldout_split", "label_map")
        }
        wrong = [name for name, column in columns.items() if len(column) != len(names)]
        if wrong:
            raise InputError(
                f"{len(names)} sources with other numbers of {', '.join(wrong)}", "one for all, or one each"
            )
        return tuple(DataSource(*row) for row in zip(names, *columns.values(), strict=True))

    def __post_init__(self) -> None:
        if not 0 < self.heldout_share < 1:
            raise InputError(f"heldout_share {self.heldout_share}", "a share between 0 and 1")
        if self.choice_share is not None and not 0 <= self.choice_share < 1:
            raise InputError(f"choice_share {self.choice_share}", "0, or a share below 1")
        if self.stream and (not self.heldout_split or self.copies != 1 or self.choice_share):
            got = f"heldout_split {self.heldout_split}, copies {self.copies}, choice_share {self.choice_share}"
            raise InputError(f"--stream with {got}", "a split, 1 and 0")
        if len(self.sources) > 1 and self.stream:
            raise InputError(f"--stream with {len(self.sources)} sources", "one source")
        if self.own_disks and self.rehearse:
            raise InputError("--own_disks with --rehearse", "one of them", "Rehearse on one machine.")
        if self.activations not in ("store", "online"):
            raise InputError(f"activations {self.activations!r}", "store or online")
        if self.train_precision not in ("float32", "bfloat16"):
            raise InputError(f"train_precision {self.train_precision!r}", "float32 or bfloat16")
        if self.layers_at_once is not None and self.layers_at_once < 1:
            raise InputError(f"layers_at_once {self.layers_at_once}", "a positive number")
        if self.store_dtype not in ("float32", "bfloat16", "float16"):
            raise InputError(f"store_dtype {self.store_dtype!r}", "float32, bfloat16 or float16")
        if self.probe_images is not None and self.probe_images < 1:
            raise InputError(f"probe_images {self.probe_images}", "a positive number")

    @property
    def most_probed(self) -> int | None:
        """The most training images that probes are fitted on; None: all."""
        many = self.activations == "online" or self.token == "patch"
        return MOST_PROBED if self.probe_images is None and many else self.probe_images

    @property
    def layer_names(self) -> list[str] | Literal["all"]:
        """`layers` as names."""
        return "all" if self.layers == "all" else [name.strip() for name in self.layers.split(",")]


def _each(value: str | None, n: int) -> list[str | None]:
    """One value for each of `n` sources, from values separated by commas or from one for all."""
    if value is None or n == 1 or "," not in value:
        return [value] * n
    return [part.strip() or None for part in value.split(",")]
