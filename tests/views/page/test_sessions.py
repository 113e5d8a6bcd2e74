"""What is kept of sessions: the state of a page, but no configuration, and nothing of an answered call of the API."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.state_holder import SessionState, StateHolder

from hsae.views.page.app import Space
from hsae.views.page.sessions import Forgetful
from tests.views.conftest import in_a_loop


def page(kind: type[gr.Blocks]) -> gr.Blocks:
    def make() -> gr.Blocks:
        with kind(analytics_enabled=False) as blocks:
            blocks.kept = gr.State(["first"])
            blocks.shown = gr.HTML("shown")
            blocks.kept.change(lambda kept: kept[0], blocks.kept, blocks.shown)
        return blocks

    return in_a_loop(make)


def configured(session: SessionState) -> int:
    return sum("props" in config for config in session.config_values.values())


def test_a_session_has_its_own_state_and_no_configuration():
    blocks = page(Space)
    one, other = SessionState(blocks), SessionState(blocks)
    one[blocks.kept._id].append("second")
    assert one[blocks.kept._id] == ["first", "second"]
    assert other[blocks.kept._id] == ["first"]
    one._update_value_in_config(blocks.shown._id, "another")
    assert configured(one) == configured(other) == 0
    assert len(one.blocks_config.fns) == len(blocks.fns) > 0


def test_control_the_page_is_configured_and_gradios_own_sessions_are():
    assert [part["props"]["value"] for part in page(Space).get_config_file()["components"] if part["type"] == "html"]
    assert configured(SessionState(page(gr.Blocks))) >= 2


@pytest.mark.parametrize(
    ("path", "forgotten"),
    [
        ("/gradio_api/call/classes/0a1b", {"0a1b"}),
        ("/base/gradio_api/call/classes/0a1b/", {"0a1b"}),
        ("/gradio_api/call/classes", set()),
        ("/gradio_api/call/classes/page", set()),
        ("/gradio_api/queue/data/0a1b", set()),
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_the_session_of_a_call_ends_when_its_answer_was_fetched(path, forgotten, fails):
    kept, names = StateHolder(), {"0a1b", "page"}
    kept.set_blocks(page(Space))
    for name in names:
        assert kept[name] is not None

    async def app(scope, receive, send) -> None:
        assert set(kept.session_data) == names  # it is still there while it is answered
        if fails:
            raise ConnectionError

    async def ask() -> None:
        scope = {"type": "http", "path": path, "app": SimpleNamespace(state_holder=kept)}
        await Forgetful(app)(scope, None, None)

    if fails:
        with pytest.raises(ConnectionError):
            asyncio.run(ask())
    else:
        asyncio.run(ask())
    assert set(kept.session_data) == set(kept.time_last_used) == names - forgotten
