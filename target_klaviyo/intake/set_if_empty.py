"""The option ``set_if_empty``: the fields that its names mean. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from target_klaviyo.actions.profiles import NEVER_EMPTY
from target_klaviyo.endpoints.empty_fields import SET_IF_EMPTY
from target_klaviyo.intake.mapping import CUSTOM, Mapper
from target_klaviyo.model.pointers import Path


def paths_to_set_if_empty(names: Iterable[str], mapper: Mapper) -> tuple[Path, ...]:
    """The fields that are meant by names of fields, of columns, or of custom properties.

    Raises:
        ValueError: one cannot be set so.
    """
    paths: dict[Path, None] = {}
    for name in names:
        path = tuple(name.split(".", 1))
        is_field = path in mapper.types or path[0] == CUSTOM
        meant = [path] if is_field else mapper.fields_of(name) or [(CUSTOM, name)]
        for one in meant:
            if one[0] in NEVER_EMPTY:
                raise ValueError(f"{SET_IF_EMPTY} must not name {one[0]}: it says who a person is, or changes a value")
        paths.update(dict.fromkeys(meant))
    return tuple(paths)


def missing_properties(paths: Iterable[Path], mapper: Mapper, columns: Collection[str]) -> Iterator[str]:
    """The custom properties among them that no column can bring: by a wrong name a value would be overwritten."""
    has_objects = any((CUSTOM,) in mapper.fields_of(name) for name in columns)
    for path in paths:
        is_mapped = any(mapped[: len(path)] == path for mapped in mapper.mapped)
        if path[0] == CUSTOM and len(path) > 1 and not (path[1] in columns or has_objects or is_mapped):
            yield path[1]
