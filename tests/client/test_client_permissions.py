"""The scopes of a key are found out without changing anything."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripts import script

from klaviyo_client.api.operations import operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import ApiError, Blocked, MissingScopes, NotAllowed, NotEnabled, Refused
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.retries import RetryPolicy
from klaviyo_client.http.transport import Request, Response
from klaviyo_client.permissions import Requirement, ScopeProbe, check_requirements, log_permissions, probe_request

openapi = script("openapi")
OPERATIONS = json.loads(resources.files("klaviyo_client.api").joinpath("operations.json").read_text("utf-8"))[
    "operations"
]
SCOPES = sorted({scope for facts in OPERATIONS.values() for scope in facts["scopes"]})


class Key:
    """A key with these scopes; ``names``: whether a refusal names what is missing."""

    def __init__(self, granted: Collection[str], *, names: bool) -> None:
        self.granted = frozenset(granted)
        self.names = names
        self.asked: Counter[str] = Counter()

    def send(self, name: str) -> None:
        self.asked[name] += 1
        missing = [scope for scope in operation(name).scopes if scope not in self.granted]
        if missing:
            said = f"Your API key is missing required scopes: {', '.join(missing)}" if self.names else "No."
            raise refusal(name, said)

    def lacks(self, name: str) -> frozenset[str]:
        return frozenset(operation(name).scopes) - self.granted


def refusal(name: str, detail: str) -> NotAllowed:
    error = ApiError("permission_denied", "You do not have permission to perform this action.", detail)
    return NotAllowed(detail, status=403, operation=name, errors=(error,))


@given(granted=st.sets(st.sampled_from(SCOPES)), names=st.lists(st.sampled_from(sorted(OPERATIONS)), max_size=12))
def test_what_is_missing_is_found(granted: set[str], names: list[str]) -> None:
    """Exactly, where Klaviyo names it; and no operation is asked twice."""
    key = Key(granted, names=True)
    probe = ScopeProbe(key.send)
    probe.probe(names)
    assert {name: probe.missing_scopes(name)[0] for name in names} == {name: key.lacks(name) for name in names}
    assert max(key.asked.values(), default=1) == 1


@given(granted=st.sets(st.sampled_from(SCOPES)), names=st.lists(st.sampled_from(sorted(OPERATIONS)), max_size=12))
def test_a_refusal_that_names_nothing_is_told_apart_as_far_as_can_be(granted: set[str], names: list[str]) -> None:
    """Nothing that is missing is left out, nothing that was shown to be there is named, and no verdict is wrong."""
    key = Key(granted, names=False)
    probe = ScopeProbe(key.send)
    probe.probe(names)
    shown = {scope for name in key.asked if not key.lacks(name) for scope in operation(name).scopes}
    for name in names:
        lacks = probe.missing_scopes(name)[0]
        assert bool(lacks) == bool(key.lacks(name))
        assert key.lacks(name) <= lacks <= set(operation(name).scopes) - shown


def test_what_follows_from_other_answers_is_not_asked() -> None:
    """Three scopes that are known one by one answer for the operations that need several of them."""
    key = Key({"lists:read", "profiles:read"}, names=True)
    probe = ScopeProbe(key.send)
    probe.probe(["get_profiles_for_list", "get_profiles", "get_lists", "get_list", "get_segments", "get_segment"])
    assert set(key.asked) == {"get_profiles", "get_lists", "get_segments"}
    assert probe.missing_scopes("get_segment") == ({"segments:read"}, "")


def test_scopes_that_are_told_are_believed() -> None:
    """An OAuth token's own list, as soon as there is one, spares all further questions."""
    key = Key({"lists:read"}, names=True)
    probe = ScopeProbe(key.send, lambda: key.granted if key.asked else None)
    probe.probe(["get_lists", "get_profiles", "get_events"])
    assert key.asked.total() == 1
    assert probe.missing_scopes("get_lists") == (frozenset(), "")
    assert probe.missing_scopes("get_events") == ({"events:read"}, "")


def test_a_refusal_for_another_reason_is_told_in_klaviyos_words() -> None:
    """A feature that the account's plan lacks is no missing scope, once another operation shows the scope."""

    def send(name: str) -> None:
        if name == "get_webhooks":
            raise refusal(name, "You must have Advanced KDP enabled to use this endpoint.")

    assert operation("get_webhooks").scopes == operation("get_webhook_topics").scopes
    webhooks, topics = check_requirements(
        ScopeProbe(send), [Requirement("webhooks", ["get_webhooks"]), Requirement("topics", ["get_webhook_topics"])]
    )
    assert str(webhooks) == "webhooks: not usable, You must have Advanced KDP enabled to use this endpoint."
    assert webhooks.scopes == set()
    assert topics.is_whole


