"""How fast the analysis is: common hypernyms against nltk, and every statistic of one large layer with its memory.

    python training/benchmarks/analysis.py [--latents 12288] [--images 50000] [--classes 1000] [--active 50]
    python training/benchmarks/analysis.py --matched 3072 [--images 50000] [--active 50]  # two SAEs compared

Classes are leaves of WordNet's physical objects. nltk is compared where Debian's WordNet files are.
"""

from __future__ import annotations

import argparse
import functools
import resource
import sys
import time
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from scipy.sparse import csr_array

from hsae.bench.measure import probing_numbers
from hsae.comparison.layer_pair import LayerLatents, LayerMatch, match_layers, shuffles
from hsae.comparison.stitching import Stitching
from hsae.hierarchy import Taxonomy, distinct_nodes, lch_rows, wordnet
from hsae.hierarchy.build_table import nltk_nouns
from hsae.measures.activity import latent_activity
from hsae.measures.alignment import neuron_alignment
from hsae.measures.directions import matched_latents, random_directions
from hsae.measures.entropy import class_mass, entropy
from hsae.measures.monosemanticity import monosemanticity
from hsae.measures.top_images import top_images
from hsae.measures.wordnet import LabelledScores
from hsae.measures.wordnet.names import NameRule, name_latents
from hsae.measures.wordnet.node_probes import fit_node_probes
from hsae.measures.wordnet.scoreboard import choose_latents, score_nodes
from hsae.report.hierarchy import LabelledLatents, hierarchy_columns, layer_summary, rule_summaries
from hsae.report.tree import layer_structure

WORDNET = Path("/usr/share/wordnet")
D_IN, NLTK_SETS = 384, 50
OBJECT = "n00002684"  # object, physical object


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"latents": 12_288, "images": 50_000, "classes": 1000, "active": 50}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--matched", type=int, help="compare two SAEs of that many latents, and nothing else")
    options = parser.parse_args()
    if options.matched:
        time_matching(options.matched, options.images, options.active)
        return
    taxonomy = Taxonomy(leaves(options.classes))
    print(f"{torch.get_num_threads()} threads, {taxonomy}")
    compare_with_nltk(taxonomy)
    time_layer(taxonomy, options.latents, options.images, options.active)


