"""Toasts, all made here: Gradio draws their text as HTML, and what visitors wrote is in it."""

from __future__ import annotations

from html import escape

import gradio as gr

from hsae.errors import HsaeError

_MOST = 300  # characters


def warn(sentence: str) -> None:
    """Show a sentence beside what the page draws; call it inside an event."""
    gr.Warning(as_text(sentence))


def problem(sentence: str) -> gr.Error:
    """The error to raise that shows a sentence instead of an answer, in the page and to programs."""
    return gr.Error(as_text(sentence), print_exception=False)


def as_text(sentence: str) -> str:
    """The sentence as HTML without elements; quotes stay, since programs read them too."""
    return escape(sentence, quote=False)


def brief(error: HsaeError) -> str:
    """The error's sentences; of what was got at most `_MOST` characters."""
    got = error.got if len(error.got) <= _MOST else f"{error.got[:_MOST]}…"
    return str(HsaeError(got, error.expected, error.do))
