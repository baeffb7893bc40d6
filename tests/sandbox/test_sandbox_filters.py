from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.calls import Caller, problem
from support.declared import minimal_query

from klaviyo_client.api import filters
from klaviyo_sandbox.spec.errors import Refusal
from klaviyo_sandbox.spec.facts import load
from klaviyo_sandbox.spec.filters import Clause, parse

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
EVENTS = load().operations["get_events"].filters
PROFILES = load().operations["get_profiles"].filters


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ('equals(email,"a@example.com")', [Clause("equals", "email", "a@example.com")]),
        ("equals(email,'o\"neil@example.com')", [Clause("equals", "email", 'o"neil@example.com')]),
        (r'equals(email,"a\"b,c)")', [Clause("equals", "email", 'a"b,c)')]),
        ('any(id,["A", "B"])', [Clause("any", "id", ("A", "B"))]),
        (
            'greater-than(updated,2025-01-01T02:00:00+02:00), equals(id,"A")',
            [Clause("greater-than", "updated", "2025-01-01T00:00:00+00:00"), Clause("equals", "id", "A")],
        ),
        (
            'and(equals(id,"A"),and(equals(email,"b"),equals(external_id,"")))',
            [Clause("equals", "id", "A"), Clause("equals", "email", "b"), Clause("equals", "external_id", "")],
        ),
    ],
)
def test_what_a_filter_means(text, clauses):
    """Quotes of both kinds, escapes, lists, commas and `and` are read as Klaviyo writes them."""
    assert list(parse(text, PROFILES, NOW)) == clauses


@pytest.mark.parametrize(
    "text",
    [
        *("", "equals", "equals(", "equals(email", 'equals(email,"a"', 'equals(email,"a")x', 'equals(email,"a'),
        *(
            'equals(email,"a"),',
            "and()",
            'or(equals(email,"a"))',
            'not(equals(email,"a"))',
            "any(id,[])",
            "and(" * 5000,
        ),
        *('any(id,["A"', "equals(email,a)", 'equals(shoe_size,"9")', 'contains(email,"a")', "equals(email)"),
        *('any(id,"A")', "greater-or-equal(updated,2025-01-01T00:00:00Z)", "greater-than(updated,2025-01-01)"),
        *('greater-than(updated,"2025-01-01T00:00:00Z")', "greater-than(updated,2025-01-01T00:00:00)"),
        *("greater-than(updated,2025-02-30T00:00:00Z)", "greater-than(updated,0001-01-01T00:00:00+23:59)"),
        "greater-than(updated,2025-01-01T00:00:00Z),less-than(updated,2025-01-01T00:00:00Z)",
        "greater-than(updated,2025-01-02T00:00:00Z),less-than(updated,2025-01-01T00:00:00Z)",
    ],
)
def test_filters_that_are_refused(text):
    """What cannot be read, is not allowed for the field, or is empty is a 400 about the filter."""
    with pytest.raises(Refusal) as refused:
        parse(text, PROFILES, NOW)
    assert refused.value.status == 400
    assert refused.value.problems[0].source == {"parameter": "filter"}


@pytest.mark.parametrize("value", ["nan", "1e400", "9" * 400, "9" * 15, '"5"'])
def test_a_timestamp_must_be_a_point_in_time(value):
    """A number that is no second of any year is refused, whichever way it is too large."""
    with pytest.raises(Refusal):
        parse(f"greater-than(timestamp,{value})", EVENTS, NOW)


@pytest.mark.parametrize("value", ["four", "4.5", "9" * 400, '"4"'])
def test_a_rating_must_be_a_whole_number(value):
    """What is none is refused, also one of four hundred digits, which Python would not read."""
    with pytest.raises(Refusal):
        parse(f"equals(rating,{value})", load().operations["get_reviews"].filters, NOW)


STRANGE_NAMES = (
    *("two\nlines", "two\r\nlines", 'say "hi"', "back\\slash", "C:\\new\\table", "ends with \\", "it's", "tab\there"),
    *("a],b)", '"', "\\n", "Größe ☃ 😀", " edges ", "nul\0"),
)


