"""Whatever is sent: bodies that follow the declared shapes, with odd values, and now and then break them."""

from __future__ import annotations

import json
import math
import random

import pytest
from support.calls import MEDIA_TYPE

from klaviyo_sandbox.spec.facts import load, resolve

FACTS = load()
ADDRESSES = ("a@example.com", "b@example.com", "B@example.com", "bad", "")
TEXTS = (
    *ADDRESSES,
    *("+12025550142", "12", "x" * 130, "1990-01-01", "USD", "one", "\u00e9\u0000", "\ud83d"),
    *("2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
)
OBJECTS = (
    *({}, {"a": 1}, {"a/b": [1, {"c": None}]}, {"sizes": ["x", {"y": 1}]}),
    *({"\ud83d": math.nan}, {"a": math.inf}, {"a": 2**70}, {"a": 10**400}, {"\0": "\ude00"}),
    *({"email": "c@example.com"}, {"email": ["d@example.com"]}, {"email": {"x": 1}}, {"email": 5}),
)
WRONG = (None, 5, "x", [], {}, True)
READS = (
    "profiles?additional-fields[profile]=subscriptions&page[size]=100",
    "events?include=profile,metric",
    "metrics",
    "profile-suppression-bulk-create-jobs",
    "profile-suppression-bulk-delete-jobs",
    "profile-bulk-import-jobs",
)


class Bodies:
    """Makes bodies; ``ids`` are some that the account knows."""

    def __init__(self, rng, ids):
        self.rng = rng
        self.ids = ids

    def make(self, schema, name=""):
        whole, nullable = resolve(schema, FACTS.schemas), schema.get("nullable")
        if (nullable or whole.get("nullable")) and self.rng.random() < 0.15:
            return None
        if self.rng.random() < 0.01:
            return self.rng.choice(WRONG)
        if "oneOf" in whole:
            return self.make(self.rng.choice(whole["oneOf"]))
        if "enum" in whole:
            return self.rng.choice(whole["enum"])
        return getattr(self, whole.get("type", "object"))(whole, name)

    def object(self, schema, _name):
        if "properties" not in schema:
            return self.rng.choice(OBJECTS)
        required = schema.get("required", ())
        members = schema["properties"].items()
        return {name: self.make(child, name) for name, child in members if name in required or self.rng.random() < 0.35}

    def array(self, schema, _name):
        return [self.make(schema.get("items", {})) for _ in range(self.rng.choice((0, 1, 1, 2, 3)))]

    def string(self, _schema, name):
        ids = (*self.ids, "one")
        known = {"id": ids, "email": ADDRESSES, "metric_id": ids, "conversion_metric_id": ids}
        return self.rng.choice(known.get(name, TEXTS))

    def boolean(self, _schema, _name):
        return self.rng.random() < 0.5

    def integer(self, _schema, _name):
        return self.rng.choice((500, 1, -3, 10**30))

    def number(self, _schema, _name):
        return self.rng.choice((1, 2.5, -3, 10**30, math.nan))


@pytest.mark.parametrize("seed", range(3))
def test_no_body_breaks_the_account(call, writing, seed):
    """Every answer is one that the specification allows, none is a 500, and the account can be read all the while."""
    rng = random.Random(seed)
    writes = [operation for operation in FACTS.operations.values() if operation.body]
    for number in range(600):
        store = writing.store
        ids = [
            row_id
            for table in (store.lists, store.segments, store.profiles, store.metrics)
            for row_id in list(table.rows)[:3]
        ]
        operation = rng.choice(writes)
        body = Bodies(rng, ids).make(operation.body)
        path = operation.path.removeprefix("/api/").format(id=rng.choice(ids))
        # Not as `json`, for that writes no NaN.
        data = json.dumps(body).encode()
        answer = call.session.request(
            operation.method, f"{call.url}/api/{path}", data=data, headers={"Content-Type": MEDIA_TYPE}
        )
        assert answer.status_code < 500, (operation.id, body)
        if number % 100 == 0:
            assert [call.get(read).status_code for read in READS] == [200] * len(READS)
