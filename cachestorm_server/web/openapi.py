"""The OpenAPI document of the endpoint, made of how its paths and the commands are declared.

Called by the pages. Pure: facts in, a document out.

1. Every path and parameter is a `Route`, every schema of a command its notation. Nothing is
   listed here by hand.
2. OpenAPI 3.1 has no PURGE: these operations are under `x-purge` of their path.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from typing import Final

from cachestorm import __version__
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import Double, Integer
from cachestorm.declare.notation import TOKEN
from cachestorm.declare.registry import Registry
from cachestorm.declare.spelling import names_of
from cachestorm_server.settings import COMMANDS_PATH
from cachestorm_server.web.routes import INTEGER, Parameter, Route

Document = dict[str, object]

_METHODS: Final = frozenset({"GET", "PUT", "POST", "DELETE"})
_PROBLEM: Final[Document] = {
    "description": "A problem, as RFC 9457 has it.",
    "content": {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
    },
}
_SCHEMAS: Final[Document] = {
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "detail", "error"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "error": {"$ref": "#/components/schemas/Error"},
            "why": {"description": "Why a key is missing, where that is remembered."},
        },
    },
    "Error": {
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
    },
    "ByPosition": {
        "type": "object",
        "description": "A command as a list of words.",
        "required": ["command"],
        "additionalProperties": False,
        "properties": {
            "command": {"type": "array", "minItems": 1},
            "namespace": {"type": "string"},
        },
    },
    "Batch": {
        "type": "object",
        "description": "Many commands; in one step, if `atomic` says so.",
        "required": ["commands"],
        "additionalProperties": False,
        "properties": {
            "commands": {"type": "array", "items": {"$ref": "#/components/schemas/Command"}},
            "atomic": {"type": "boolean"},
            "watch": {"description": "Keys to watch, or the token of those that are."},
            "namespace": {"type": "string"},
        },
    },
}


def openapi(routes: list[Route], registry: Registry) -> Document:
    """The document.

    Args:
        routes: all of the endpoint.
        registry: of the commands that may be posted, but for those of a connection.
    """
    commands = [each for each in registry if not each.connection]
    paths: dict[str, Document] = {}
    for route in routes:
        item = paths.setdefault(route.path, {})
        method = route.method if route.method in _METHODS else f"x-{route.method}"
        item[method.lower()] = _operation(route)
    named = {_schema_name(each): _command_schema(each) for each in commands}
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in ("ByPosition", *named)]
    one = {"$ref": "#/components/schemas/Command"}
    body: Document = {
        "anyOf": [
            one,
            {"type": "array", "items": one, "description": "A pipeline."},
            {"$ref": "#/components/schemas/Batch"},
        ]
    }
    post = paths[COMMANDS_PATH]["post"]
    assert isinstance(post, dict)
    post["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CacheStorm",
            "version": __version__,
            "description": "A cache with tags: keys as resources, commands as JSON.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"password": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"password": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_SCHEMAS, "Command": {"anyOf": refs}, **named},
        },
    }


def _operation(route: Route) -> Document:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": "In percent-encoded bytes.",
            "schema": {"type": "string", "minLength": 1},
        }
        for name in route.names
    ]
    responses: Document = {}
    for status, text in route.answers.items():
        responses[str(status)] = (
            {**_PROBLEM, "description": text} if status >= 400 else _answer(route, status, text)
        )
    responses["default"] = _PROBLEM
    operation: Document = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.group],
        "parameters": [*parameters, *(_parameter(each) for each in route.parameters)],
        "responses": responses,
    }
    if route.is_open:
        operation["security"] = []
    if route.takes:
        schema: Document = {} if route.takes == "*/*" else {"type": "object"}
        operation["requestBody"] = {"content": {route.takes: {"schema": schema}}}
    return operation


def _answer(route: Route, status: int, text: str) -> Document:
    if status in (201, 204, 304):
        return {"description": text}
    return {"description": text, "content": {route.media: {"schema": {}}}}


def _operation_id(route: Route) -> str:
    words = route.path.replace("{", "by-").replace("}", "").strip("/").replace("/", "-")
    return f"{route.method.lower()}-{words or 'root'}"


def _parameter(parameter: Parameter) -> Document:
    schema: Document = {"type": parameter.kind}
    if parameter.kind == INTEGER:
        schema |= {"minimum": parameter.least, "maximum": parameter.most}
        schema["default"] = parameter.default
    if parameter.repeats:
        schema = {"type": "array", "items": schema}
    return {
        "name": parameter.name,
        "in": "header" if parameter.header else "query",
        "description": parameter.text,
        "schema": schema,
    }


def _schema_name(declaration: Declaration) -> str:
    return declaration.name.title().replace(" ", "")


def _command_schema(declaration: Declaration) -> Document:
    """A command with its arguments by name."""
    properties: Document = {
        "command": {"type": "string", "const": declaration.name},
        "namespace": {"type": "string"},
    }
    required = ["command"]
    top = {each.name: each for each in declaration.notation.arguments}
    for name in names_of(declaration):
        node = top.get(name)
        schema: Document = {}
        if node is not None and not node.multiple:
            if node.shape == TOKEN:
                schema = {"type": "boolean"}
            elif isinstance(node.kind, (Integer, Double)):
                schema = {"type": ["integer", "number", "string"]}
        properties[name] = schema
        if node is not None and node.kind is not None and not node.optional:
            required.append(name)
    return {
        "type": "object",
        "description": declaration.summary,
        "required": required,
        "properties": properties,
        "x-syntax": declaration.spec,
    }


def commands_list(registry: Registry) -> list[Document]:
    """What a console needs to complete commands: of each its name, arguments and summary."""
    return [
        {
            "name": each.name,
            "group": each.group,
            "summary": each.summary,
            "arguments": names_of(each),
            "writes": each.writes,
        }
        for each in sorted(registry, key=lambda each: each.name)
        if not each.connection
    ]
