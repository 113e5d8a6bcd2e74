"""The running app, asked by programs: its public functions, and how it starts."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from hsae.__main__ import main
from hsae.backbones.registry import load_backbone
from hsae.data.samples import load_samples
from hsae.session import Session
from hsae.steering.edits import Edit
from tests.forked import ROOT, start
from tests.loopback import LOOPBACK
from tests.running_app import app, forked_app
from tests.views.conftest import HOSTILE, LAYERS, SIDE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # gradio_client's sockets
]


@pytest.fixture(scope="module")
def client(server):
    client = Client(server.address, verbose=False, download_files=False, httpx_kwargs={"timeout": 300})
    yield client
    client.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def session(artifact, photo):
    session = Session(artifact, load_backbone(artifact.backbone["id"], image_size=SIDE))
    return session.set_image(photo)


def ask(client: Client, name: str, photo: Path, *more):
    first = ""  # model
    return client.predict(handle_file(photo), first, *more, api_name=name)


def test_classes_and_latents_are_the_sessions(client, photo, session):
    found = ask(client, "/classes", photo, "", 4)
    expected = session.classes(top=4)
    assert [row["wnid"] for row in found] == expected["wnid"].tolist()
    assert [row["probability"] for row in found] == pytest.approx(expected["probability"].tolist(), abs=1e-5)
    active = ask(client, "/latents", photo, LAYERS[1], 3)
    assert [row["latent"] for row in active] == session.active_latents(LAYERS[1], top=3)["latent"].tolist()
    assert active[0]["q_value"] is None


CUTOUTS = load_samples("starter:cutouts")


@pytest.mark.parametrize("row", [0, 100, 200])
def test_the_app_the_library_and_the_data_loader_see_the_same_photograph(client, session, row):
    path = CUTOUTS.encoded(row)
    found = [row["probability"] for row in ask(client, "/classes", path, "", 4)]
    other = session.like()
    with Image.open(path) as image:
        for source in (path, image, CUTOUTS.read(row).image):
            assert found == pytest.approx(other.set_image(source).classes(top=4)["probability"].tolist(), abs=1e-5)
        with_black = other.set_image(image.convert("RGB")).classes(top=4)["probability"].tolist()
    assert found != pytest.approx(with_black, abs=1e-5), "control: what lies under transparent parts would be seen"


def test_relevancy_and_steering_are_the_sessions(client, photo, session):
    latent = int(session.active_latents(LAYERS[1])["latent"][0])
    found = ask(client, "/relevancy", photo, LAYERS[1], latent, "gradient_rollout")
    assert np.array(found["values"]) == pytest.approx(
        session.relevancy(LAYERS[1], latent, "gradient_rollout").values, abs=1e-5
    )
    edit = Edit(LAYERS[1], ({"latent": latent, "mode": "add", "amount": 2.0},))
    moved = ask(client, "/steer", photo, edit.to_json())
    assert moved["probabilities_after"] == pytest.approx(session.steer(edit).probabilities_after.tolist(), abs=1e-5)
    assert moved["probabilities_after"] != moved["probabilities_before"]


def test_steering_says_which_branches_gain_and_runs_the_controls_when_asked(client, photo, session):
    edit = Edit(LAYERS[1], ({"latent": 1, "mode": "set", "amount": 3.0},))
    alone, controlled = (ask(client, "/steer", photo, edit.to_json(), *more) for more in ((), (True,)))
    result = session.steer(edit, control_seed=0)
    gained = sum(np.subtract(result.probabilities_after, result.probabilities_before)[1:3].tolist())
    assert alone["mass_changes"]["n02121808"] == pytest.approx(gained, abs=1e-5)  # tabby and Egyptian cat
    assert alone["probabilities_control"] is alone["probabilities_feature_control"] is None
    assert controlled["probabilities_control"] == pytest.approx(result.probabilities_control.tolist(), abs=1e-5)
    assert controlled["probabilities_after"] == alone["probabilities_after"]


def test_faithfulness_is_the_sessions(client, photo, session):
    latent = int(session.active_latents(LAYERS[1])["latent"][0])
    found = ask(client, "/faithfulness", photo, LAYERS[1], latent, "")
    curve = session.faithfulness(LAYERS[1], latent)
    for name in ("fractions", "morf", "random", "lerf"):
        assert found[name] == pytest.approx(getattr(curve, name).tolist(), abs=1e-5)
    assert found["random_gap"] == pytest.approx(curve.random_gap, abs=1e-5)
    assert found["baseline"] == "blur"


def test_a_feature_is_known_without_an_image(client):
    found = client.predict("", LAYERS[1], 2, api_name="/feature")
    assert (found["label"], found["lch"], found["n_classes"]) == ("carnivore", "n02075296", 2)
    assert found["q_value"] is None
    assert found["histogram"] == [5, 0, 2]
    assert found["classes"] == [{"wnid": "n02085620", "name": "Chihuahua", "percent": 60}]
    assert found["above"] == []
    assert found["below"] == [
        {"latent": 3, "label": "sports car", "share": 0.75}, {"latent": 1, "label": HOSTILE, "share": 0.5},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("/classes", ["block_99", 3], "block_99"), ("/classes", ["", 0], "1 to 1000"),
        ("/relevancy", ["", 10**6, "gradient_rollout"], "latent"), ("/relevancy", ["", 1, "x"], "one of"),
        ("/relevancy", ["", 1.5, "gradient_rollout"], "whole number"), ("/relevancy", ["x", 1, ""], "one of block_01"),
        ("/faithfulness", ["", -1, "gradient_rollout"], "latent -1"), ("/steer", ["{"], "JSON"),
    ],
)  # fmt: skip
def test_wrong_questions_get_a_sentence(client, photo, name, more, says):
    with pytest.raises(AppError, match=says):
        ask(client, name, photo, *more)


WHOLE = "whole number from"


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        *(("/classes", ["", top], WHOLE) for top in ("3", [3], {}, "NaN", 1e300, -1, 2.5, True, None, "")),
        *(("/relevancy", ["", latent, ""], WHOLE) for latent in ("1", [1], True, None, 10**30, -1)),
        *(("/classes", [layer, 3], "layer .* Expected text") for layer in (["block_01"], {"a": 1}, 1, True)),
        ("/relevancy", ["", 1, ["gradient_rollout"]], "method .* text"), ("/steer", [{}], "edit .* Expected text"),
        ("/steer", ["", "false"], "control 'false'. Expected true or false"),
        ("/steer", ["", 1], "Expected true or false"), ("/steer", ["[" * 9999], "JSON"),
    ],
)  # fmt: skip
def test_arguments_of_any_type_get_a_sentence(client, photo, name, more, says):
    with pytest.raises(AppError, match=says):
        ask(client, name, photo, *more)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("/classes", ["x" * 10**5, 3]), ("/classes", ["", "9" * 10**5]), ("/classes", ["", [9] * 10**5]),
        ("/relevancy", ["", 1, "x" * 10**5]), ("/steer", ["x" * 10**5]),
        ("/steer", [json.dumps({"layer": "x" * 10**5, "ops": []})]),
        ("/steer", [json.dumps({"layer": "block_02", "ops": [], "x" * 10**5: 1})]),
        ("/steer", [json.dumps({"layer": "block_02", "ops": [{"latent": 1, "mode": "x" * 10**5, "amount": 1}]})]),
    ],
)  # fmt: skip
def test_what_was_sent_is_never_said_back_at_length(client, photo, name, more):
    with pytest.raises(AppError) as raised:
        ask(client, name, photo, *more)
    assert 10 < len(str(raised.value)) < 1000


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 400])
def test_numbers_that_are_none_get_a_sentence(server, photo, number):
    """Python's json reads them; the client would not send them."""
    text = "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode()
    asking = LOOPBACK.post(
        f"{server.address}gradio_api/call/classes", content=f'{{"data": ["{text}", "", "", {number}]}}',
        headers={"content-type": "application/json"},
    )  # fmt: skip
    answer = LOOPBACK.get(f"{server.address}gradio_api/call/classes/{asking.json()['event_id']}").text
    assert WHOLE in answer
    assert len(answer) < 700


