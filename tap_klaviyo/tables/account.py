"""The account itself."""

from __future__ import annotations

from tap_klaviyo.model import Collection

ACCOUNTS = Collection("accounts", "get_accounts", "account")
