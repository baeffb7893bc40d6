"""The permissions that actions and streams need, and whether the key has them: ``--check``."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from klaviyo_client import permissions
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.permissions import Requirement
from target_klaviyo.actions import ACTIONS
from target_klaviyo.delivery.action import Action
from target_klaviyo.intake.routes import Route, default_options
from target_klaviyo.model.records import Options

logger = logging.getLogger("target-klaviyo")

# `meltano config test` sends a record of this stream, which is not meant for anybody's account.
TEST_STREAM = "meltano_test_stream"


def of_actions() -> list[Requirement]:
    """The needs of every action; its parts are the options and fields that ask for more."""
    return [_requirement(action.name, action, default_options(action), action.options) for action in ACTIONS.values()]


def of_streams(routes: Mapping[str, Route], streams: Iterable[str]) -> list[Requirement]:
    """The needs of these streams; their options are known, so that their parts are fields only."""
    return [
        _requirement(f"the stream {stream} ({route.action.name})", route.action, route.options, ())
        for stream, route in ((stream, routes[stream]) for stream in streams)
    ]


def _requirement(name: str, action: Action, options: Options, open_options: Iterable[str]) -> Requirement:
    needs = [action.operation, *(call.operation for call in action.other_operations if call.is_needed(options))]
    parts: dict[str, list[str]] = {}
    for call in action.other_operations:
        if not call.is_needed(options) and (call.option is None or call.option in open_options):
            parts.setdefault(call.used_when, []).append(call.operation)
    return Requirement(name, needs, parts)


def check(client: KlaviyoClient, routes: Mapping[str, Route], streams: Iterable[str]) -> None:
    """Log for each action, and each of these streams, whether the key may do it. Nothing is changed.

    Raises:
        MissingScopes: it may not do what one of the streams needs; where there are none, it may do no action at all.
    """
    actions, named = of_actions(), of_streams(routes, streams)
    probe = permissions.for_client(client, permissions.probe_request(client))
    results = permissions.check_requirements(probe, [*actions, *named])
    required = {requirement.name for requirement in named}
    if not named and all(result.reason for result in results):
        required = {requirement.name for requirement in actions}
    permissions.log_permissions(results, logger, required=required)
