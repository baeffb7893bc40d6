from __future__ import annotations

import pytest
from support.calls import problem

EMAIL = "equals(messages.channel,'email')"
CHANNELS = ("email", "sms", "mobile_push")
METHODS = {"static", "throttled", "immediate", "smart_send_time", "ab_test_campaign", "unsupported"}


def of(channel, archived=None):
    text = f"equals(messages.channel,'{channel}')"
    return text if archived is None else f"{text},equals(archived,{str(archived).lower()})"


def everything(read):
    return [
        row
        for channel in CHANNELS
        for flag in (True, False)
        for row in read.rows("campaigns", filter=of(channel, flag))
    ]


def ids(rows):
    return {row["id"] for row in rows}


@pytest.mark.parametrize("query", [{}, {"filter": "equals(archived,true)"}, {"filter": 'contains(name,"Sale")'}])
def test_campaigns_come_by_channel_only(read, query):
    """Without a filter on the channel, whatever else is asked for, there is a 400 about the filter."""
    assert problem(read.get("campaigns", **query)) == (400, "invalid", {"parameter": "filter"})


@pytest.mark.parametrize("text", [of("fax"), "any(messages.channel,['email'])", f"{EMAIL},equals(name,'x')"])
def test_a_channel_must_be_one_of_three(read, text):
    """Another channel, operator or field is a 400."""
    assert problem(read.get("campaigns", filter=text)) == (400, "invalid", {"parameter": "filter"})


@pytest.mark.parametrize("channel", CHANNELS)
def test_archived_campaigns_come_when_they_are_asked_for(read, reading, channel):
    """Each channel has archived campaigns, which come with `equals(archived,true)` and never without it."""
    rows = [row for row in reading.store.campaigns.rows.values() if row["messages"]["channel"] == channel]
    for flag in (True, False):
        expected = {row["id"] for row in rows if row["archived"] is flag}
        assert expected
        assert ids(read.rows("campaigns", filter=of(channel, flag))) == expected
    assert ids(read.rows("campaigns", filter=of(channel))) == {row["id"] for row in rows if not row["archived"]}


