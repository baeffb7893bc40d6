"""The Singer SDK's own suite for targets, against the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from singer_sdk.testing import get_target_test_class

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.target import TargetKlaviyo

CONFIG: dict[str, Any] = {
    "api_key": "pk_suite",
    # The suite asks that a record that breaks the protocol ends the run.
    "strict_protocol": True,
    "streams": {
        stream: {"action": "upsert_profile", "mapping": {"external_id": column}}
        for stream, column in {
            "test_array_data": "id",
            "TestCamelcase": "Id",
            "ForecastingTypeToCategory": "Id",
            "test_duplicate_records": "id",
            "test_strings": "id",
            "test_strings_in_objects": "id",
            "test_strings_in_arrays": "id",
            "test_no_pk": "id",
            "test_optional_attributes": "id",
            "example_stream": "id",
            "test_record_before_schema": "id",
            "test_record_missing_key_property": "id",
            "record_missing_fields": "id",
            "test_object_schema_with_properties": "object_store.id",
            "test_object_schema_no_properties": "object_store.id",
            "test_schema_updates": "id",
            "test:SpecialChars!in?attributes": "_id",
        }.items()
    },
}


class TestTargetKlaviyo(get_target_test_class(TargetKlaviyo, config=CONFIG, parse_env_config=False)):  # type: ignore[misc]
    """Every test of the suite, unchanged."""

    @pytest.fixture(autouse=True)
    def _somewhere(self, make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
        running = make_sandbox(profiles=5, events=0, limits=False, job_seconds=0.02)
        CONFIG.update(api_url=running.url, rejects_path=str(tmp_path / "rejects.jsonl"))
