"""Nothing is here any more but the old spelling of two commands."""
