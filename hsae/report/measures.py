"""The measures of a layer: each is a function `LayerInputs -> (columns, numbers)` and one row of MEASURES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from hsae.measures.directions import matched_latents, neuron_directions
from hsae.measures.entropy import class_mass, entropy
from hsae.measures.orthogonality import orthogonality, random_orthogonality
from hsae.measures.plain import finite, median, rounded
from hsae.measures.probe_quality import probe_quality
from hsae.measures.reconstruction import reconstruction
from hsae.measures.sparse_latents import image_latents
from hsae.measures.sparsity import firing_map, sparsity
from hsae.measures.wordnet import select_classes
from hsae.report.hierarchy import (
    LabelledLatents,
    hierarchy_columns,
    layer_summary,
    rule_summaries,
    selection_summary,
)
from hsae.report.inputs import LayerInputs
from hsae.report.nulls import likeness_parts, precision_parts, weighted_parts
from hsae.report.parts import Columns, alignment_parts, look_parts, rare_parts, top_entropy

Part = tuple[Columns, dict[str, Any]]


def reconstruction_part(inputs: LayerInputs) -> Part:
    """mse, var, fvu, cosine, l0, dead."""
    quality = reconstruction(inputs.sae, inputs.heldout.flat[0], inputs.train_moments.mean.float())
    return {}, {name: finite(value) for name, value in asdict(quality).items()}


def activity_part(inputs: LayerInputs) -> Part:
    """Columns frequency, mean, max, p999, dead; rare latents and the cosines of their decoder rows."""
    activity = inputs.activity
    columns = {name: getattr(activity, name) for name in ("frequency", "mean", "max", "p999", "dead")}
    return columns, dict(rare_parts(inputs.sae, activity))


def alignment_part(inputs: LayerInputs) -> Part:
    """Columns neuron, neuron_cosine; their medians beside chance."""
    columns, numbers = alignment_parts(inputs.sae, inputs.around.neurons)
    return columns, dict(numbers)


def looks_part(inputs: LayerInputs) -> Part:
    """Columns monosemanticity, monosemanticity_other; medians beside chance and random directions."""
    looks = inputs.around.embeddings, inputs.around.other_embeddings
    columns, numbers = look_parts(inputs.images, *looks)
    if columns and inputs.random_images.shape[1]:
        random, _ = look_parts(inputs.random_images, *looks)
        numbers |= {f"{name}_random": median(scores) for name, scores in random.items()}
    return columns, dict(numbers)


def sparsity_part(inputs: LayerInputs) -> Part:
    """Population and lifetime sparsity, near-zero share, dead units, and the images that bands of latents fire on."""
    shares, dead = sparsity(inputs.z), inputs.activity.dead
    numbers = {
        "population_sparsity": float(shares.population.mean()),
        "population_sparsity_sd": float(shares.population.std()),
        "lifetime_sparsity": median(np.where(dead, np.nan, shares.lifetime)),
        "near_zero": shares.near_zero,
        "n_dead": int(dead.sum()),
        "firing": {"map": rounded(firing_map(inputs.images), 5)},
    }
    return {}, numbers


def orthogonality_part(inputs: LayerInputs) -> Part:
    """Cosines of pairs of living decoder rows, beside those of as many random directions."""
    living = inputs.sae.W_dec[torch.from_numpy(~inputs.activity.dead)]
    cosines, chance = orthogonality(living), random_orthogonality(*living.shape)
    return {}, {
        "decoder_abs_cosine": finite(cosines.mean),
        "decoder_abs_cosine_chance": finite(chance.mean),
        "decoder_nearest_cosine": finite(cosines.nearest),
        "decoder_nearest_cosine_chance": finite(chance.nearest),
    }


def accuracy_part(inputs: LayerInputs) -> Part:
    """acc1, acc5, ece, penalty and temperature of probes on x, x_hat and z, each fitted to that input.

    Beside them the probe of x as it is: on reconstructions (acc1_x_on_x_hat), and uncalibrated (ece_x_uncalibrated).
    """
    numbers: dict[str, Any] = {}
    for name, reading in inputs.readings.items():
        probe = inputs.probes[name]
        quality = asdict(probe_quality(probe, *inputs.heldout.flat, reading.of))
        numbers |= {f"{measure}_{name}": value for measure, value in quality.items()}
        numbers |= {f"penalty_{name}": probe.penalty, f"temperature_{name}": probe.temperature}
    of_x, x_hat = inputs.probes["x"], inputs.readings["x_hat"].of
    numbers["acc1_x_on_x_hat"] = probe_quality(of_x, *inputs.heldout.flat, x_hat).acc1
    plain = replace(of_x, temperature=1.0)
    return {}, numbers | {"ece_x_uncalibrated": probe_quality(plain, *inputs.heldout.flat).ece}


def entropy_part(inputs: LayerInputs) -> Part:
    """Column label_entropy; the median entropy of the strongest images."""
    data, n_classes = inputs.labelled, len(inputs.labelled.taxonomy.classes)
    columns = {"label_entropy": entropy(class_mass(data.z, data.labels, n_classes))}
    return columns, dict(top_entropy(inputs.images, inputs.heldout.labels.numpy(), n_classes))


def hierarchy_part(inputs: LayerInputs) -> Part:
    """Columns n_classes, lch, lch_height, coverage, p_value, q_value, best_node, best_node_f1; the layer's summary."""
    table = hierarchy_columns(inputs.labelled, inputs.tau)
    return {name: table[name].to_numpy() for name in table}, layer_summary(inputs.labelled, inputs.tau)