def test_a_whole_number_may_be_written_with_a_point(client, photo):
    assert ask(client, "/classes", photo, "", 2.0) == ask(client, "/classes", photo, "", 2)


def says(log: Path, command: Callable[[list[str]], int], *arguments: str) -> tuple[int | None, list[str]]:
    """Exit status and lines of a process of its own."""
    process = start(log, command, *arguments)
    process.join(300)
    return process.exitcode, log.read_text().strip().splitlines()


@pytest.mark.parametrize("source", ["no/such/folder/here", str(ROOT / "tests")])
def test_a_missing_artifact_is_one_sentence_and_status_1(source, tmp_path):
    status, said = says(tmp_path / "log.txt", app, "--artifact", source)
    assert status == 1
    assert said[0].startswith("ArtifactError: ")
    assert len(said) == 1


def test_a_taken_port_is_a_sentence_and_status_1(server, tmp_path):
    port = server.address.rstrip("/").rsplit(":", 1)[1]
    status, said = says(tmp_path / "log.txt", app, "--port", port, "--artifact", str(server.run))
    assert status == 1
    assert said[-1].startswith("InputError: the server cannot start: ")
    assert not any("Traceback" in line for line in said)


def without_mcp(arguments: list[str]) -> int:
    sys.modules["mcp"] = None
    return main(arguments)


