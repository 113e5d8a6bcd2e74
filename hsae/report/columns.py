"""The columns of latents.parquet and the numbers of a layer: type, range, meaning, and words for the app.

The format's reader and writer, its specification, model cards and the app all follow these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_LABEL = 200
"""Characters of a label."""
MAX_NEURONS = 16
"""Hidden neurons of a block's MLP per width of its activations, at most."""


@dataclass(frozen=True)
class Words:
    """The app's words for a column."""

    name: str
    meaning: str
    form: Literal["number", "percent"] = "number"


@dataclass(frozen=True)
class Column:
    """One column; a missing value is NaN in float32, -1 in int32, null in wnid and text, and not allowed in bool."""

    name: str
    type: Literal["float32", "int32", "bool", "wnid", "text"]
    meaning: str
    low: float = 0
    high: float = 2**31 - 1
    later: bool = False
    """Added after schema 1's first artifacts: a file may end before any of these."""
    words: Words | None = None
    limit: str | None = None
    """The upper limit in words, where it depends on the layer or the data."""

    @property
    def range(self) -> str:
        """Type and range, as the specification has them."""
        if self.type == "bool":
            return "bool"
        if self.type == "wnid":
            return "text, wnid"
        if self.type == "text":
            return f"text, at most {MAX_LABEL} characters"
        high = self.limit or (None if self.high == 2**31 - 1 else f"{self.high:g}")
        return f"{self.type} in [{self.low:g}, {high}]" if high else f"{self.type} >= {self.low:g}"


