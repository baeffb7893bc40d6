"""`make revision`: what two documents say differently, which documents are taken, and which dates move."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.scripts import script

ROOT = Path(__file__).parents[1]
changes, openapi, update = script("spec_changes"), script("openapi"), script("update_revision")

COLOR = {"type": "string", "enum": ["red", "blue"]}
TAG = {"type": "object", "properties": {"name": {"type": "string"}, "color": COLOR}}
TAGS = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tags"}}}}
NEW_TAG = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewTag"}}}}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.2",
    "info": {"title": "Klaviyo API", "version": "2026-07-15"},
    "paths": {
        "/api/tags": {
            "get": {
                "operationId": "get_tags",
                "x-klaviyo-ratelimit": {"burst": "3/s", "steady": "60/m"},
                "x-klaviyo-scopes": ["tags:read"],
                "x-klaviyo-filters": {"name": {"operators": {"single": ["equals", "contains"]}}},
                "parameters": [
                    {"name": "sort", "in": "query", "schema": {"type": "string", "enum": ["id", "-id"]}},
                    {
                        "name": "page[size]",
                        "in": "query",
                        "schema": {"type": "integer", "minimum": 1, "default": 20, "maximum": 100},
                    },
                ],
                "responses": {"200": TAGS},
            },
            "post": {
                "operationId": "create_tag",
                "x-klaviyo-ratelimit": {"burst": "1/s", "steady": "15/m"},
                "requestBody": NEW_TAG,
                "responses": {"201": {"content": {}}},
            },
        },
    },
    "components": {
        "responses": {},
        "schemas": {
            "TagEnum": {"type": "string", "enum": ["tag"]},
            "TagAttributes": TAG,
            "Tag": {
                "type": "object",
                "properties": {
                    "type": {"$ref": "#/components/schemas/TagEnum"},
                    "attributes": {"$ref": "#/components/schemas/TagAttributes"},
                },
            },
            "Tags": {
                "type": "object",
                "properties": {"data": {"type": "array", "items": {"$ref": "#/components/schemas/Tag"}}},
            },
            "NewTag": {
                "type": "object",
                "required": ["data"],
                "properties": {"data": {"$ref": "#/components/schemas/Tag"}},
            },
        },
    },
}


@pytest.fixture
def newer() -> dict[str, Any]:
    """The document of the next quarter, so far the same; the test may edit it."""
    document = copy.deepcopy(DOCUMENT)
    document["info"]["version"] = "2026-10-15"
    return document


def told(newer: dict[str, Any], name: str) -> dict[str, bool]:
    """What is said of an operation, and whether it may break."""
    found = changes.compare(DOCUMENT, newer, ["get_tags", "create_tag"]).changed.get(name, [])
    return {change.text: change.breaks for change in found}


def test_documents_that_say_the_same_differ_in_nothing(newer: dict[str, Any]) -> None:
    """Whatever their dates; and what only others use is not told."""
    found = changes.compare(DOCUMENT, newer, ["get_tags", "create_tag"])
    assert (found.gone, found.renamed, found.changed, found.added) == ([], {}, {}, {})
    newer["paths"]["/api/tags"]["get"]["x-klaviyo-ratelimit"]["burst"] = "1/s"
    assert changes.compare(DOCUMENT, newer, ["create_tag"]).changed == {}


def test_what_is_gone_renamed_and_new_is_told(newer: dict[str, Any]) -> None:
    """The same request under another id is a name; a request that nothing answers is gone."""
    get = newer["paths"]["/api/tags"].pop("get")
    newer["paths"]["/api/tags"]["post"]["operationId"] = "make_tag"
    newer["paths"]["/api/labels"] = {"get": {**get, "operationId": "get_labels"}}
    found = changes.compare(DOCUMENT, newer, ["get_tags", "create_tag"])
    assert (found.gone, found.renamed, found.added) == (
        ["get_tags"],
        {"create_tag": "make_tag"},
        {"get_labels": "get"},
    )
    assert found.broken(["get_tags", "create_tag"]) == ["create_tag", "get_tags"]
    text = "\n".join(changes.report(found, {"get_tags": ["tap"]}, "2026-07-15", "2026-10-15"))
    assert "gone: get_tags (tap)\n" in text
    assert "renamed: create_tag (not used) is make_tag\n" in text
    assert "new operations that read (1): get_labels" in text


def test_limits_and_scopes_that_moved_are_told(newer: dict[str, Any]) -> None:
    """Up or down; a scope more is one that keys lack."""
    get = newer["paths"]["/api/tags"]["get"]
    get["x-klaviyo-ratelimit"] = {"burst": "1/s", "steady": "60/m", "daily": "100/d"}
    get["x-klaviyo-scopes"] = ["tags:read", "accounts:read"]
    get["parameters"][1]["schema"]["maximum"] = 50
    assert told(newer, "get_tags") == {
        "limit: 3 a second is 1": False,
        "limit: none a day is 100": False,
        "scopes, new: accounts:read": True,
        "largest page: 100 is 50": True,
    }


def test_what_a_request_may_ask_no_more_breaks_it(newer: dict[str, Any]) -> None:
    """A filter, an operator, a sort, a parameter; what it must ask now does, too; what it may ask besides does not."""
    get = newer["paths"]["/api/tags"]["get"]
    get["x-klaviyo-filters"] = {
        "name": {"operators": {"single": ["equals"]}},
        "color": {"operators": {"list": ["any"]}},
    }
    get["parameters"][0]["schema"]["enum"] = ["id", "name"]
    get["parameters"].append({"name": "account", "in": "query", "required": True, "schema": {"type": "string"}})
    get["parameters"].append({"name": "include", "in": "query", "schema": {"type": "string", "enum": ["lists"]}})
    assert told(newer, "get_tags") == {
        "filters, new: color": False,
        "operators of filter name, gone: single contains": True,
        "sort, gone: -id": True,
        "sort, new: name": False,
        "include, new: lists": False,
        "parameters that are required now: account": True,
        "parameters, new: include": False,
    }


def test_what_an_answer_or_a_body_has_more_or_no_more_is_told(newer: dict[str, Any]) -> None:
    """By the resource's own names; of what is new, the topmost; what must be there now breaks who writes."""
    attributes = newer["components"]["schemas"]["TagAttributes"]
    del attributes["properties"]["name"]
    attributes["properties"]["style"] = {"type": "object", "properties": {"bold": {"type": "boolean"}}}
    attributes["properties"]["color"] = {"type": "string", "enum": ["red", "green"]}
    attributes["required"] = ["color"]
    assert told(newer, "get_tags") == {
        "attributes of tag, gone: name": True,
        "attributes of tag, new: style": False,
        "values of tag.color, gone: blue": True,
        "values of tag.color, new: green": False,
    }
    assert told(newer, "create_tag") == {
        "required of the body now: color": True,
        "attributes of the body, gone: name": True,
        "attributes of the body, new: style": False,
        "values of the body.color, gone: blue": True,
        "values of the body.color, new: green": False,
    }


