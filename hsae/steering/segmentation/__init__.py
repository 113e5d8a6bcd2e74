"""Which kind of thing each patch shows, and how that changes when latents are edited on some of the patches.

A linear head reads every patch of the last layer. The packaged head knows a few coarse kinds, WordNet nodes wide enough
for the starter photographs to teach, and background; any other linear head works the same (`read_head`).
SAEs of an artifact for the class token were never trained on patches: an edit of patches uses their directions all the
same, and what that does beyond a random direction is measured beside the head.
"""