def quotings(text):
    """A text as different clients quote it: JSON in ASCII or not, and only quotes and backslashes escaped."""
    yield json.dumps(text)
    yield json.dumps(text, ensure_ascii=False)
    for quote in "\"'":
        yield quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_list_is_found_by_whatever_it_is_called(read, reading, name):
    """Line breaks, quotes and backslashes, written as JSON has them or as they are."""
    row = next(iter(reading.store.lists.rows.values()))
    reading.store.lists.put({**row, "name": name})
    for quoted in quotings(name):
        for text in (f"any(name,[{quoted}])", f"equals(name,{quoted})"):
            found = read.rows("lists", filter=text)
            assert [(one["id"], one["attributes"]["name"]) for one in found] == [(row["id"], name)], text
    reading.store.lists.put(row)


@given(st.text())
def test_every_text_comes_out_of_its_quotes(text):
    """Also what our own client writes."""
    allowed = load().operations["get_lists"].filters
    for quoted in (*quotings(text), filters.literal(text)):
        assert parse(f"any(name,[{quoted}])", allowed, NOW) == (Clause("any", "name", (text,)),)


def undeclared_equals():
    """(operation, field) where the specification of July declares `equals` with a list only."""
    for name, operation in load().operations.items():
        if operation.revision is not None:
            continue
        for field, rule in operation.filters.items():
            if "equals" in rule["operators"].get("list", ()) and "equals" not in rule["operators"].get("single", ()):
                yield name, field


def test_one_value_equals_wherever_a_list_does():
    """Live Klaviyo takes a single value at 23 places where its specification declares `equals` with a list only."""
    pairs = list(undeclared_equals())
    assert len(pairs) == 23
    assert {("get_profiles_for_list", "email"), ("get_coupon_codes", "coupon.id"), ("get_lists", "name")} < set(pairs)
    for name, field in pairs:
        allowed = load().operations[name].filters
        assert parse(f'equals({field},"a")', allowed, NOW) == (Clause("equals", field, "a"),)
        assert parse(f'equals({field},["a"])', allowed, NOW) == (Clause("equals", field, ("a",)),)


def test_a_single_value_finds_what_a_list_of_it_finds(read, reading):
    """By the address of a member, the coupon of a code, and the names of lists, segments and templates."""
    list_id, members = max(reading.store.list_members.items(), key=lambda item: len(item[1]))
    member = next(row for row in members.rows if reading.store.profiles.rows[row]["email"])
    email = reading.store.profiles.rows[member]["email"]
    assert ids(read, f"lists/{list_id}/profiles", f"equals(email,'{email}')") == {member}
    for kind in ("list", "segment"):
        row = next(iter((reading.store.lists if kind == "list" else reading.store.segments).rows.values()))
        assert ids(read, f"{kind}s", f'equals(name,"{row["name"]}")') == {row["id"]}
    codes = ids(read, "coupon-codes", 'equals(coupon.id,"10OFF")')
    assert codes == ids(read, "coupon-codes", 'any(coupon.id,["10OFF"])') != set()


@pytest.mark.parametrize("text", ["any(id,[1,2])", "any(id,[1, 2])", 'any(id,["1",2])'])
def test_numbers_among_ids_need_no_quotes(text):
    """An id of digits may stand in a list as a number, as production clients write it."""
    assert parse(text, load().operations["get_flows"].filters, NOW) == (Clause("any", "id", ("1", "2")),)


@pytest.mark.parametrize("text", ["any(id,[1,x])", "any(id,[1.5])", "any(id,[-1])", "any(name,[true])"])
def test_what_is_neither_quoted_nor_a_number_is_no_text(text):
    """Words, signs and fractions still have to be quoted."""
    with pytest.raises(Refusal):
        parse(text, load().operations["get_lists"].filters, NOW)


def test_a_refusal_says_what_is_allowed():
    """The detail lists the operators that the field takes."""
    with pytest.raises(Refusal, match="greater-than, less-than"):
        parse("less-or-equal(created,2025-01-01T00:00:00Z)", PROFILES, NOW)


