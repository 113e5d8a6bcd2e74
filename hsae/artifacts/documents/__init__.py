"""The optional documents of an artifact and its tree, one module each: what is written and how it is read."""
