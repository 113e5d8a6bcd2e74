"""The latents of an image: which are active, where they fire, and which patches their values come from."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hsae.backbones.places import patch_numbers
from hsae.errors import InputError
from hsae.faithfulness.curves import Curve, RemovalSetting, faithfulness_curve
from hsae.faithfulness.removal import Baseline
from hsae.measures.wordnet.node_probabilities import node_probabilities
from hsae.relevancy import RelevancyMap, relevancy_map
from hsae.relevancy.examples import Example, examples
from hsae.relevancy.latent_map import Encoded, LatentAt, activation_map, encoded
from hsae.relevancy.targets import Place, Target, latent_target
from hsae.report.active import active_table
from hsae.report.shown_names import UNLIKELY
from hsae.session.image import ImageSession


class LatentSession(ImageSession):
    """Answers about the latents of one image."""

    @torch.no_grad()
    def active_latents(self, layer: str, top: int = 20, place: Iterable[tuple[int, int]] | None = None) -> pd.DataFrame:
        """The latents active in the image at a layer, strongest first, with their row of the artifact's table.

        Columns: latent, activation (in units of the activations), strength (activation / p999), said, chance, likely,
        then the table's as they may be shown (`report.shown_names.as_shown`): where the name is refused the label is
        "unnamed".
        said: the latent's name is said of this image, since its pre-activation is at least node_threshold and the
        layer's probe does not find the name unlikely (below `UNLIKELY`); never where the name is refused, nor where no
        threshold was measured. chance: that the name is true of this image, in [0, 1], by how strongly the latent
        speaks; likely: the same by the layer's probe. Latents that are silent and whose name is said all the same come
        last, with an activation of 0.
        For a patch SAE the activation and the pre-activation are the largest over the patches, or over those of
        `place`: (row, column) each, from the upper left.
        """
        x, sae = self._token(layer), self.artifact.sae(layer)
        if place is not None:
            x = x[list(self._numbers(layer, place))]
        pre = sae.pre_activation(x)
        values, highest = sae.activate(pre).amax(0).numpy(), pre.amax(0).numpy()
        found = active_table(self.artifact.latents(layer), values, highest, top)
        found.insert(5, "likely", self._likely(layer, found.reindex(columns=["node"])["node"].where(found["said"])))
        found["said"] &= ~(found["likely"] < UNLIKELY)
        return found[found["said"] | (found["activation"] > 0)].reset_index(drop=True)

    def _likely(self, layer: str, nodes: pd.Series) -> NDArray[np.float64]:
        """How likely the layer's probe finds each WordNet node in the image; NaN where nothing can say so.

        Probes read the whole image, so they say nothing of what a patch shows.
        """
        if self.artifact.token == "patch" or not self.artifact.classes:
            return np.full(len(nodes), np.nan)
        known = [node for node in nodes.dropna().unique() if node in self.taxonomy]
        members = torch.tensor(self.taxonomy.members[[self.taxonomy.position(node) for node in known]])
        logits = self.artifact.probe(layer).logits(self._token(layer).mean(0))
        likely = dict(zip(known, node_probabilities(logits, members).tolist(), strict=True))
        return np.array([likely.get(node, np.nan) for node in nodes])

    def activation_map(self, layer: str, latent: int) -> RelevancyMap:
        """Where in the image a latent of patches fires, and how strongly: 0 at patches where it is silent."""
        self._require_patches()
        at = self._latent(layer, latent)
        return activation_map(at, self.once(("encoded", layer), lambda: self._encoded(at)))

    def _encoded(self, at: LatentAt) -> Encoded:
        return encoded(at, self.activations(at.layer), self.backbone.pixels([self.crop]))

    def examples(self, layer: str, latent: int, top: int = 4) -> list[Example]:
        """The starter photographs on which a latent is strongest, the first one first, and where it fires in each.

        Needs no image. For patches each photograph costs one forward pass the first time that anybody asks for it.
        """
        at = self._latent(layer, latent)
        strongest = [(key, value) for key, value in self.artifact.top_images(layer)[latent]["starter"]]
        return list(examples(at, strongest[:top], self.artifact.layers))

    def latents(self, layer: str, top: int = 20) -> pd.DataFrame:
        """The former name of `active_latents`; `Artifact.latents` is the table of all latents."""
        warnings.warn("Session.latents is now Session.active_latents", DeprecationWarning, stacklevel=2)
        return self.active_latents(layer, top)

    def relevancy(
        self, layer: str, latent: int, method: str | None = None, place: Iterable[tuple[int, int]] | None = None
    ) -> RelevancyMap:
        """Which patches of the image a latent's value comes from; `relevancy.default_method` when none is named.

        place: patches (row, column) of a patch SAE, whose mean value is explained; without, its strongest patch's.
        """
        sae = self.artifact.sae(layer)
        token: Place = self.artifact.token if place is None else self._numbers(layer, place)
        return self.once(
            ("latent", layer, latent, method, token),
            lambda: relevancy_map(self.backbone, sae, self.crop, layer, latent, method=method, token=token),
        )

    def faithfulness(self, layer: str, latent: int, method: str | None = None, baseline: Baseline = "blur") -> Curve:
        """How the latent falls as the patches that its map calls relevant are removed, against a random order."""
        map = self.relevancy(layer, latent, method)
        target = latent_target(self.backbone, self.artifact.sae(layer), layer, latent, self.artifact.token)
        return self._removal(target, map, baseline)

    def _removal(self, target: Target, map: RelevancyMap, baseline: Baseline) -> Curve:
        """How a target, read at the layer of its map, falls as patches are removed."""
        pixels, setting = self.backbone.pixels([self.crop]), RemovalSetting(baseline=baseline)
        return faithfulness_curve(self.backbone, target, pixels, map.layer, map, setting)

    def _numbers(self, layer: str, place: Iterable[tuple[int, int]]) -> tuple[int, ...]:
        """Numbers of the patches of a place; InputError where the SAEs do not read patches."""
        self._require_patches()
        return patch_numbers(self.backbone, layer, place)

    def _latent(self, layer: str, latent: int) -> LatentAt:
        """A latent of the artifact; InputError when its layer has no such number."""
        sae = self.artifact.sae(layer)
        if not 0 <= latent < sae.d_sae:
            raise InputError(f"latent {latent}", f"a number from 0 to {sae.d_sae - 1}")
        return LatentAt(self.backbone, sae, layer, latent, self.artifact.token)

    def _require_patches(self) -> None:
        if self.artifact.token != "patch":
            got = f"patches of {self.artifact.id}, whose SAEs read the token {self.artifact.token}"
            raise InputError(got, "a session of patches", "Ask session.patches.")
