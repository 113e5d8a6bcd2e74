"""Segmentation by the kind of thing each patch shows, before and after an edit of latents on some of the patches.

A linear head reads every patch of the last layer. The packaged head has a few coarse kinds, WordNet nodes with
enough starter photographs to learn from, and background; any other linear head works the same (`read_head`).
SAEs of an artifact for the class token were never trained on patches: an edit of patches still uses their
directions, and its effect compared with a random direction is measured beside the head.
"""