def test_campaigns_are_filtered_by_status_name_id_and_time(read, reading):
    """Each filter finds what a plain comparison of the account finds."""
    rows = [
        row
        for row in reading.store.campaigns.rows.values()
        if row["messages"]["channel"] == "email" and not row["archived"]
    ]
    middle = sorted(row["updated_at"] for row in rows)[len(rows) // 2]
    some = ",".join(f'"{row["id"]}"' for row in rows[:3])
    for text, expected in (
        ("equals(status,'Draft')", [row for row in rows if row["status"] == "Draft"]),
        ("any(status,['Sent','Scheduled'])", [row for row in rows if row["status"] in ("Sent", "Scheduled")]),
        ("contains(name,'Sale')", [row for row in rows if "Sale" in row["name"]]),
        (f"any(id,[{some}])", rows[:3]),
        (f"greater-or-equal(updated_at,{middle})", [row for row in rows if row["updated_at"] >= middle]),
        (f"less-than(updated_at,{middle})", [row for row in rows if row["updated_at"] < middle]),
        ("greater-than(scheduled_at,2000-01-01T00:00:00Z)", [row for row in rows if row["scheduled_at"]]),
    ):
        assert expected
        assert ids(read.rows("campaigns", filter=f"{EMAIL},{text}", sort="updated_at", page__size=3)) == ids(expected)


def test_microseconds_count(read, reading):
    """Campaigns have microseconds, and a bound in the middle of a second parts them."""
    row = next(row for row in reading.store.campaigns.rows.values() if "." in row["updated_at"] and not row["archived"])
    channel = row["messages"]["channel"]
    assert row["id"] in ids(
        read.rows("campaigns", filter=f"{of(channel)},greater-or-equal(updated_at,{row['updated_at']})")
    )
    assert row["id"] not in ids(
        read.rows("campaigns", filter=f"{of(channel)},greater-than(updated_at,{row['updated_at']})")
    )


def test_every_way_of_sending(read):
    """Every method and status of note is there, static ones with local and other options, thresholds and dates."""
    strategies = [row["attributes"]["send_strategy"] for row in everything(read)]
    assert {strategy["method"] for strategy in strategies} == METHODS
    options = [strategy["options"] for strategy in strategies if strategy["method"] == "static"]
    assert {None if it is None else it["is_local"] for it in options} == {None, True, False}
    assert {"Sent", "Draft", "Scheduled", "Cancelled"} < {row["attributes"]["status"] for row in everything(read)}


def test_tracking_options_by_channel(read):
    """Mails tell of opens and clicks, texts only of parameters, and pushes have no such options."""
    shown = {
        channel: {
            tuple(sorted(row["attributes"]["tracking_options"] or ()))
            for row in read.rows("campaigns", filter=of(channel))
        }
        for channel in CHANNELS
    }
    parameters = ("add_tracking_params", "custom_tracking_params")
    assert shown == {
        "email": {(*parameters, "is_tracking_clicks", "is_tracking_opens")},
        "sms": {parameters},
        "mobile_push": {()},
    }


def test_audiences_are_lists_and_segments(read, reading):
    """Who a campaign goes to is in the account; who not may be named, an empty list, null or missing."""
    audiences = [row["attributes"]["audiences"] for row in everything(read)]
    known = reading.store.lists.rows.keys() | reading.store.segments.rows.keys()
    named = {group for entry in audiences for group in entry["included"] + (entry.get("excluded") or [])}
    assert named <= known
    assert named & reading.store.lists.rows.keys()
    assert named & reading.store.segments.rows.keys()
    assert {str(entry.get("excluded", "missing"))[:1] for entry in audiences} >= {"[", "N"}


def test_included_messages_show_no_template(read):
    """Campaigns name their messages unasked; included ones name their campaign, but no template."""
    page = read.get("campaigns", filter=EMAIL, include="campaign-messages,tags").json()
    messages = {entry["id"]: entry for entry in page["included"] if entry["type"] == "campaign-message"}
    for row in page["data"]:
        for identity in row["relationships"]["campaign-messages"]["data"]:
            relationships = messages.pop(identity["id"])["relationships"]
            assert relationships["campaign"]["data"] == {"type": "campaign", "id": row["id"]}
            assert set(relationships["template"]) == {"links"}
    assert messages == {}
    bare = read.get("campaigns", filter=EMAIL).json()["data"][0]["relationships"]
    assert bare["campaign-messages"]["data"]
    assert set(bare["tags"]) == {"links"}


def test_messages_of_a_campaign_with_their_templates(read, reading):
    """Templates are named by the messages of a campaign when they are included; without one it is null."""
    named = 0
    for campaign_id in reading.store.campaigns.rows:
        document = read.get(f"campaigns/{campaign_id}/campaign-messages", include="template,campaign,image").json()
        for row in document["data"]:
            template_id = reading.store.campaign_messages.rows[row["id"]]["template_id"]
            shown = (row["relationships"]["template"]["data"] or {}).get("id")
            assert shown == template_id
            assert template_id is None or template_id in ids(document["included"])
            named += template_id is not None
        relationships = read.rows(f"campaigns/{campaign_id}/relationships/campaign-messages")
        assert ids(relationships) == ids(document["data"])
    assert named > 5


def test_the_template_of_a_message(read, reading):
    """A message leads to its template; without one the identity is null and the resource is a 404."""
    for message in reading.store.campaign_messages.rows.values():
        path = f"campaign-messages/{message['id']}"
        identity = read.get(f"{path}/relationships/template").json()["data"]
        resource = read.get(f"{path}/template")
        if message["template_id"] is None:
            assert identity is None
            assert problem(resource) == (404, "not_found", {"pointer": "/data/"})
        else:
            assert identity == {"type": "template", "id": message["template_id"]}
            assert resource.json()["data"]["id"] == message["template_id"]


def test_messages_by_channel(read, reading):
    """Every message speaks its campaign's channel; drafts have no times, others one or two; tests several messages."""
    counts = set()
    for campaign_id, campaign in reading.store.campaigns.rows.items():
        rows = read.rows(f"campaigns/{campaign_id}/campaign-messages")
        for row in rows:
            attributes = read.get(f"campaign-messages/{row['id']}").json()["data"]["attributes"]
            assert attributes == row["attributes"]
            assert attributes["definition"]["channel"] == campaign["messages"]["channel"]
            assert len(attributes["send_times"]) in ((0,) if campaign["status"] == "Draft" else (1, 2))
        tested = campaign["send_strategy"]["method"] == "ab_test_campaign"
        assert (len(rows) > 1) is tested
        counts.add(len(rows))
    assert 1 in counts


def test_sparse_fields_reach_into_unions(read):
    """A branch that some channels lack is cut out where it is, and leaves an empty rest where it is not."""
    query = {"include": "campaign-messages", "fields__campaign_message": "definition.render_options,created_at"}
    for channel, shown in (("sms", {"render_options"}), ("email", set())):
        page = read.get("campaigns", filter=of(channel), fields__campaign="send_strategy.method", **query).json()
        assert {tuple(row["attributes"]["send_strategy"]) for row in page["data"]} == {("method",)}
        for entry in page["included"]:
            assert set(entry["attributes"]) == {"definition", "created_at"}
            assert set(entry["attributes"]["definition"]) == shown


@pytest.mark.parametrize(
    "path",
    [
        *("campaigns/NOPE", "campaigns/NOPE/tags", "campaigns/NOPE/relationships/tags"),
        *("campaigns/NOPE/campaign-messages", "campaigns/NOPE/relationships/campaign-messages"),
        *("campaign-messages/NOPE", "campaign-messages/NOPE/template", "campaign-messages/NOPE/relationships/template"),
    ],
)
def test_an_unknown_campaign_or_message_is_not_found(read, path):
    """Ids that are not in the account are 404s, also as parents."""
    assert problem(read.get(path)) == (404, "not_found", {"pointer": "/data/"})


@pytest.mark.parametrize("size", ["0", "101", "x"])
def test_pages_of_campaigns_have_bounds(read, size):
    """A page holds between one and a hundred campaigns."""
    assert problem(read.get("campaigns", filter=EMAIL, page__size=size)) == (400, "invalid", {"parameter": "page_size"})


def test_a_scheduled_campaign_knows_whom_it_reaches(reading, read):
    """Members of its lists and segments, each once and without the excluded; a draft has no estimation yet."""
    campaigns = [
        row
        for channel in ("email", "sms", "mobile_push")
        for row in read.rows("campaigns", filter=f"equals(messages.channel,'{channel}')")
    ]
    groups = {
        row["id"]: {member["id"] for member in read.rows(f"{kind}/{row['id']}/relationships/profiles")}
        for kind in ("lists", "segments")
        for row in read.rows(kind)
    }
    reached = {}
    for campaign in campaigns:
        answer = read.get(f"campaign-recipient-estimations/{campaign['id']}")
        if campaign["attributes"]["scheduled_at"] is None:
            assert problem(answer)[:2] == (404, "not_found")
            continue
        audiences = campaign["attributes"]["audiences"]
        included, excluded = (
            set().union(*(groups.get(group, set()) for group in audiences.get(name) or ()))
            for name in ("included", "excluded")
        )
        reached[campaign["id"]] = answer.json()["data"]["attributes"]["estimated_recipient_count"]
        assert reached[campaign["id"]] == len(included - excluded)
    assert 0 < len(reached) < len(campaigns)
    assert any(reached.values())
