"""Which rows the hand-made pages of content, forms and reviews give."""

from __future__ import annotations

from page_support import columns, page, rows

from klaviyo_client.api.operations import operation
from tap_klaviyo.reading import selection
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.paths import sources
from tap_klaviyo.rows.roots import requirements
from tap_klaviyo.tables import STREAMS


def asked(table: str, *wanted: str) -> dict[str, str]:
    """The query that these columns of a table lead to."""
    (declared,) = STREAMS[table]
    schema = schema_files.load(table)
    known = requirements(declared, sources(schema, schema["properties"]).values())
    chosen = requirements(declared, sources(schema, wanted).values())
    op = operation(declared.collection.operation)
    return selection.query(op, declared.collection.resource, chosen, known)


def test_templates() -> None:
    """Of every editor; what Klaviyo leaves out is null, and an empty text stays one."""
    first, second, third = rows("templates")
    assert (first["template_id"], first["name"], first["editor_type"]) == ("TMPL01", "Geburtstag 🎂", "CODE")
    assert (first["amp"], first["text"], first["definition"]) == ("<html amp4email></html>", "", None)
    assert first["updated"] == "2026-01-05T12:00:00.123456+00:00"
    assert second["definition"]["body"]["styles"]["width"] == 600
    assert (second["text"], third["created"], third["updated"]) == (None, None, None)
    assert first["html"].startswith("<html>")


def test_what_is_large_in_a_template_is_only_asked_for_when_it_is_selected() -> None:
    """Neither the definition nor HTML and text are sent for a column that nobody wants."""
    light = asked("templates", "template_id", "name", "updated")
    assert light["fields[template]"] == "name,updated"
    assert "additional-fields[template]" not in light
    assert asked("templates", "template_id", "definition")["additional-fields[template]"] == "definition"


def test_template_universal_content() -> None:
    """The kind has columns of its own; a block of which the API shows no data, and content without a definition."""
    wanted = ("template_universal_content_id", "definition_content_type", "definition_type", "screenshot_status")
    assert columns("template_universal_content", *wanted) == [
        ("01UNIVERSALTEXT0000000000", "block", "text", "stale"),
        ("01UNIVERSALSOCIAL000000000", "block", "social", "never_generated"),
        ("01UNIVERSALNOTHING00000000", None, None, "not_renderable"),
    ]
    definitions = [row["definition"] for row in rows("template_universal_content")]
    assert definitions[0]["data"]["content"] == "<p>Grüße aus Zürich</p>"
    assert definitions[1:] == [{"content_type": "block", "type": "social", "data": "hidden"}, None]


def test_images() -> None:
    """Sizes beyond 32 bits and of nothing; a time of another zone comes in UTC."""
    wanted = ("image_id", "name", "format", "size", "hidden")
    first, second, third = columns("images", *wanted)
    assert first == ("11", "hero", "jpeg", 9_000_000_000, False)
    assert second == ("12", "produit été", "png", 0, True)
    assert rows("images")[2]["updated_at"] == "2026-03-01T06:00:00+00:00"
    assert third[0] == "13"


def test_web_feeds() -> None:
    """A feed of which Klaviyo keeps no copy has no status."""
    wanted = ("web_feed_id", "name", "request_method", "content_type", "status")
    first, second, (third_id, *_, status) = columns("web_feeds", *wanted)
    assert first == ("FEED01", "best_sellers", "get", "json", "ok")
    assert second == ("FEED02", "nouveautés", "post", "xml", "critical_nightly_refresh_timeout")
    assert (third_id, status) == ("FEED03", None)


def test_forms() -> None:
    """With and without an A/B test."""
    assert columns("forms", "form_id", "name", "status", "ab_test")[:2] == [
        ("FORM01", "Pop-up", "live", True),
        ("FORM02", "Fußzeile", "draft", False),
    ]
    assert rows("forms")[0]["updated_at"] == "2026-04-01T00:00:00+00:00"


def test_form_versions() -> None:
    """Each names its form, which its page does not; a variation where there is a test, also when it is left out."""
    wanted = ("form_version_id", "form_id", "form_type", "ab_test_variation_name", "status")
    first, second, third = columns("form_versions", *wanted)
    assert first == ("5000001", "ABC123", "popup", "Große Schrift", "live")
    assert second == ("5000002", "ABC123", "full_page", None, "draft")
    assert third[:4] == ("5000003", "ABC123", "banner", None)


def test_reviews() -> None:
    """Rejected with an explanation and without, of the store without a product, and a question without a rating."""
    first, second, third = rows("reviews")
    rejection = ("status", "status_rejection_reason", "status_rejection_explanation")
    assert [tuple(row[name] for name in rejection) for row in (first, second, third)] == [
        ("rejected", "other", "The same text stands elsewhere."),
        ("rejected", "fake", None),
        (None, None, None),
    ]
    assert (first["rating"], second["rating"], third["rating"]) == (1, 5, None)
    assert (first["product_name"], first["product_external_id"]) == ("Crème brûlée set", "SKU-1")
    assert (second["product_name"], second["email"], second["images"]) == (None, None, [])
    assert len(first["images"]) == 2
    assert (third["public_reply_author"], third["public_reply_updated"]) == (
        "Sandbox Store",
        "2026-04-01T10:00:00+00:00",
    )
    assert first["created"] == "2026-02-15T06:49:03+00:00"


def test_review_events() -> None:
    """A row for each event of a review; an event may be of two reviews."""
    assert columns("review_events", "review_id", "event_id") == [
        ("71", "EVENT000001"),
        ("71", "EVENT000002"),
        ("73", "EVENT000001"),
    ]
    assert {kind for kind, _ in page("reviews").included} == {"event"}
    assert "include" not in asked("reviews", "review_id", "email")
