"""Relevancy maps: which patches of an image a latent's value at a layer comes from."""

from __future__ import annotations

from hsae.relevancy.explain import layer_maps, method_maps, relevancy_map, target_maps
from hsae.relevancy.maps import RelevancyMap
from hsae.relevancy.methods import METHODS, Method, default_method, usable_methods
from hsae.relevancy.trace import Trace, record

__all__ = [
    "METHODS",
    "Method",
    "RelevancyMap",
    "Trace",
    "default_method",
    "layer_maps",
    "method_maps",
    "record",
    "relevancy_map",
    "target_maps",
    "usable_methods",
]