def leaves(n: int) -> list[str]:
    """n classes with nothing below them, spread evenly over WordNet's physical objects."""
    nouns = [name for name in wordnet() if not wordnet().children(name) and OBJECT in wordnet().ancestors(name)]
    return nouns[:: max(1, len(nouns) // n)][:n]


def compare_with_nltk(taxonomy: Taxonomy, n: int = 1000) -> None:
    """Seconds for the LCH of n sets of 2 to 20 classes, and whether nltk's paths give the same."""
    random = np.random.default_rng(0)
    order = random.random((n, len(taxonomy.classes))).argsort(axis=1)
    selected = order < random.integers(2, 21, n)[:, None]
    ours = lch_rows(taxonomy, selected)  # the first call makes the taxonomy's table
    spent = min(seconds(lambda: lch_rows(taxonomy, selected))[1] for _ in range(5))
    print(f"LCH of {n} sets: {spent:.4f} s")
    if not (WORDNET / "data.noun").is_file():
        print(f"nltk finds no WordNet in {WORDNET}: apt-get install wordnet-base")
        return
    classes = np.array(taxonomy.classes)
    with nltk_nouns(WORDNET) as reader:
        theirs, nltks = seconds(lambda: [nltk_lch(reader, taxonomy, classes[row]) for row in selected[:NLTK_SETS]])
    equal = [taxonomy.nodes[p] for p in ours[:NLTK_SETS]] == theirs
    ratio = nltks / NLTK_SETS * n / spent
    print(
        f"nltk, root paths set by set: {nltks / NLTK_SETS * n:.1f} s (from {NLTK_SETS}), {ratio:.0f} x; equal: {equal}"
    )


def nltk_lch(reader: Any, taxonomy: Taxonomy, wnids: np.ndarray) -> str:
    """The node of our rule among the common hypernyms that nltk finds; its class counts and heights come free."""
    above = []
    for wnid in wnids:
        paths = reader.synset_from_pos_and_offset("n", int(wnid[1:])).hypernym_paths()
        above.append({f"n{synset.offset():08d}" for synset in chain(*paths)})
    return min(set.intersection(*above), key=taxonomy.position)


def time_layer(taxonomy: Taxonomy, n_latents: int, n_images: int, active: int) -> None:
    """Seconds of every statistic of one synthetic layer, and the peak memory of the process."""
    random = np.random.default_rng(0)
    labels = random.integers(0, len(taxonomy.classes), n_images)
    z = planted_latents(taxonomy, labels, n_latents, active)
    x, decoder = torch.randn(n_images, D_IN), torch.randn(n_latents, D_IN)
    data = LabelledLatents(z, labels, taxonomy)
    scores = LabelledScores(dense_scores(z, random), labels)
    members = torch.tensor(taxonomy.members[distinct_nodes(taxonomy)])
    print(f"{n_latents} latents x {n_images} images x {len(taxonomy.classes)} classes, {z.nnz / n_images:.0f} active")
    jobs: dict[str, Callable[[], Any]] = {
        "activity": lambda: latent_activity(z),
        "label entropy": lambda: entropy(class_mass(z, labels, len(taxonomy.classes))),
        "top images": lambda: top_images(z),
        "monosemanticity": lambda: monosemanticity(z, x),
        "neuron alignment": lambda: neuron_alignment(decoder, torch.randn(4 * D_IN, D_IN)),
        "hierarchy, p-values": lambda: hierarchy_columns(data),
        "rules and nulls": lambda: layer_summary(data),
        "random directions": lambda: rule_summaries(
            LabelledLatents(matched_latents(x, random_directions(x, 2048), np.array([0.002, 0.01])), labels, taxonomy)
        ),
        "tree, absorption, nodes": lambda: layer_structure(
            data, scores, x, decoder, fit_node_probes(x, torch.from_numpy(labels), members), 0.5
        ),
    }
    print_times(jobs | node_jobs(taxonomy, scores))


def node_jobs(taxonomy: Taxonomy, scores: LabelledScores) -> dict[str, Callable[[], Any]]:
    """Names and scoreboard: half of the images choose, of which a quarter confirms, and the others test."""
    half = len(scores.labels) // 2
    first, second, test = (
        LabelledScores(scores.scores[part], scores.labels[part])
        for part in (slice(0, 3 * half // 4), slice(3 * half // 4, half), slice(half, None))
    )
    chosen = functools.cache(lambda: choose_latents(taxonomy, first))
    return {
        "names": lambda: name_latents(taxonomy, first, second, test, NameRule()),
        "scoreboard": lambda: score_nodes(chosen(), test),
        "k-sparse probing": lambda: probing_numbers(chosen(), test),
    }


def dense_scores(z: csr_array, random: np.random.Generator) -> np.ndarray:
    """Scores of every image and latent that rank as the latents do, and the silent ones in some order."""
    scores = random.random(z.shape, dtype=np.float32)
    scores /= 100
    rows, columns = z.nonzero()
    scores[rows, columns] += z.data
    return scores


def print_times(jobs: Mapping[str, Callable[[], Any]]) -> None:
    """Run them, and print the time of each and the memory of the process so far."""
    total = np.zeros(2)
    for name, job in jobs.items():
        start = time.process_time()
        spent = seconds(job)[1], time.process_time() - start
        total += spent
        print(f"{name:26}{spent[0]:8.1f} s{spent[1]:8.1f} CPU s{peak():8.2f} GiB", flush=True)
    print(f"{'all':26}{total[0]:8.1f} s{total[1]:8.1f} CPU s")


def time_matching(n_latents: int, n_images: int, active: int) -> None:
    """Seconds to match one pair of layers with all chance levels, and to fit the linear map; peak memory after each."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 1000, n_images)
    a = random_latents(n_images, n_latents, active, seed=1)
    own = random_latents(n_images, n_latents, active // 4, seed=2)
    b = csr_array(a[:, random.permutation(n_latents)] + own)
    rates = a.nnz / n_images, b.nnz / n_images
    print(f"{n_latents} x {n_latents} latents on {n_images} images, {rates[0]:.0f} and {rates[1]:.0f} active")
    print(f"{'latents of both':26}{'':38}{peak():8.2f} GiB")

    def matched() -> LayerMatch:
        return match_layers(LayerLatents.of(a), LayerLatents.of(b), shuffles(n_images, labels))

    for name, job in {"matching": matched, "linear map": lambda: Stitching(a).r2(b)}.items():
        start = time.process_time()
        spent = seconds(job)[1], time.process_time() - start
        print(f"{name:26}{spent[0]:8.1f} s{spent[1]:8.1f} CPU s{peak():8.2f} GiB")


def random_latents(n_images: int, n_latents: int, active: int, seed: int) -> csr_array:
    """`active` latents on every image, all equally often."""
    random = np.random.default_rng(seed)
    columns = np.stack([np.sort(random.choice(n_latents, active, replace=False)) for _ in range(n_images)])
    values = random.random(columns.size, dtype=np.float32) + 0.1
    return csr_array((values, columns.ravel(), np.arange(n_images + 1) * active), shape=(n_images, n_latents))


def planted_latents(taxonomy: Taxonomy, labels: np.ndarray, n_latents: int, active: int) -> csr_array:
    """Latents of which half fire on the classes of a node and half anywhere, about `active` on an image."""
    random = np.random.default_rng(1)
    nodes = random.choice(distinct_nodes(taxonomy, at_least=2), n_latents)
    of_class = [np.flatnonzero(taxonomy.members[nodes, c]) for c in range(len(taxonomy.classes))]
    pools = [random.permutation(own)[: active // 2] for own in of_class]
    columns = [
        np.unique(np.concatenate([pools[label], random.integers(0, n_latents, active - len(pools[label]))]))
        for label in labels
    ]
    starts = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    values = random.random(starts[-1], dtype=np.float32) + 0.1
    return csr_array((values, np.concatenate(columns), starts), shape=(len(labels), n_latents))


def seconds(job: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return job(), time.perf_counter() - start


def peak() -> float:
    """Largest memory the process has had, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
