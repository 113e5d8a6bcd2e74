"""A benchmark of SAEs: variants and baselines on the stored activations of a run, by the WordNet nodes they know."""