def test_mcp_without_its_package_is_a_sentence_with_the_command_and_status_1(tmp_path):
    status, said = says(tmp_path / "log.txt", without_mcp, "app", "--mcp")
    assert status == 1
    assert said[0].startswith("InputError: ")
    assert 'pip install "gradio[mcp]"' in said[0]
    assert len(said) == 1


@pytest.fixture(scope="module")
def assistant(server, tmp_path_factory) -> str:
    """Address of an app with --mcp."""
    pytest.importorskip("mcp", reason='needs pip install "gradio[mcp]"')
    log = tmp_path_factory.mktemp("mcp") / "log.txt"
    with forked_app(log, "--artifact", str(server.run), "--mcp") as (address, _):
        yield address


def with_tools(address: str, use: Callable[[Any], Any]) -> Any:
    """What `use` makes of a session with the tools that an assistant gets."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def once() -> Any:
        lines = streamable_http_client(f"{address}gradio_api/mcp/")
        async with lines as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            return await use(session)

    return asyncio.run(once())


def test_mcp_makes_tools_of_the_public_functions_and_describes_every_argument(assistant):
    async def listed(session: Any) -> list[Any]:
        return (await session.list_tools()).tools

    tools = {tool.name: tool for tool in with_tools(assistant, listed)}
    assert set(tools) == {
        *("classes", "latents", "relevancy", "faithfulness", "feature", "steer"),
        *("patch_latents", "patch_relevancy", "activation_map", "examples"),
    }
    assert all(tool.description for tool in tools.values())
    arguments = [part for tool in tools.values() for part in tool.inputSchema["properties"].values()]
    assert all(part["description"] for part in arguments)
    image = tools["classes"].inputSchema["properties"]["image"]
    assert image["type"] == "string"
    assert "data:image/" in image["description"]
    assert "/gradio_api/file=" in image["description"]


def test_mcp_takes_an_image_the_way_its_schema_says(assistant, photo, client):
    expected = ask(client, "/classes", photo, "", 2)
    uploaded = LOOPBACK.post(f"{assistant}gradio_api/upload", files={"files": photo.read_bytes()}).json()[0]
    text = "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode()
    for image in (text, f"{assistant}gradio_api/file={uploaded}", f"/gradio_api/file={uploaded}"):

        async def asked(session: Any, image: str = image) -> Any:
            return await session.call_tool("classes", {"image": image, "top": 2})

        answer = with_tools(assistant, asked)
        assert not answer.isError
        assert ast.literal_eval(answer.content[0].text) == expected


@pytest.mark.parametrize("image", ["http://127.0.0.1/a.png", "https://example.org/a.png", "/etc/passwd", "x"])
def test_mcp_fetches_nothing_and_opens_nothing_else(assistant, image):
    async def asked(session: Any) -> Any:
        return await session.call_tool("classes", {"image": image, "top": 2})

    answer = with_tools(assistant, asked)
    assert answer.isError
    assert answer.content[0].text.startswith("The photo ")


def test_mcp_is_off_unless_it_is_asked_for(server):
    assert LOOPBACK.get(f"{server.address}gradio_api/mcp/schema").status_code == 404