@pytest.mark.exhaustive
def test_every_operator_of_every_operation(read, reading):
    """Each field, operator and form that the specification allows is answered with 200."""
    parents = {
        "lists": next(iter(reading.store.lists.rows)),
        "segments": next(iter(reading.store.segments.rows)),
        "flows": next(iter(reading.store.flows.rows)),
        "flow-actions": next(iter(reading.store.flow_actions.rows)),
        "forms": next(iter(reading.store.resources["form"].rows)),
        "catalog-items": next(iter(reading.store.resources["catalog-item"].rows)),
        "catalog-categories": next(iter(reading.store.resources["catalog-category"].rows)),
        "coupons": "10OFF",
        "object-types": next(iter(reading.store.resources["object-type"].rows)),
    }
    values = {
        "string": '"x"',
        "boolean": "true",
        "date-time": "2025-01-01T00:00:00Z",
        "number": "1700000000",
        "integer": "4",
    }
    filters_tried = 0
    for operation in load().operations.values():
        if operation.method != "GET" or "{job_id}" in operation.path:
            continue
        path = operation.path.removeprefix("/api/").format(id=parents.get(operation.path.split("/")[2], ""))
        always = "".join(f"{condition}," for condition in minimal_query(operation.id).values())
        for field, rule in operation.filters.items():
            value = rule.get("value", {})
            text = f'"{value["enum"][0]}"' if "enum" in value else values.get(value.get("format") or value.get("type"))
            forms = {"single": f",{text}", "list": f",[{text}]", "none": ""}
            for form, operators in rule["operators"].items():
                for name in operators:
                    revision = operation.revision or load().revision
                    response = read.get(path, revision, filter=f"{always}{name}({field}{forms[form]})")
                    assert response.status_code == 200, response.text
                    filters_tried += 1
    assert filters_tried > 180


def ids(read, path, text, **query):
    return {row["id"] for row in read.rows(path, filter=text, **query)}


def test_equals_and_any_find_exactly_the_named(read, reading):
    """Profiles are found by each of their identifiers, alone and in lists, and by nothing else."""
    rows = list(reading.store.profiles.rows.values())
    for name in ("id", "email", "phone_number", "external_id"):
        some = [row for row in rows if row[name]][:3]
        assert ids(read, "profiles", f'equals({name},"{some[0][name]}")') == {some[0]["id"]}
        values = ",".join(f'"{row[name]}"' for row in some)
        assert ids(read, "profiles", f"any({name},[{values}])") == {row["id"] for row in some}


def test_suppressions_are_filtered_within_the_subscriptions(read, reading):
    """A filter that goes into a list of suppressions holds when one of them satisfies it."""
    path = "subscriptions.email.marketing.suppression"
    expected = {
        row["id"]
        for row in reading.store.profiles.rows.values()
        for entry in row["subscriptions"]["email"]["marketing"]["suppression"]
        if entry["reason"] == "UNSUBSCRIBE" and entry["timestamp"] >= "2025-06-01T00:00:00+00:00"
    }
    text = f'equals({path}.reason,"UNSUBSCRIBE"),greater-or-equal({path}.timestamp,2025-06-01T00:00:00Z)'
    assert expected
    assert ids(read, "profiles", text, sort=f"{path}.timestamp") == expected


