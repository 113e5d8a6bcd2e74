"""A Hub on loopback: the endpoints that huggingface_hub asks, by a real HTTP server, for the unmodified client.

    with HubEmulator() as hub:          # export HF_ENDPOINT=hub.endpoint, HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET=1
        hub.publish("org/name", files)  # or create_repo, upload_folder, create_tag ... by the client itself

`hub.requests` lists what was asked; `hub.fault` makes it fail, hang or break off.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs

from tests.hub_server import Answer, Fault, HubEmulator, Request, route
from tests.hub_store import Refused, Repo

__all__ = ["TOKEN", "Fault", "HubEmulator"]

TOKEN = "hf_dummy"
_REPO = r"(?P<kind>models|datasets|spaces)/(?P<id>[^/]+/[^/]+)"
_FILE = r"(?P<kind>datasets/|spaces/|)(?P<id>[^/]+/[^/]+)"
_REV = r"(?P<rev>[^/]+)"


def reply(value: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(value).encode(), status, {"Content-Type": "application/json"})


def is_known(request: Request) -> bool:
    return request.headers.get("Authorization") == f"Bearer {TOKEN}"


def find(hub: HubEmulator, request: Request, *, write: bool = False) -> Repo:
    """The repository of a request, if the caller may see it, or change it."""
    kind = request.match["kind"].strip("/") or "models"
    return hub.store.find(kind, request.match["id"], known=is_known(request), write=write)


@route("GET", "/api/whoami-v2")
def whoami(hub: HubEmulator, request: Request) -> Answer:
    hub.store.check_token(is_known(request))
    return reply({"type": "user", "name": "org", "orgs": []})


@route("POST", "/api/repos/create")
def create(hub: HubEmulator, request: Request) -> Answer:
    hub.store.check_token(is_known(request))
    asked = request.json
    key = (f"{asked.get('type') or 'model'}s", f"{asked.get('organization') or 'org'}/{asked['name']}")
    url = {"url": f"{hub.endpoint}/{key[1]}"}
    if key in hub.store.repos:
        return reply(url | {"error": "You already created this repo"}, 409)
    hub.store.repos[key] = Repo(private=asked.get("private", False) or asked.get("visibility") == "private")
    hub.store.repos[key].commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
    return reply(url)


@route("POST", "/api/validate-yaml")
def validate_yaml(hub: HubEmulator, request: Request) -> Answer:
    content = request.json["content"]
    errors = [{"message": text} for text in hub.store.card_errors(content)]
    warnings = [] if content.startswith("---\n") else [{"message": "empty or missing yaml metadata in repo card"}]
    return reply({"errors": errors, "warnings": warnings}, 400 if errors else 200)


@route("POST", f"/api/{_REPO}/preupload/{_REV}")
def preupload(hub: HubEmulator, request: Request) -> Answer:
    repo = find(hub, request, write=True)
    _, there = repo.at(request.match["rev"])
    return reply({"files": [repo.upload_plan(file, there) for file in request.json["files"]]})


@route("POST", rf"/{_FILE}\.git/info/lfs/objects/batch")
def lfs_batch(hub: HubEmulator, request: Request) -> Answer:
    find(hub, request, write=True)
    objects = [
        item if item["oid"] in hub.store.lfs
        else item | {"actions": {"upload": {"href": f"{hub.endpoint}/lfs/{item['oid']}", "header": {}}}}
        for item in request.json["objects"]
    ]  # fmt: skip
    return reply({"transfer": "basic", "objects": objects})


@route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
def lfs_store(hub: HubEmulator, request: Request) -> Answer:
    if hashlib.sha256(request.body).hexdigest() != request.match["oid"]:
        raise Refused(400, "", "the content is not what was announced")
    hub.store.lfs[request.match["oid"]] = request.body
    return Answer()


@route("POST", f"/api/{_REPO}/commit/{_REV}")
def commit(hub: HubEmulator, request: Request) -> Answer:
    lines = [json.loads(line) for line in request.body.splitlines()]
    sha = find(hub, request, write=True).apply(lines, request.match["rev"], hub.store.lfs)
    return reply({"commitOid": sha, "commitUrl": f"{hub.endpoint}/{request.match['id']}/commit/{sha}"})


@route("POST|DELETE", f"/api/{_REPO}/(?P<what>tag|branch)/{_REV}")
def change_ref(hub: HubEmulator, request: Request) -> Answer:
    repo, rev = find(hub, request, write=True), request.match["rev"]
    refs = repo.tags if request.match["what"] == "tag" else repo.branches
    name, start = (request.json["tag"], rev) if refs is repo.tags and request.body else (rev, "main")
    if request.method == "DELETE":
        del refs[name]
    elif name in refs:
        raise Refused(409, "", "Reference already exists")
    else:
        refs[name], _ = repo.at(start)
    return reply({})


@route("GET", f"/api/{_REPO}/refs")
def refs(hub: HubEmulator, request: Request) -> Answer:
    repo = find(hub, request)
    kinds = {"branches": ("heads", repo.branches), "tags": ("tags", repo.tags)}
    return reply(
        {"converts": []}
        | {
            kind: [{"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": sha} for name, sha in there.items()]
            for kind, (folder, there) in kinds.items()
        }
    )


@route("GET", f"/api/{_REPO}(/revision/{_REV})?")
def info(hub: HubEmulator, request: Request) -> Answer:
    repo = find(hub, request)
    sha, files = repo.at(request.match["rev"] or "main")
    siblings = [{"rfilename": path} for path in files]
    about = {"id": request.match["id"], "sha": sha, "private": repo.private, "siblings": siblings, "tags": []}
    return reply(about | {"downloads": 0, "likes": 0, "gated": "manual" if repo.gated else False})


@route("GET", f"/api/{_REPO}/tree/{_REV}(/(?P<under>.*))?")
def tree(hub: HubEmulator, request: Request) -> Answer:
    recursive = request.query.get("recursive", ["False"])[0].lower() in ("true", "1")
    return reply(find(hub, request).folder(request.match["rev"], request.match["under"], recursive))


@route("POST", f"/api/{_REPO}/paths-info/{_REV}")
def paths_info(hub: HubEmulator, request: Request) -> Answer:
    asked = parse_qs(request.body.decode())["paths"]
    return reply([entry for entry in find(hub, request).tree(request.match["rev"]) if entry["path"] in asked])


@route("GET|HEAD", rf"/{_FILE}/resolve/{_REV}/(?P<path>.+)")
def resolve(hub: HubEmulator, request: Request) -> Answer:
    repo = find(hub, request)
    if repo.gated and not is_known(request):
        raise Refused(401, "GatedRepo", "Access to this model is restricted")
    sha, files = repo.at(request.match["rev"])
    content = files.get(request.match["path"])
    if content is None:
        raise Refused(404, "EntryNotFound", "Entry not found", sha)
    headers = {"X-Repo-Commit": sha, "ETag": f'"{repo.oid(content)}"'}
    if not repo.is_large(request.match["path"]):
        return Answer(content, 200, headers)
    oid = hub.store.keep(content)
    elsewhere = hub.endpoint.replace("127.0.0.1", "localhost")  # another origin, or the client loses X-Repo-Commit
    large = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content)), "Location": f"{elsewhere}/cdn/{oid}"}
    return Answer(b"", 302, headers | large)


@route("GET|HEAD", "/cdn/(?P<oid>[0-9a-f]{64})")
def cdn(hub: HubEmulator, request: Request) -> Answer:
    content = hub.store.lfs[request.match["oid"]]
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if not asked:
        return Answer(content, 200, {"ETag": f'"{request.match["oid"]}"'})
    first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
    span = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
    return Answer(content[first : last + 1], 206, span | {"ETag": f'"{request.match["oid"]}"'})