def test_a_schema_that_holds_itself_is_read_to_an_end(newer: dict[str, Any]) -> None:
    """A type that changes below it is told once."""
    attributes = newer["components"]["schemas"]["TagAttributes"]
    attributes["properties"]["parent"] = {"$ref": "#/components/schemas/TagAttributes"}
    attributes["properties"]["name"] = {"type": "integer"}
    assert told(newer, "get_tags") == {
        "attributes of tag, new: parent": False,
        "type of tag.name: string is integer": True,
    }


WRONG = {
    "a proxy's page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "no JSON"),
    "YAML": (b"openapi: 3.0.2\ninfo:\n  title: Klaviyo API\n", "no JSON"),
    "nothing": (b"", "no JSON"),
    "no text": (b"\xff\xfe\x00{", "no JSON"),
    "half of it": (json.dumps(DOCUMENT).encode()[:-9], "no JSON"),
    "a list": (b"[]", "no OpenAPI document"),
    "paths of another kind": (b'{"info": {}, "paths": []}', "no OpenAPI document"),
    "another API's": (json.dumps({**DOCUMENT, "info": {"title": "Petstore", "version": "1.0"}}).encode(), "Petstore"),
    "the beta's": (
        json.dumps({**DOCUMENT, "info": {"title": "Klaviyo API (Beta)", "version": "2026-10-15.pre"}}).encode(),
        "a stable one is wanted",
    ),
    "an older one": (
        json.dumps({**DOCUMENT, "info": {"title": "Klaviyo API", "version": "2026-04-15"}}).encode(),
        "older than 2026-07-15",
    ),
    "no operations": (json.dumps({**DOCUMENT, "paths": {}}).encode(), "not Klaviyo's own"),
    "no limits": (
        json.dumps({**DOCUMENT, "paths": {"/api/tags": {"get": {"operationId": "get_tags"}}}}).encode(),
        "not Klaviyo's own",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_document_is_said_to_be_one(name: str) -> None:
    """In one sentence, before anything is written."""
    content, reason = WRONG[name]
    with pytest.raises(SystemExit, match=reason):
        update.checked(content, "2026-07-15")


def test_klaviyos_document_is_taken() -> None:
    """Of a newer revision, or another edition of the same one."""
    assert update.checked(json.dumps(DOCUMENT).encode(), "2026-07-15")["info"]["version"] == "2026-07-15"
    assert update.checked(b"\xef\xbb\xbf" + json.dumps(DOCUMENT).encode(), "2026-04-15")


def test_dates_move_where_the_revision_is_asked_for() -> None:
    """In headers, commands and constants, in every spelling; not in prose, nor in other dates."""
    before = """
        headers = {"Authorization": "x", "revision": "2031-07-15"}
        $ curl -H 'revision: 2031-07-15' http://127.0.0.1
        REVISION = "2031-07-15"
        Revision 2031-07-15 had sales, and so had the revision of 2031-07-15.
        revision: 2031-07-15.pre, "revision": "2031-07-15T00:00:00Z"
    """
    (after,) = update.moved({Path("a"): before, Path("b"): "2031-07-15"}, "2031-07-15", "2031-10-15").values()
    assert after.count("2031-10-15") == 3
    assert after.count("2031-07-15") == 4


KEPT = re.sub(r"klaviyo-|\.json\.xz", "", openapi.kept_path().name)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[Path, str]:
    """What a move from the small document would write, in place of writing it; what would be kept, by its folder."""
    texts: dict[Path, str] = {}

    def write(changed: dict[Path, str], *, check: bool) -> int:
        texts.update(changed)
        return int(check)

    operations = script("update_operations")
    (tmp_path / "served.txt").write_text("get_tags\ncreate_tag\n")
    kept = {**DOCUMENT, "info": {**DOCUMENT["info"], "version": KEPT}}
    for holder, name, value in (
        (update, "write_or_check", write),
        (update, "GENERATORS", ()),
        (update, "operation_users", lambda: {"get_tags": ["tap", "sandbox"], "create_tag": ["sandbox"]}),
        (openapi, "load", lambda: kept),
        (openapi, "keep", lambda content, revision: texts.update({openapi.FOLDER: revision})),
        (operations, "SERVED", tmp_path / "served.txt"),
        (script("revisions"), "OTHERS", {}),
    ):
        monkeypatch.setattr(holder, name, value)
    return texts


def run(monkeypatch: pytest.MonkeyPatch, spec: Path, document: dict[str, Any] | None = None, *options: str) -> int:
    """The script, for this document; its exit code."""
    if document is not None:
        spec.write_text(json.dumps(document))
    monkeypatch.setattr(sys, "argv", ["update_revision.py", str(spec), *options])
    code: int = update.main()
    return code


def operations_of(written: dict[Path, str]) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(written[ROOT / "klaviyo_client" / "api" / "operations.json"])
    return facts


def test_a_move_brings_everything_up_to_date(
    written: dict[Path, str],
    newer: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The facts, the kept document with its page, and each date by which a request asks for the revision."""
    newer["info"]["version"] = "2099-01-15"
    newer["paths"]["/api/tags"]["get"]["x-klaviyo-ratelimit"]["burst"] = "7/s"
    spec = tmp_path / "stable.json"
    assert run(monkeypatch, spec, newer) == 0
    said = capsys.readouterr().out
    assert f"2099-01-15 against {KEPT}" in said
    assert "get_tags (tap, sandbox)\n    limit: 3 a second is 7\n" in said
    assert "may break: none" in said
    facts = operations_of(written)
    assert (facts["revision"], facts["operations"]["get_tags"]["burst"]) == ("2099-01-15", 7)
    assert written[openapi.FOLDER] == "2099-01-15"
    page = written[openapi.FOLDER / "README.md"]
    assert "klaviyo-2099-01-15.json.xz" in page
    blob = subprocess.run(["git", "hash-object", spec], capture_output=True, text=True, check=True).stdout.strip()
    assert blob in page
    assert {
        ROOT / "examples/demo/demo.py",
        ROOT / "docs/start/sandbox.md",
        ROOT / "benchmarks/subjects.py",
    } <= written.keys()
    asked = re.compile(rf"[\"']revision[\"']\s*[:,]\s*[\"']{KEPT}[\"']|-H [\"']revision: {KEPT}")
    texts = {**update.typed_texts(), **written}
    assert [path for path, text in texts.items() if asked.search(text)] == []


def test_what_is_gone_stops_the_move_until_it_is_kept(
    written: dict[Path, str],
    newer: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the entry that keeps it; then its facts stay those of the revision before, under the name that code has."""
    newer["info"]["version"] = "2099-01-15"
    newer["paths"]["/api/tags"]["get"]["operationId"] = "list_tags"
    spec = tmp_path / "stable.json"
    assert run(monkeypatch, spec, newer) == 1
    assert f'"{KEPT}": (\n        "get_tags",' in capsys.readouterr().err
    assert written == {}
    monkeypatch.setattr(script("revisions"), "OTHERS", {KEPT: ("get_tags",)})
    assert run(monkeypatch, spec) == 0
    assert f"kept on {KEPT}: get_tags" in capsys.readouterr().out
    facts = operations_of(written)["operations"]
    assert facts["get_tags"]["revision"] == KEPT
    assert "revision" not in facts["list_tags"]


def test_what_may_break_is_kept_or_followed(
    written: dict[Path, str],
    newer: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Kept under its plain name, so that no code changes; the newer one has its revision behind it."""
    newer["info"]["version"] = "2099-01-15"
    newer["paths"]["/api/tags"]["get"]["parameters"].pop()
    spec = tmp_path / "stable.json"
    assert run(monkeypatch, spec, newer) == 1
    advice = capsys.readouterr().err
    assert f'"{KEPT}": (\n        "get_tags",\n    ),' in advice
    assert advice.endswith("FOLLOW='get_tags'\n")
    assert written == {}
    assert run(monkeypatch, spec, None, "--follow", "get_tags") == 0
    assert "page_size" not in operations_of(written)["operations"]["get_tags"]
    monkeypatch.setattr(script("revisions"), "OTHERS", {KEPT: ("get_tags",)})
    assert run(monkeypatch, spec) == 0
    facts = operations_of(written)["operations"]
    assert (facts["get_tags"]["page_size"]["maximum"], facts["get_tags"]["revision"]) == (100, KEPT)
    assert "page_size" not in facts["get_tags@2099-01-15"]


def test_another_edition_of_the_same_revision_is_taken_as_it_is(
    written: dict[Path, str], newer: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is nothing to keep: the edition before is asked for by the same date."""
    newer["info"]["version"] = KEPT
    newer["paths"]["/api/tags"]["get"]["parameters"].pop()
    assert run(monkeypatch, tmp_path / "stable.json", newer) == 0
    assert "page_size" not in operations_of(written)["operations"]["get_tags"]


def test_a_revision_that_was_asked_for_by_name_may_become_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that names it goes on to; the older one keeps the plain name only where it is kept."""
    revisions = script("revisions")
    by_name = {"2026-10-15": ("get_tags@2026-10-15", "get_brands")}
    monkeypatch.setattr(revisions, "OTHERS", by_name)
    before = revisions.names("2026-07-15", ["get_tags", "get_lists"])
    assert before["2026-07-15"] == {"get_tags": "get_tags", "get_lists": "get_lists"}
    assert before["2026-10-15"] == {"get_tags@2026-10-15": "get_tags", "get_brands": "get_brands"}
    after = revisions.names("2026-10-15", ["get_tags", "get_lists", "get_brands"])["2026-10-15"]
    assert after == {
        name: name.partition("@")[0] for name in ("get_tags", "get_lists", "get_brands", *before["2026-10-15"])
    }
    monkeypatch.setattr(revisions, "OTHERS", {**by_name, "2026-07-15": ("get_tags",)})
    kept = revisions.names("2026-10-15", ["get_tags", "get_lists", "get_brands"])
    assert kept["2026-07-15"] == {"get_tags": "get_tags"}
    assert "get_tags" not in kept["2026-10-15"]
    assert kept["2026-10-15"]["get_tags@2026-10-15"] == "get_tags"


def test_a_document_that_cannot_be_read_changes_nothing(
    written: dict[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is none, it is a folder, it is a proxy's page."""
    (tmp_path / "page.json").write_text("<html></html>")
    for path in (tmp_path / "missing.json", tmp_path, tmp_path / "page.json"):
        with pytest.raises(SystemExit, match=r"cannot be read|no JSON"):
            run(monkeypatch, path)
    assert written == {}


def test_every_use_is_known() -> None:
    """Operations of the tap, of the target and of both; what the sandbox serves besides is its own."""
    users = update.operation_users()
    assert users["get_profiles"] == ["tap", "target", "sandbox"]
    assert users["bulk_import_profiles"] == ["target", "sandbox"]
    assert "delete_template" not in users
