"""What the vendor's SDK says of operations: its signatures, types and docstrings, as they are installed."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import openapi_client.api
import openapi_client.models
from klaviyo_api import KlaviyoAPI
from pydantic import BaseModel

REVISION = KlaviyoAPI._REVISION


@cache
def _group(operation: str) -> type:
    """The class that has an operation."""
    for path in sorted(Path(openapi_client.api.__path__[0]).glob("*.py")):
        if f"    def {operation}(" in path.read_text("utf-8"):
            module = importlib.import_module(f"openapi_client.api.{path.stem}")
            groups = [group for _, group in inspect.getmembers(module, inspect.isclass)]
            return next(group for group in groups if hasattr(group, operation))
    raise KeyError(operation)


def facts(operation: str) -> dict[str, Any]:
    """Method, path, limits, scopes, the names of query parameters, filters and page size, as far as it has them."""
    group = _group(operation)
    text = str(getattr(group, operation).__doc__)
    source = inspect.getsource(getattr(group, f"_{operation}_serialize"))
    told: dict[str, Any] = {}
    for name, limit in re.findall(r"(Burst|Steady|Daily): `([\d,]+)/", text):
        # The first is the operation's; those of some parameters follow.
        told.setdefault(name.lower(), int(limit.replace(",", "")))
    scopes = re.search(r"\*\*Scopes:\*\*((?:\s*`[\w:-]+`)+)", text)
    [(http_method, path)] = re.findall(r"method='(\w+)',\s+resource_path='([^']+)'", source)
    told |= {"method": http_method, "path": path, "scopes": re.findall(r"`([\w:-]+)`", scopes[1]) if scopes else []}
    told["parameters"] = set(re.findall(r"_query_params\.append\(\('([^']+)'", source))
    if filters := re.search(r":param filter: (.*)", text):
        rules = re.findall(r"`([\w.]+)`: ((?:`[\w-]+`(?:, )?)+)", filters[1])
        told["filters"] = {field: set(re.findall(r"`([\w-]+)`", names)) for field, names in rules}
    if size := re.search(r":param page_size: Default: (\d+)\. Min: (\d+)\. Max: (\d+)", text):
        told["page_size"] = dict(zip(("default", "minimum", "maximum"), map(int, size.groups()), strict=True))
    return told


@cache
def _attributes(kind: str) -> list[type[BaseModel]]:
    """The models of the attributes that resources of a JSON:API type have in answers."""
    # There are thousands of modules; only those are imported that have to do with the type.
    enum = "".join(map(str.capitalize, kind.split("-"))) + "Enum"
    found = []
    for path in sorted(Path(openapi_client.models.__path__[0]).glob("*response*.py")):
        text = path.read_text("utf-8")
        if f"\n    type: {enum}\n" not in text or "\n    attributes: " not in text:
            continue
        module = importlib.import_module(f"openapi_client.models.{path.stem}")
        models = [model for _, model in inspect.getmembers(module, inspect.isclass)]
        own = [model for model in models if model.__module__ == module.__name__]
        found += [part for model in own for part in _parts(model.model_fields["attributes"].annotation)]
    return found


def has_field(kind: str, name: str) -> bool:
    """Whether a resource of a type has an attribute of this name; parts of one have points before them."""
    return name == "id" or any(_leads(model, name.split(".")) for model in _attributes(kind))


def _leads(model: type, path: list[str]) -> bool:
    fields = {field.alias or name: field for name, field in getattr(model, "model_fields", {}).items()}
    if not path:
        return True
    if path[0] not in fields:
        return False
    parts = list(_parts(fields[path[0]].annotation))
    # Where one of several forms may stand, the SDK has a dictionary, and says nothing of what is in it.
    return dict in parts or any(_leads(part, path[1:]) for part in parts)


def _parts(annotation: Any) -> Iterator[type]:
    """The classes in an annotation, however deep."""
    if isinstance(annotation, type):
        yield annotation
    elif getattr(annotation, "__origin__", None) is dict:
        yield dict
    else:
        for argument in get_args(annotation):
            yield from _parts(argument)
