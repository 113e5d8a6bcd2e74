"""Rounding keeps the shape of a document and its meaning to so many digits."""

from hsae.measures.plain import significant


def test_only_floats_are_shortened():
    value = {"a": [1.23456, 0.000123456, 123456.0], "b": {"n": 123456, "s": "1.23456", "none": None, "yes": True}}
    assert significant(value, 3) == {"a": [1.23, 0.000123, 123000.0], "b": value["b"]}
    assert significant(value, 17) == value
