"""Score every relevancy method on an SAE's latents: by removal on photographs, by place on scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.faithfulness.curves import RemovalSetting, faithfulness_curves
from hsae.faithfulness.localisation import localisation
from hsae.faithfulness.removal import Baseline
from hsae.faithfulness.scenes import Scene, coverage
from hsae.relevancy.explain import method_maps
from hsae.relevancy.maps import RelevancyMap
from hsae.relevancy.targets import Place, Target, latent_target
from hsae.sae.model import SparseAutoencoder

RANDOM = "random"
"""The name of the control that ranks patches by chance, beside the methods."""


@dataclass(frozen=True)
class Subject:
    """The latents of one layer, as they are explained and measured."""

    backbone: Backbone
    sae: SparseAutoencoder
    layer: str
    token: Place

    def target(self, latent: int) -> Target:
        return latent_target(self.backbone, self.sae, self.layer, latent, self.token)

    def maps(
        self, pixels: Tensor, latents: Sequence[int], methods: Sequence[str], generator: np.random.Generator
    ) -> dict[str, tuple[RelevancyMap, ...]]:
        """Maps of the latents by method, and by chance."""
        targets = [self.target(latent) for latent in latents]
        maps = method_maps(self.backbone, pixels, self.layer, targets, methods)
        size = maps[methods[0]][0].values.shape
        noise = generator.random((len(latents), *size), dtype=np.float32)
        return maps | {RANDOM: tuple(RelevancyMap(values, RANDOM, self.layer, 0.0) for values in noise)}

    @torch.inference_mode()
    def read(self, pixels: Tensor) -> Tensor:
        """Pre-activations `[batch, d_sae]` where the target reads them; the largest over the patches for `patch`."""
        token = self.token if isinstance(self.token, str) else "patch"
        x = self.backbone.run_pixels(pixels, [self.layer])[self.layer]
        return self.sae.pre_activation(self.backbone.select_token(x, self.layer, token)).amax(1)


@dataclass(frozen=True)
class Removal:
    """Removal scores of one map of one latent on one photograph; areas in units of the activations."""

    latent: int
    method: str
    baseline: Baseline
    lost: float
    """`Curve.lost`; the areas are not divided by it yet, so that they can be added up over photographs."""
    deletion: float
    """Area under MoRF."""
    insertion: float
    """Area under LeRF."""
    other_gap: float
    """Insertion - deletion of the map of another latent: high when maps hardly depend on the latent they explain."""


@dataclass(frozen=True)
class Placement:
    """Where one map of one latent lies in one scene: `Localisation`, for the latent's map and for another latent's."""

    latent: int
    method: str
    pointing: float
    pointing_chance: float
    energy: float
    energy_chance: float
    other_pointing: float
    other_energy: float


def removals(
    subject: Subject,
    pixels: Tensor,
    latents: Sequence[int],
    methods: Sequence[str],
    baselines: Sequence[Baseline],
    generator: np.random.Generator,
) -> Iterator[Removal]:
    """Scores of every method and of maps by chance, for latents that are each other's control on one photograph.

    pixels `[1, 3, height, width]`; two latents or more, of which all are read in the same passes.
    """
    targets = [subject.target(latent) for latent in latents]
    maps = {
        (name, i): relevancy
        for name, row in subject.maps(pixels, latents, methods, generator).items()
        for i, relevancy in enumerate(row)
    }
    for baseline in baselines:
        setting = RemovalSetting(baseline=baseline)
        curves = faithfulness_curves(subject.backbone, targets, pixels, subject.layer, maps, setting)
        for method, i in maps:
            curve = curves[i][method, i]
            others = [curves[i][method, j] for j in range(len(latents)) if j != i]
            other_gap = float(np.mean([each.area(each.lerf) - each.area(each.morf) for each in others]))
            areas = curve.area(curve.morf), curve.area(curve.lerf)
            yield Removal(latents[i], method, baseline, curve.lost, *areas, other_gap)


def placements(
    subject: Subject, scene: Scene, latents: Sequence[int], methods: Sequence[str], generator: np.random.Generator
) -> Iterator[Placement]:
    """Scores of every method for the latent, among `latents`, that the scene's object raises most."""
    pixels, background = (subject.backbone.pixels([image]) for image in (scene.image, scene.background))
    values = subject.read(torch.cat([pixels, background]))[:, list(latents)]
    latent = latents[int((values[0] - values[1]).argmax())]
    other = another(latent, latents, generator)
    maps = subject.maps(pixels, [latent, other], methods, generator)
    places = subject.backbone.token_map(subject.backbone.map_layer(subject.layer), pixels)
    covered = coverage(scene.mask, places, maps[RANDOM][0].values.size)
    for method, (latent_map, other_map) in maps.items():
        far = localisation(other_map.values, covered)
        near = asdict(localisation(latent_map.values, covered))
        yield Placement(latent, method, **near, other_pointing=far.pointing, other_energy=far.energy)


def another(latent: int, latents: Sequence[int], generator: np.random.Generator) -> int:
    """A random one of the latents, but not this one: the control."""
    return int(generator.choice([each for each in latents if each != latent]))
