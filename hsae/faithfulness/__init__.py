"""How much of a relevancy map is true: removal curves, and objects whose place is known."""
