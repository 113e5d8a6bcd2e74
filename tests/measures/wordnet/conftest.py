"""The class lists of tests/hierarchy, for the measures that need WordNet."""

from tests.hierarchy.conftest import nested, small, taxonomies, vectors

__all__ = ["nested", "small", "taxonomies", "vectors"]