def baselines_part(inputs: LayerInputs) -> Part:
    """The same summary for untrained directions that fire as often as the latents alive on the held-out tokens."""
    x, _ = inputs.heldout.flat
    living, labels = inputs.activity.frequency[~inputs.activity.dead], inputs.heldout.labels.numpy()
    if not len(living):
        return {}, {"baselines": {}}
    taxonomy, tokens = inputs.labelled.taxonomy, inputs.heldout.x.shape[1]
    others = {"neurons": neuron_directions(x.shape[1]), "principal_axes": inputs.axes.both_ways()}
    kinds = {"random_directions": inputs.random_images} | {
        name: image_latents(matched_latents(x, directions, living), tokens) for name, directions in others.items()
    }
    summaries = {}
    for name, z in kinds.items():
        data = LabelledLatents(z[labels >= 0], labels[labels >= 0], taxonomy)
        at_tau = selection_summary(taxonomy, select_classes(data.rates(), inputs.tau))
        summaries[name] = {"n": z.shape[1], **at_tau, "rules": rule_summaries(data)}
    return {}, {"baselines": summaries}


@dataclass(frozen=True)
class Measure:
    """A row of MEASURES."""

    function: Callable[[LayerInputs], Part]
    needs_classes: bool = True
    """Left out where no image has a label."""


MEASURES = (
    Measure(reconstruction_part, needs_classes=False),
    Measure(activity_part, needs_classes=False),
    Measure(sparsity_part, needs_classes=False),
    Measure(alignment_part, needs_classes=False),
    Measure(orthogonality_part, needs_classes=False),
    Measure(looks_part, needs_classes=False),
    Measure(accuracy_part),
    Measure(entropy_part),
    Measure(hierarchy_part),
    Measure(lambda inputs: weighted_parts(inputs.labelled)),
    Measure(lambda inputs: precision_parts(inputs.labelled)),
    Measure(lambda inputs: likeness_parts(inputs.labelled, inputs.around.groups, inputs.tau)),
    Measure(baselines_part),
)


def measure_layer(inputs: LayerInputs) -> Part:
    """Columns and numbers of all measures; those that need classes only where images have labels."""
    columns: Columns = {}
    numbers: dict[str, Any] = {"baselines": {}}
    for measure in MEASURES:
        if inputs.taxonomy is not None or not measure.needs_classes:
            more_columns, more_numbers = measure.function(inputs)
            columns, numbers = columns | more_columns, numbers | more_numbers
    numbers["baselines"] = {**numbers["baselines"], **inputs.around.baselines}
    return columns, numbers
