"""One tree of errors, drawn as it is, whose messages say got, expected and what to do."""

import inspect
import re

import pytest

from hsae import errors
from hsae.errors import HsaeError, ImageError, InputError


def test_the_drawing_is_the_tree():
    drawn, parents = {}, {}
    for line in errors.__doc__.splitlines():
        if found := re.match(r"^([│├└─\s]*)(\w+Error)\b", line):
            depth = len(found[1]) // 4
            parents[depth] = found[2]
            drawn[found[2]] = parents.get(depth - 1, "Exception")
    classes = {name: c for name, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == "hsae.errors"}
    assert drawn == {name: c.__bases__[0].__name__ for name, c in classes.items()}
    assert len(drawn) > 5


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("No store in x", "a folder", "Extract first"), "No store in x. Expected a folder. Extract first."),
        (("No store in x.",), "No store in x."),
        (("Really?", "", "Stop!"), "Really? Stop!"),
        (("got 3", "4"), "got 3. Expected 4."),
    ],
)
def test_the_message(parts, message):
    error = InputError(*parts)
    assert str(error) == message
    assert error.got == parts[0]


def test_one_except_clause_catches_everything():
    with pytest.raises(HsaeError):
        raise ImageError("a broken file")
