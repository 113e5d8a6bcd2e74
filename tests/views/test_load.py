"""Many visitors at once: each gets its own answers, nobody's flood holds up another's page, and memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import psutil
import pytest

from hsae.views.page.state import VIEWS
from tests.load_test import Tally, crowd, same
from tests.page_client import PageClient, starter_png
from tests.running_app import forked_app

pytestmark = pytest.mark.slow


def test_twenty_visitors_get_their_own_answers_and_memory_stays_flat(server, artifact, tmp_path):
    tally = crowd(server.address, server.pid, artifact, visitors=20, seconds=6)
    assert tally.problems == {}
    assert tally.full == {}  # each asks one question at a time
    assert len(tally.seconds) > 60
    assert abs(tally.growth) < 0.1


def test_calls_of_the_api_leave_nothing_in_memory(server):
    """Gradio alone keeps 0.2 MB of each, of up to 10 000."""
    client = PageClient(server.address)
    photo = starter_png("animals/dog")

    def ask(calls: int) -> float:
        for _ in range(calls):
            assert client.answer("classes", client.upload("photo.png", photo), "", "", 4)
        return psutil.Process(server.pid).memory_info().rss / 2**20

    before = ask(100)
    assert ask(200) - before < 15


@pytest.fixture(scope="module")
def packaged(focus, tmp_path_factory) -> Iterator[str]:
    """The app on the packaged artifact, whose faithfulness takes seconds; `focus` says that its weights are there."""
    with forked_app(tmp_path_factory.mktemp("app") / "log.txt") as (address, _):
        yield address


def flood(pool: ThreadPoolExecutor, address: str, visitor: int, calls: int) -> list[Future[str]]:
    """So many calls of one visitor, sent at once; returns when all that are refused were told so."""
    attacker = PageClient(address, visitor)
    photo = attacker.upload("photo.png", starter_png("animals/dog"))
    sent = [
        pool.submit(PageClient(address, visitor).call, "faithfulness", photo, "", "", latent, "")
        for latent in range(calls)
    ]
    while sum(call.done() for call in sent) < calls - 10:
        wait(sent, 0.2)
    return sent


def test_pages_load_while_a_hundred_calls_wait(packaged):
    """From the address that sent them, and from another."""
    with ThreadPoolExecutor(100) as pool:
        calls = flood(pool, packaged, 0, 100)
        loaded = [PageClient(packaged, neighbour).load({"view": view}) for neighbour in (0, 1) for view in VIEWS]
        waiting = [call for call in calls if not call.done()]
        refused = [call.result() for call in calls if call.done() and "event: error" in call.result()]
    assert all(page["success"] for page in loaded)
    assert len(waiting) >= 2  # or the pages were no faster than the flood
    assert len(refused) == 91  # one at work and eight in line are answered
    assert all("From your address 8 calls of the API are waiting already" in text for text in refused)
    assert all("event: complete" in call.result() for call in waiting)


def test_a_flood_of_page_loads_holds_up_nobody_elses(server):
    address = server.address
    with ThreadPoolExecutor(60) as pool:
        calls = [pool.submit(PageClient(address, 0).load) for _ in range(60)]
        wait(calls, return_when=FIRST_COMPLETED)
        assert PageClient(address, 1).load()["success"]
        assert not all(call.done() for call in calls)


def test_control_a_strangers_answer_and_growing_memory_are_noticed():
    mine = {"classes": ["a", "b"], "probabilities": [0.25, 0.75]}
    assert same(mine, {"classes": ["a", "b"], "probabilities": [0.250001, 0.75]})
    assert not same(mine, {"classes": ["a", "b"], "probabilities": [0.3, 0.7]})
    assert not same(mine, {"classes": ["a"], "probabilities": [0.25]})
    assert Tally(memory=[100] * 10 + [100] * 9 + [120]).growth == pytest.approx(0.1)
