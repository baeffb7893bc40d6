"""Files of rows into a loader of the SDK, which takes BATCH messages by the SDK's own code."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from singer_sdk import Target
from singer_sdk.sinks import BatchSink
from tap_support import config, discovered, run_tap, select

from klaviyo_sandbox import RunningSandbox

LANDED: dict[str, list[dict[str, Any]]] = defaultdict(list)


class Sink(BatchSink):
    """Keeps what it is given."""

    def process_batch(self, context: dict[str, Any]) -> None:
        LANDED[self.stream_name] += context["records"]


class Loader(Target):
    """A target of the SDK with nothing of its own."""

    name = "target-kept"
    config_jsonschema = {"type": "object", "properties": {}}  # noqa: RUF012 - as the SDK has it
    default_sink_class = Sink


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=50, events=200, limits=False)


@pytest.mark.parametrize(
    ("encoding", "folder"),
    [
        ({"format": "jsonl"}, "plain"),
        ({"format": "jsonl", "compression": "none"}, "with a space, and Grüße"),
        ({"format": "jsonl", "compression": "gzip"}, "plain"),
        ({"format": "parquet"}, "with a space"),
    ],
)
def test_a_loader_of_the_sdk_takes_the_files(
    account: RunningSandbox, tmp_path: Path, encoding: dict[str, str], folder: str
) -> None:
    """It finds them, reads them, and has the rows that lines would have brought it; STATE comes out at the end."""
    LANDED.clear()
    catalog = select(discovered(), dict.fromkeys(("profiles", "lists", "events")))
    root = tmp_path / folder
    settings = config(account, batch_config={"encoding": encoding, "storage": {"root": root.as_uri()}})
    files = run_tap(tmp_path, settings, catalog=catalog)
    assert files.code == 0, files.errors
    loader = Loader(config={}, parse_env_config=False)
    loader.listen(io.StringIO("".join(json.dumps(message) + "\n" for message in files.messages)))
    lines = run_tap(tmp_path, config(account), catalog=catalog)
    assert {name: len(rows) for name, rows in LANDED.items()} == {
        name: len(lines.rows(name)) for name in ("profiles", "lists", "events")
    }
    if encoding["format"] == "jsonl":
        # Numbers of JSON are decimals there.
        landed = json.loads(json.dumps(LANDED["events"], default=float))
        assert landed == lines.rows("events")


def test_rows_that_older_ones_make_way_for_say_of_which_version_they_are(
    account: RunningSandbox, tmp_path: Path
) -> None:
    """A loader removes rows of other versions, and those that have none; a BATCH message has no place for it."""
    LANDED.clear()
    batches = {"encoding": {"format": "jsonl"}, "storage": {"root": str(tmp_path / "files")}}
    settings = config(account, batch_config=batches, emit_activate_version_messages=True)
    files = run_tap(tmp_path, settings, catalog=select(discovered(), {"lists": None}))
    [version] = [message["version"] for message in files.messages if message["type"] == "ACTIVATE_VERSION"]
    kinds = [message["type"] for message in files.messages]
    assert kinds.index("BATCH") < kinds.index("ACTIVATE_VERSION")
    without = [message for message in files.messages if message["type"] != "ACTIVATE_VERSION"]
    Loader(config={}, parse_env_config=False).listen(io.StringIO("".join(json.dumps(m) + "\n" for m in without)))
    assert {row["_sdc_table_version"] for row in LANDED["lists"]} == {version}