COLUMNS = (
    Column(
        "frequency", "float32", "share of tokens on which the latent fires", high=1,
        words=Words("frequency", "share of held-out images on which it fires", "percent"),
    ),
    Column(
        "mean", "float32", "mean activation where it fires",
        words=Words("mean", "average strength when it fires, in units of the activations"),
    ),
    Column("max", "float32", "largest activation", words=Words("maximum", "strongest ever seen")),
    Column(
        "p999", "float32", "99.9 % quantile of the positive activations",
        words=Words("p999", "strong activation: 99.9 % of firings are weaker; the sliders' unit"),
    ),
    Column("dead", "bool", "fires on no token of the held-out images"),
    Column(
        "label_entropy", "float32", "entropy in nats of its activation over classes",
        words=Words("label entropy", "spread over classes in nats; 0 = all in one class"),
    ),
    Column(
        "monosemanticity", "float32", "activation-weighted mean cosine of its images", low=-1, high=1,
        words=Words("monosemanticity", "how alike the images are that it fires for; 1 = all the same"),
    ),
    Column(
        "neuron", "int32", "hidden neuron of the block's MLP whose output is most like its encoder vector", low=-1,
        limit="16 d - 1",
    ),
    Column("neuron_cosine", "float32", "cosine of the two, with its sign", low=-1, high=1),
    Column(
        "n_classes", "int32", "classes selected for it", low=-1, limit="C",
        words=Words("classes", "classes it belongs to: the height and coverage come from these"),
    ),
    Column("lch", "wnid", "lowest common hypernym of those classes"),
    Column(
        "lch_height", "float32", "its height",
        words=Words("height", "how far up WordNet those classes meet; 0 for a single class"),
    ),
    Column(
        "coverage", "float32", "share of the classes below it that were selected", high=1,
        words=Words("coverage", "share of the classes under the meeting point that it belongs to", "percent"),
    ),
    Column("p_value", "float32", "of the coverage, against shuffled synsets", high=1),
    Column(
        "q_value", "float32", "the same after Benjamini-Hochberg over the layer's latents", high=1,
        words=Words("q", "expected share of false finds among the features that are at least as significant"),
    ),
    Column("best_node", "wnid", "WordNet node that its images match best"),
    Column(
        "best_node_f1", "float32", "how well, on images that did not choose it", high=1,
        words=Words("fit", "how well the node that names it matches its classes on other images; 1 = exactly, 0 = not"),
    ),
    Column("label", "text", "words for people"),
    Column(
        "rate_lch", "wnid", "tightest node with the share `taxonomy.q` of its firing rates over classes", later=True
    ),
    Column("rate_coverage", "float32", "mean firing rate over the classes under that node", high=1, later=True),
    Column(
        "rate_coverage_p_value", "float32", "against the same rates dealt to the classes at random", high=1, later=True
    ),
    Column("rate_coverage_q_value", "float32", "the same after Benjamini-Hochberg", high=1, later=True),
    Column(
        "rate_f1", "float32",
        "F1 of its firing rates with the node they fit best: "
        "2 sum of rates under it / (sum of all rates + classes under it)", high=1, later=True,
    ),
    Column("rate_f1_p_value", "float32", "against the same rates dealt to the classes at random", high=1, later=True),
    Column("rate_f1_q_value", "float32", "the same after Benjamini-Hochberg", high=1, later=True),
    Column(
        "ap_node", "wnid", "node whose images it ranks first best on one half of the images, beyond chance", later=True
    ),
    Column(
        "ap", "float32",
        "average precision of that ranking on the other half; chance is the node's share of the images",
        high=1, later=True,
    ),
    Column(
        "likeness_p_value", "float32",
        "of the coverage, against synsets dealt only among classes of like colour and texture", high=1, later=True,
    ),
    Column("likeness_q_value", "float32", "the same after Benjamini-Hochberg", high=1, later=True),
    Column(
        "monosemanticity_other", "float32", "monosemanticity by the embeddings of `taxonomy.second_encoder`",
        low=-1, high=1, later=True,
    ),
    Column("node", "wnid", "node whose images it tells best (MCC) on the choice images", later=True),
    Column(
        "node_ap_gain", "float32",
        "(AP - pi) / (1 - pi) of its ranking of the test images for that node, pi the node's share; 0 is chance",
        low=-1, high=1, later=True,
    ),
    Column(
        "node_mcc", "float32", "Matthews correlation at the threshold, on the test images", low=-1, high=1, later=True
    ),
    Column(
        "node_precision", "float32", "share of the test images above the threshold that are under the node", high=1,
        later=True, words=Words("precision", "how often the name is true of other photographs it fires for", "percent"),
    ),
    Column(
        "node_recall", "float32", "share of the test images under the node that are above the threshold", high=1,
        later=True, words=Words("recall", "share of the node's other photographs it fires for", "percent"),
    ),
    Column(
        "node_lift", "float32", "precision over the node's share of the test images", later=True,
        words=Words("lift", "how many times as often as by chance the name is true"),
    ),
    Column(
        "node_threshold", "float32",
        "pre-activation from which on the node is said of an image, chosen on the choice images",
        low=-3.4e38, later=True,
    ),
    Column("node_p", "float32", "of the AP gain on the confirm images, against permuted labels", high=1, later=True),
    Column("node_q", "float32", "the same after Benjamini-Hochberg over the layer's latents", high=1, later=True),
    Column(
        "named", "int32", "1 when the node is kept as its name, 0 when the rule refuses it, -1 not known",
        low=-1, high=1, later=True,
    ),
    Column(
        "coherence", "float32", "of patches: Moran's I of its map, mean over the images on which it fires; 0 is chance",
        low=-1, high=1, later=True,
        words=Words("coherence", "how much the patches where it fires hang together; 0 = scattered, 1 = smooth"),
    ),
    Column(
        "place_variance", "float32", "of patches: share of the variance of its values that the place alone explains",
        high=1, later=True,
        words=Words("place", "how much its place in the picture decides, whatever the picture shows", "percent"),
    ),
    Column(
        "high_norm_share", "float32", "of patches: share of its activation at patches of an exceptional norm", high=1,
        later=True,
    ),
    Column(
        "object_precision", "float32",
        "of patches: share of the patches on which it fires that belong to objects pasted on backgrounds", high=1,
        later=True,
        words=Words("on objects", "share of its patches that lie on an object, in pictures made so", "percent"),
    ),
    Column(
        "kind", "text", "of patches: one place and high norm are artefacts; object, background; missing for none",
        later=True,
    ),
    Column(
        "node_worth", "float32",
        "what the name is expected to tell of an image it is said of, in bits: precision log2(1 / pi) on the confirm "
        "images; lists are ordered by it where no chance is known", later=True,
    ),
    Column(
        "foreground_precision", "float32",
        "of patches: share of the patches on which it fires that belong to the foregrounds of photographs", high=1,
        later=True,
    ),
    Column(
        "node_slope", "float32",
        "chance that the name is true of an image = 1 / (1 + exp(-(slope x pre-activation + offset))), fitted on the "
        "choice images; lists of names at patches are ordered by it", low=-3.4e38, later=True,
    ),
    Column("node_offset", "float32", "see node_slope", low=-3.4e38, later=True),
)  # fmt: skip
"""The columns of latents.parquet, in their order."""

LAYER_NUMBERS = {
    "acc1_x": "probe on x", "acc1_x_hat": "refitted on x̂", "acc1_x_on_x_hat": "unchanged on x̂",
    "acc1_z": "refitted on z", "ece_x": "calibration error", "probe_kept": "probe kept", "fvu": "FVU",
    "mse": "mse", "var": "variance", "l0": "L0", "dead": "dead", "n_multi_class": "latents of 2+ classes",
    "n_significant": "beat chance", "median_height": "median height", "median_coverage": "median coverage",
    "median_log2_coverage": "octaves of coverage over chance",
}  # fmt: skip
"""Headings of a layer's numbers, in cards and in the app."""


def specification() -> str:
    """The columns as a Markdown table, for the format's specification."""
    rows = [f"| `{column.name}` | {column.range} | {column.meaning} |" for column in COLUMNS]
    return "\n".join(["| column | type | meaning |", "|---|---|---|", *rows])