def test_members_by_address_and_time(read, reading):
    """Members of a list are found by their address and by when they joined."""
    list_id, members = max(reading.store.list_members.items(), key=lambda item: len(item[1]))
    joined = sorted(row["joined_group_at"] for row in members.rows.values())
    middle = joined[len(joined) // 2].replace("+00:00", "Z")
    expected = {row["id"] for row in members.rows.values() if row["joined_group_at"] >= joined[len(joined) // 2]}
    for path in (f"lists/{list_id}/profiles", f"lists/{list_id}/relationships/profiles"):
        assert ids(read, path, f"greater-or-equal(joined_group_at,{middle})", page__size=9) == expected
    known = next(row for row in members.rows if reading.store.profiles.rows[row]["email"])
    address = reading.store.profiles.rows[known]["email"]
    assert ids(read, f"lists/{list_id}/profiles", f'any(email,["{address}","other@example.com"])') == {known}


def test_sizes_are_compared_as_numbers(read, reading):
    """A picture of 900 bytes is smaller than one of 12,000, in a filter and in the order, and both at once."""
    visible = [row for row in reading.store.resources["image"].rows.values() if not row["hidden"]]
    sizes = sorted(row["size"] for row in visible)
    bound = sizes[len(sizes) // 2]
    window = f"greater-or-equal(size,{bound}),less-than(size,{sizes[-1]})"
    rows = read.rows("images", filter=window, sort="size", page__size=7)
    assert [row["attributes"]["size"] for row in rows] == [size for size in sizes if bound <= size < sizes[-1]]
    assert [row["attributes"]["size"] for row in read.rows("images", sort="-size")] == sizes[::-1]


def test_hidden_images_are_shown_when_asked_for(read, reading):
    """Without the filter they are left out."""
    images = reading.store.resources["image"].rows.values()
    by_hidden = {flag: {row["id"] for row in images if row["hidden"] is flag} for flag in (True, False)}
    assert all(by_hidden.values())
    assert {row["id"] for row in read.rows("images")} == by_hidden[False]
    assert ids(read, "images", "equals(hidden,true)") == by_hidden[True]
    assert ids(read, "images", "any(hidden,[true,false])") == by_hidden[True] | by_hidden[False]


def test_reviews_by_status_and_item(read, reading):
    """The status is a member of an object, ``all`` leaves none out, and the item is a relationship."""
    reviews = reading.store.resources["review"].rows
    rejected = {row["id"] for row in reviews.values() if row["status"]["value"] == "rejected"}
    assert 0 < len(rejected) < len(reviews)
    assert ids(read, "reviews", 'equals(status,"rejected")') == rejected
    assert ids(read, "reviews", 'equals(status,"all"),less-or-equal(rating,5)') == {
        row["id"] for row in reviews.values() if row["rating"] is not None
    }
    item = next(iter(reviews.values()))["item_id"]
    same = {row["id"] for row in reviews.values() if row["item_id"] == item}
    assert ids(read, "reviews", f'any(item.id,["{item}"])') == same


@pytest.fixture(scope="module")
def at_noon(make_shared_sandbox):
    """Calls an account for which it is noon of the first of June."""
    caller = Caller(make_shared_sandbox(limits=False, clock=NOON.timestamp).url)
    yield caller
    caller.close()


def bounded(at_noon, path, operator, field, seconds):
    """The answer to a filter by a bound that lies so many seconds after noon."""
    bound = f"{NOON + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    if field == "timestamp":
        bound = str(NOON.timestamp() + seconds)
    channel = "equals(messages.channel,'email')," if path == "campaigns" else ""
    return at_noon.get(path, filter=f"{channel}{operator}({field},{bound})")


@pytest.mark.parametrize(
    ("path", "field", "operator"),
    [
        ("events", "datetime", "less-than"),
        ("events", "timestamp", "less-or-equal"),
        ("profiles", "updated", "less-than"),
        ("profiles", "created", "less-than"),
        ("flows", "updated", "less-or-equal"),
        ("campaigns", "updated_at", "less-or-equal"),
        ("templates", "created", "less-than"),
    ],
)
@pytest.mark.parametrize("seconds", [-4, 0, 1, 3600, 86_400 * 400])
def test_a_window_may_end_at_any_time(at_noon, path, field, operator, seconds):
    """Extractors in production end theirs at now and a second after it, all day."""
    assert bounded(at_noon, path, operator, field, seconds).status_code == 200


@pytest.mark.parametrize(
    ("path", "field", "operator", "latest"),
    [
        ("events", "datetime", "greater-than", 0),
        ("events", "datetime", "greater-or-equal", 0),
        ("events", "timestamp", "greater-or-equal", 0),
        ("profiles", "created", "greater-than", 0),
        ("lists", "created", "greater-than", 0),
        ("campaigns", "created_at", "greater-or-equal", 0),
        # Klaviyo does not look for changes of the last five seconds.
        ("profiles", "updated", "greater-than", -5),
        ("lists", "updated", "greater-than", -5),
        ("segments", "updated", "greater-than", -5),
        ("flows", "updated", "greater-or-equal", -5),
        ("templates", "updated", "greater-or-equal", -5),
        ("campaigns", "updated_at", "greater-or-equal", -5),
        ("campaigns", "updated_at", "greater-than", -5),
    ],
)
def test_a_window_must_not_begin_in_the_future(at_noon, path, field, operator, latest):
    """It is a 400 that points to the field, also beside an upper bound; what begins before is answered."""
    for seconds in (latest - 3600, latest - 1, latest):
        assert bounded(at_noon, path, operator, field, seconds).status_code == 200, seconds
    for seconds in (latest + 1, latest + 3600, 86_400 * 400):
        answer = bounded(at_noon, path, operator, field, seconds)
        assert problem(answer) == (400, "invalid", {"pointer": field}), seconds
        assert "may not be in the future" in answer.json()["errors"][0]["detail"]


def test_a_beginning_in_the_future_is_refused_beside_an_end(at_noon):
    """Whatever else the filter says."""
    window = "and(greater-than(datetime,2027-01-01T00:00:00Z),less-than(datetime,2028-01-01T00:00:00Z))"
    assert problem(at_noon.get("events", filter=window)) == (400, "invalid", {"pointer": "datetime"})


def test_what_is_planned_may_be_asked_for_ahead(at_noon):
    """Codes expire and campaigns are due in the future."""
    for path, text in (
        ("coupon-codes", "any(coupon.id,['10OFF']),greater-than(expires_at,2026-06-02T00:00:00Z)"),
        ("campaigns", "equals(messages.channel,'email'),greater-or-equal(scheduled_at,2026-06-02T00:00:00Z)"),
    ):
        assert at_noon.get(path, filter=text).status_code == 200, path


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2024-01-01T00:00:00+0000", "2024-01-01T00:00:00+00:00"),
        ("2024-01-01T02:30:00+0230", "2024-01-01T00:00:00+00:00"),
        ("2023-12-31T19:00:00-0500", "2024-01-01T00:00:00+00:00"),
        ("2024-01-01T00:00:00.25+0000", "2024-01-01T00:00:00.250000+00:00"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00+00:00"),
        ("2024-01-01T00:00:00z", "2024-01-01T00:00:00+00:00"),
        ("2024-01-01T02:30:00+02:30", "2024-01-01T00:00:00+00:00"),
        ("2024-01-01 00:00:00+00:00", "2024-01-01T00:00:00+00:00"),
        *(
            (f"2024-01-01T00:00:00.{'3' * digits}Z", f"2024-01-01T00:00:00.{'333333'[:digits]:0<6}+00:00")
            for digits in range(1, 13)
        ),
    ],
)
def test_times_are_read_as_clients_write_them(text, stored):
    """Offsets with and without a colon, ``Z``, a space for the ``T``, fractions of any length."""
    assert parse(f"greater-than(updated,{text})", PROFILES, NOW) == (Clause("greater-than", "updated", stored),)


@pytest.mark.parametrize(
    "text",
    ["2024-01-01T00:00:00+00000", "2024-01-01T00:00:00+000", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00+2500"],
)
def test_times_that_nobody_writes_are_refused(text):
    """An offset has two or four digits of a day, and a point is followed by some."""
    with pytest.raises(Refusal):
        parse(f"greater-than(updated,{text})", PROFILES, NOW)


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        ("profiles", {"filter": 'equals(first_name,"A")'}, "filter"),
        ("metrics", {"filter": 'equals(name,"Placed Order")'}, "filter"),
        ("profiles", {"sort": "first_name"}, "sort"),
        ("profiles", {"sort": "created,id"}, "sort"),
        ("profiles", {"sort": ""}, "sort"),
        ("profiles", {"include": "lists"}, "include"),
        ("profiles", {"fields__profile": "email,shoe_size"}, "fields[profile]"),
        ("profiles", {"additional_fields__profile": "secrets"}, "additional-fields[profile]"),
        ("profiles", {"fields__event": "datetime"}, "fields[event]"),
        ("lists", {"limit": 5}, "limit"),
        ("metrics", {"page__size": 5}, "page[size]"),
        ("accounts", {"page__cursor": "x"}, "page[cursor]"),
        ("events", {"id": "x"}, "id"),
        ("flows", {"include": "flow-messages"}, "include"),
        ("flows", {"additional_fields__flow": "definition"}, "additional-fields[flow]"),
        ("tags", {"filter": "any(id,['x'])"}, "filter"),
        ("templates", {"sort": "editor_type"}, "sort"),
    ],
)
def test_what_the_specification_does_not_list_is_refused(read, path, query, parameter):
    """A filter, sort, include, field or parameter that is not declared is a 400 that names the parameter."""
    assert problem(read.get(path, **query)) == (400, "invalid", {"parameter": parameter})


COMPARE = {
    "greater-than": lambda value, bound: value > bound,
    "greater-or-equal": lambda value, bound: value >= bound,
    "less-than": lambda value, bound: value < bound,
    "less-or-equal": lambda value, bound: value <= bound,
}


@given(data=st.data())
def test_any_window_over_events_equals_a_plain_comparison(read, reading, data):
    """For every window, order and metric the account gives the events that a plain comparison of the store gives."""
    events = list(reading.store.events.rows.values())
    at = st.sampled_from(events).map(lambda row: row["timestamp"])
    near = st.tuples(at, st.sampled_from((-1, -0.5, 0, 0.25, 1))).map(sum)
    lower, upper = data.draw(near), data.draw(near)
    bounds = []
    if data.draw(st.booleans()):
        bounds.append((data.draw(st.sampled_from(("greater-than", "greater-or-equal"))), lower))
    # Parts of a second do not tell a window's ends apart.
    if data.draw(st.booleans()) and (not bounds or lower // 1 < upper // 1):
        bounds.append((data.draw(st.sampled_from(("less-than", "less-or-equal"))), upper))
    metric = data.draw(st.none() | st.sampled_from(events).map(lambda row: row["metric_id"]))
    parts = [f'equals(metric_id,"{metric}")'] if metric else []
    field = data.draw(st.sampled_from(("datetime", "timestamp")))
    for name, value in bounds:
        text = datetime.fromtimestamp(value, UTC).isoformat() if field == "datetime" else str(value)
        parts.append(f"{name}({field},{text})")
    query = {"filter": ",".join(parts)} if parts else {}
    sort = data.draw(st.sampled_from((None, "datetime", "-datetime", "timestamp", "-timestamp")))
    size = data.draw(st.sampled_from((100, 1000)))
    rows = read.rows("events", page__size=size, **query, **({"sort": sort} if sort else {}))
    expected = [
        row
        for row in events
        if metric in (None, row["metric_id"]) and all(COMPARE[name](row["timestamp"], value) for name, value in bounds)
    ]
    assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in expected)
    if sort:
        times = [row["attributes"]["timestamp"] for row in rows]
        assert times == sorted(times, reverse=sort.startswith("-"))


@pytest.mark.parametrize("time", ["2025-06-01T02:00:00 02:00", "2025-06-01 00:00:00 00:00"])
def test_a_plus_that_was_not_escaped_is_one(read, time):
    """A plus sign in a query means a space: clients that leave it so are understood."""
    expected = read.rows("events", filter="greater-or-equal(datetime,2025-06-01T00:00:00Z)", page__size=1000)
    found = read.rows("events", filter=f"greater-or-equal(datetime,{time})", page__size=1000)
    assert [row["id"] for row in found] == [row["id"] for row in expected] != []


def test_a_time_without_zone_is_none(read):
    """Hours and minutes after a day are no zone."""
    answer = read.get("events", filter="greater-or-equal(datetime,2025-06-01 00:00)")
    assert problem(answer)[0] == 400
