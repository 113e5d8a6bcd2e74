"""The version of hsae, written into every artifact."""

__version__ = "0.2.0"
