"""Which model is hierarchical? Backbones measured on the same images, and what their SAEs make of it."""
