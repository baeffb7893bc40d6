"""The base class of the target: its settings and its command line, as far as they are not the SDK's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import IO, Any, ClassVar

import click
from singer_sdk.helpers._util import read_json_file

from klaviyo_client.plugin import config_check, settings
from target_klaviyo.intake import permissions
from target_klaviyo.intake.run import RunTarget


class CommandTarget(RunTarget):
    """A target with our own checks of settings, and the option ``--check``.

    Attributes:
        own_settings: the settings as JSON Schema, without the SDK's.
        input: what the run of this process reads; None before there is one, and for --check and the like.
    """

    own_settings: ClassVar[dict[str, Any]]
    input: ClassVar[IO[str] | None] = None

    def __init__(self, **options: Any) -> None:
        """Read the settings.

        Raises:
            SettingsError: one is missing or wrong.
        """
        self._reads_environment = bool(options.get("parse_env_config"))
        try:
            super().__init__(**options)
        except (ValueError, RecursionError) as error:
            raise config_check.config_error(error) from error

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK's own check quotes the values, and one of them is the key.
        # Ours only: the schema of its own `stream_maps` is no JSON Schema, and the mapper checks those anyway.
        defaults = {
            name: entry["default"] for name, entry in self.own_settings["properties"].items() if "default" in entry
        }
        environment = (
            config_check.boolean_variables(os.environ, self._env_var_prefix, self.own_settings)
            if self._reads_environment
            else {}
        )
        self._config = config_check.coerce_types(self.own_settings, {**defaults, **self._config, **environment})
        if raise_errors:
            config_check.check(
                self.own_settings,
                self._config,
                self.name,
                config_check.known_names(self.own_settings, self.append_builtin_config),
            )
        return []

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """The SDK's settings, without those that mean nothing to Klaviyo."""
        super().append_builtin_config(config_jsonschema)
        for name in ("add_record_metadata", "load_method"):
            config_jsonschema["properties"].pop(name, None)

    @classmethod
    def invoke(cls, **options: Any) -> None:
        """Run the target, or print what ``--about`` prints; the options are the SDK's."""
        if not options.get("about"):
            cls.input = options.get("file_input") or sys.stdin
        super().invoke(**options)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        with config_check.config_errors():
            return super().cb_config(ctx, param, value)

    @classmethod
    def read_settings(cls, files: Iterable[str]) -> dict[str, Any]:
        """The settings of files, below those of the environment's variables (and of a file ``.env``).

        Raises:
            SettingsError: one cannot be read.
        """
        with config_check.config_errors():
            settings_of_files: dict[str, Any] = {}
            for path in files:
                if path != "ENV":  # the variables are read in any case
                    settings_of_files |= read_json_file(path)
            variables = dict(cls._env_var_config)
        booleans = config_check.boolean_variables(os.environ, cls._env_var_prefix, cls.own_settings)
        return {**settings_of_files, **variables, **booleans}

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's command, with ``--check``."""
        command = super().get_singer_command()
        text = "Say which actions the key may use, and which scopes it lacks; nothing is written."
        command.params.append(
            click.Option(["--check"], is_flag=True, help=text, callback=cls.cb_check, expose_value=False)
        )
        return command

    @classmethod
    def cb_check(cls, ctx: click.Context, param: click.Option, value: bool) -> None:  # noqa: ARG003 - click's
        """``--check``.

        Raises:
            MissingScopes: the key may not do what a stream of the settings needs.
        """
        if value:
            options = ctx.params["config"]
            target = cls(config=options.config, parse_env_config=options.parse_env, validate_config=True)
            target.check_permissions()
            ctx.exit()

    def check_permissions(self) -> None:
        """Log what the key may do.

        Raises:
            MissingScopes: it may not do what a stream of the settings needs.
        """
        # Not the session's client: in a rehearsal that one would answer by itself.
        client = settings.connect(self.config, self.name)
        permissions.check(client, self.routes, self.config.get("streams") or {})