def test_what_the_plan_is_without_needs_no_other_answer() -> None:
    """Klaviyo's words for it are known; what has it as a part only is no less enabled."""

    def send(name: str) -> None:
        if name.startswith("get_webhook"):
            raise NotEnabled("no plan", status=403, operation=name)

    alone, part = check_requirements(
        ScopeProbe(send),
        [
            Requirement("webhooks", ["get_webhooks"]),
            Requirement("lists", ["get_lists"], {"column": ["get_webhook_topics"]}),
        ],
    )
    assert (alone.enabled, alone.scopes, alone.reason) == (False, frozenset(), "no plan")
    assert (part.enabled, part.scopes, part.missing) == (True, frozenset(), {"column": "no plan"})


class Proxy:
    """A wire at whose end is not Klaviyo."""

    def __init__(self, status: int) -> None:
        self.status = status

    def send(self, request: Request) -> Response:
        return Response(self.status, {}, b"<html>Nothing here</html>")


@pytest.mark.parametrize("status", [400, 404])
def test_an_answer_that_is_not_klaviyos_shows_no_scope(status: int) -> None:
    """Else a wrong address would seem to be an account that may be used for everything."""
    send = probe_request(KlaviyoClient("pk_x", transport=Proxy(status)))
    for name in ("get_lists", "create_list"):
        with pytest.raises(Refused) as caught:
            send(name)
        assert caught.value.status == status


def test_the_check_fails_for_what_is_required_only(caplog: pytest.LogCaptureFixture) -> None:
    """Every line is logged; the error names what cannot be used and all scopes that this takes."""
    key = Key({"lists:read"}, names=True)
    requirements = [
        Requirement("lists", ["get_lists"]),
        Requirement("members", ["get_lists", "get_profiles_for_list"], {"key": ["get_accounts"]}),
        Requirement("segments", ["get_segments"], {"key": ["get_accounts"]}),
        Requirement("named", ["get_lists"], {"key": ["get_accounts"], "id": ["get_accounts"], "tag": ["get_tags"]}),
    ]
    permissions = check_requirements(ScopeProbe(key.send), requirements)
    with caplog.at_level(logging.INFO), pytest.raises(MissingScopes) as caught:
        log_permissions(permissions, logging.getLogger("any"), required=["lists", "members", "named"])
    assert caplog.messages == [
        "lists: usable",
        "members: not usable, the key lacks profiles:read",
        "segments: not usable, the key lacks segments:read",
        "named: usable; not key, id, the key lacks accounts:read; not tag, the key lacks tags:read",
    ]
    assert str(caught.value) == (
        "the key lacks scopes: members, named; these scopes are needed: accounts:read, profiles:read, tags:read"
    )
    log_permissions(permissions, logging.getLogger("any"), required=["lists"])


def test_no_write_can_be_done_with_an_empty_body(specification: dict[str, Any]) -> None:
    """The vendor's document requires members of every body, ``data`` mostly: ``{}`` can do nothing."""
    schemas = specification["components"]["schemas"]
    held = 0
    for path, method, write in openapi.operations(specification):
        if method == "get" or not path.startswith("/api/"):
            continue
        body = write.get("requestBody")
        if body is None:
            assert "{" in path, path  # about an id that nobody has
            continue
        assert body["required"], path
        assert openapi.resolve(openapi.body_schema(body), schemas)["required"], path
        held += 1
    assert held > 50


def test_a_challenge_is_no_verdict_on_scopes() -> None:
    """A proxy that answers 403 in Klaviyo's place ends the check; no scope is said to be missing."""

    class Proxy:
        asked = 0

        def send(self, request: Request) -> Response:
            Proxy.asked += 1
            return Response(403, {}, b"<html>Just a moment...</html>")

    client = KlaviyoClient(
        api_key="pk_test",
        clock=Clock(lambda: 0.0, lambda _: None),
        retry_policy=RetryPolicy(attempts=2),
        transport=Proxy(),
    )
    with pytest.raises(Blocked):
        check_requirements(ScopeProbe(probe_request(client)), [Requirement("lists", ["get_lists"])])
    assert Proxy.asked == 2
