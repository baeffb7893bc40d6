"""Truth values: one closed list of words for yes, one for no, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_client.plugin.booleans import NO, NOTHING, YES, parse_boolean
from klaviyo_client.plugin.config_check import boolean_variables, coerce_types


@pytest.mark.parametrize("word", [True, 1, 1.0, Decimal(1), "True", " YES ", "y", "T", "on", "1", "1.0"])
def test_what_says_yes(word: Any) -> None:
    """Trimmed, in any case."""
    assert parse_boolean(word) is True


@pytest.mark.parametrize(
    "word", [False, 0, 0.0, "False", "No", "FALSE", "n", "F", "off", " 0", "0.0", "\tno\n", Decimal("0.0")]
)
def test_what_says_no(word: Any) -> None:
    """Whoever wrote one of these meant no."""
    assert parse_boolean(word) is False


@pytest.mark.parametrize("word", [None, "", "  ", "null", "NULL", "None"])
def test_what_says_nothing(word: Any) -> None:
    """Neither: as if the field were not there."""
    assert parse_boolean(word) is None


@pytest.mark.parametrize("word", ["ja", "maybe", "2", "-1", "nan", 2, 0.5, float("nan"), [], {}, [True], "yes no"])
def test_any_other_value_is_refused(word: Any) -> None:
    """Never taken for yes, as Python would."""
    with pytest.raises(ValueError, match="neither true, yes"):
        parse_boolean(word)


@given(st.text())
def test_no_text_says_yes_but_the_words_for_it(text: str) -> None:
    """Whatever else comes is no, nothing, or refused."""
    word = text.strip().casefold()
    if word in (*YES, *NO, *NOTHING):
        assert parse_boolean(text) is (None if word in NOTHING else word in YES)
    else:
        with pytest.raises(ValueError, match="neither"):
            parse_boolean(text)


def test_a_variable_keeps_a_word_that_is_unknown() -> None:
    """So that the check of the settings names it; the SDK would take it for false, and the check of records be off."""
    schema = {"properties": {"careful": {"type": "boolean"}, "name": {"type": "string"}}}
    said = boolean_variables({"X_CAREFUL": "Y", "X_NAME": "n"}, "X_", schema)
    assert coerce_types(schema, said) == {"careful": True}
    assert coerce_types(schema, boolean_variables({"X_CAREFUL": "ja"}, "X_", schema)) == {"careful": "ja"}
