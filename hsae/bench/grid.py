"""A grid: which variants of SAE a benchmark trains, at which widths, sparsities and seeds, and beside which baselines.

    d_sae: [768, 1536]
    L0: [16, 64]
    seeds: [0]
    epochs: 10
    baselines: [random, k-means, probes]
    variants:
      topk: {activation: topk}
      nested k: {activation: topk, ks: "1,8,{L0}", k_weights: "3,1,1", L0: [64]}

A variant is a line of the plots: fields of SAEConfig, in whose texts {L0} stands for the sparsity, and `d_sae`, `L0` or
`seeds` of its own in place of those above; `frozen: encoder` (or decoder) keeps that half random.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from hsae.bench.baselines import BASELINES
from hsae.errors import InputError
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.frozen import Frozen
from hsae.sae.lists import Counts, Groups, Numbers
from hsae.sae.variants import VARIANTS

_OWN = ("d_sae", "L0", "seeds")
_LISTS = {"ks": Counts, "k_weights": Numbers, "groups": Groups, "group_weights": Numbers}


@dataclass(frozen=True)
class Entry:
    """One contestant on one layer: an SAE to train, or a baseline."""

    name: str
    layer: str
    n: int
    """Directions; 0 for a baseline that has its own number."""
    seed: int
    l0: float | None = None
    """Active latents per token that training aims at."""
    sae: SAEConfig | None = None
    """None for a baseline."""
    frozen: Frozen = "none"
    """Half of the SAE that stays random."""


@dataclass(frozen=True)
class Grid:
    """What is compared; InputError for what no variant or baseline can be."""

    variants: Mapping[str, Mapping[str, Any]]
    baselines: tuple[str, ...] = tuple(BASELINES)
    d_sae: tuple[int, ...] = (1536,)
    L0: tuple[float, ...] = (16, 64)
    seeds: tuple[int, ...] = (0,)
    epochs: int = 10
    batch_size: int = 512

    def __post_init__(self) -> None:
        unknown = set(self.baselines) - set(BASELINES)
        if unknown:
            raise InputError(f"baselines {', '.join(sorted(unknown))}", f"some of {', '.join(BASELINES)}")
        taken = set(self.variants) & set(BASELINES)
        if taken or not self.variants:
            raise InputError(f"variants named {', '.join(sorted(taken)) or 'nothing'}", "names that no baseline has")
        for entry in self.entries("any"):
            self.train(entry)

    def train(self, entry: Entry) -> TrainConfig:
        """How one SAE is trained."""
        return TrainConfig(self.epochs, self.batch_size, seed=entry.seed, frozen=entry.frozen, checkpoint_every=10**9)

    def elsewhere(self, name: str) -> Grid:
        """The variants alone and of the first seed, for another backbone, whose `name` theirs end with."""
        variants = {f"{key}, {name}": {**settings, "seeds": self.seeds[:1]} for key, settings in self.variants.items()}
        return replace(self, variants=variants, baselines=())

    def entries(self, layer: str) -> Iterator[Entry]:
        """Every contestant on a layer, what the recovery needs first."""
        widths = sorted({width for settings in self.variants.values() for width in _own(settings, self)["d_sae"]})
        for name in self.baselines:
            row = BASELINES[name]
            for n in widths if row.sized else [0]:
                for seed in self.seeds if row.seeded else self.seeds[:1]:
                    yield Entry(name, layer, n, seed)
        for name, settings in self.variants.items():
            own = _own(settings, self)
            for n in own["d_sae"]:
                for l0 in own["L0"]:
                    for seed in own["seeds"]:
                        config = _config(name, settings, n, l0)
                        yield Entry(name, layer, n, seed, l0, config, settings.get("frozen", "none"))


def read_grid(path: Path) -> Grid:
    """A grid from a YAML file; InputError says what is wrong with it."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read: {error}", "a grid in YAML") from error
    known = [field.name for field in fields(Grid)]
    if not isinstance(content, dict) or set(content) - set(known) or not isinstance(content.get("variants"), dict):
        got = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path} with {got}", f"variants, and some of {', '.join(known[1:])}")
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    return Grid(**given)


def _own(settings: Mapping[str, Any], grid: Grid) -> dict[str, Any]:
    return {name: settings.get(name, getattr(grid, name)) for name in _OWN}


def _config(name: str, settings: Mapping[str, Any], d_sae: int, l0: float) -> SAEConfig:
    given = {key: value for key, value in settings.items() if key not in (*_OWN, "frozen")}
    unknown = set(given) - {field.name for field in fields(SAEConfig)}
    activation = given.get("activation")
    if unknown or activation not in VARIANTS:
        got = f"variant {name!r} with {', '.join(sorted(unknown)) or f'activation {activation}'}"
        raise InputError(got, f"an activation of {', '.join(VARIANTS)}, and fields of SAEConfig")
    texts = {key: value.format(L0=l0) if isinstance(value, str) else value for key, value in given.items()}
    texts |= {key: kind(texts[key]) for key, kind in _LISTS.items() if key in texts}
    aim = {"k": int(l0)} if VARIANTS[activation].uses_k else {"l0_target": float(l0)}
    return SAEConfig(**(aim | {"d_sae": d_sae} | texts))


QUICK = Grid(
    {
        "topk": {"activation": "topk"},
        "nested k": {"activation": "topk", "ks": "1,8,{L0}", "k_weights": "3,1,1", "L0": (64,)},
        "coarse and fine": {"activation": "coarse_fine"},
    },
    baselines=("random", "k-means whitened", "probes"),
    d_sae=(768,),
    epochs=5,
)
"""What fits into ten minutes for one layer of a small model."""
FULL = Grid(
    {
        "topk": {"activation": "topk"},
        "topk, 4 prefixes": {"activation": "topk", "prefixes": 4},
        "nested k": {"activation": "topk", "ks": "1,8,{L0}", "k_weights": "3,1,1", "L0": (16, 25, 32, 64)},
        "batchtopk": {"activation": "batchtopk"},
        "relu": {"activation": "relu"},
        "relu whitened": {"activation": "relu", "whiten": 0.25},
        "relu, 4 prefixes": {"activation": "relu", "prefixes": 4},
        "relu whitened, 4 prefixes": {"activation": "relu", "whiten": 0.25, "prefixes": 4},
        "jumprelu": {"activation": "jumprelu"},
        "jumprelu whitened": {"activation": "jumprelu", "whiten": 0.25},
        "coarse and fine": {"activation": "coarse_fine"},
        "topk, frozen decoder": {"activation": "topk", "frozen": "decoder", "L0": (16, 64)},
        "topk, frozen encoder": {"activation": "topk", "frozen": "encoder", "L0": (16, 64)},
    },
    d_sae=(384, 768, 1536),
    L0=(8, 16, 25, 32, 64),
    seeds=(0, 1, 2),
    epochs=20,
)
"""The whole suite."""
