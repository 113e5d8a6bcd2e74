"""Faithfulness of relevancy maps: removal curves, and localisation of objects whose place is known."""
