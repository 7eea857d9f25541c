"""The schema: the CRD, drawn from the dataclasses of `resource`.

Called by `cachestorm operator crd`, whose output is `deploy/helm/cachestorm-operator/crds`, and
by the tests, which compare the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final, cast, get_args, get_origin

from cachestorm_server.kube.resource import (
    GROUP,
    KIND,
    LONGEST_NAME,
    PLURAL,
    RULES,
    VERSION,
    Field,
    Spec,
    Status,
    camel,
    declared,
    plain,
)

Schema = dict[str, object]

_COLUMNS: Final = (
    ("Replicas", "integer", ".spec.replicas"),
    ("Ready", "integer", ".status.readyReplicas"),
    ("Phase", "string", ".status.phase"),
    ("Cluster", "string", ".status.clusterStatus"),
    ("Moving", "integer", ".status.migration.slotsLeft"),
    ("Age", "date", ".metadata.creationTimestamp"),
)
_SCALARS: Final = {str: "string", int: "integer", bool: "boolean"}


def crd() -> Schema:
    """The CustomResourceDefinition."""
    spec = _object(Spec, "What is asked for.")
    spec["x-kubernetes-validations"] = [
        {"rule": rule, "message": text} for rule, _, text in RULES
    ]
    spec["default"] = {}
    # names of services and pods are made of it
    name_rule = {
        "rule": f"size(self.metadata.name) <= {LONGEST_NAME}",
        "message": f"metadata.name: at most {LONGEST_NAME} characters",
    }
    whole = {
        "type": "object",
        "description": "Servers of CacheStorm, kept by its operator.",
        "x-kubernetes-validations": [name_rule],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": _object(Status, "What there is.", is_status=True),
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["storm"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": whole},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path}
                        for name, kind, path in _COLUMNS
                    ],
                }
            ],
        },
    }


def _object(section: Any, meaning: str, is_status: bool = False) -> Schema:
    defaults = {each.name: each for each in fields(section)}
    properties: dict[str, Schema] = {}
    required = []
    for name, kind, told in declared(section):
        each = defaults[name]
        schema = _schema(kind, told, is_status)
        if each.default is MISSING and each.default_factory is MISSING:
            required.append(camel(name))
        elif not is_status:
            # the defaults within an object are its own fields'
            schema["default"] = {} if is_dataclass(kind) else plain(_default(each))
        properties[camel(name)] = schema
    whole: Schema = {"type": "object", "description": meaning, "properties": properties}
    if required:
        whole["required"] = required
    return whole


def _default(each: Any) -> object:
    return each.default_factory() if each.default is MISSING else each.default


def _schema(kind: Any, told: Field, is_status: bool) -> Schema:
    meaning = told.meaning[0].upper() + told.meaning[1:] + "."
    if is_dataclass(kind):
        return _object(cast(type, kind), meaning, is_status)
    schema: Schema = {"description": meaning}
    origin = get_origin(kind)
    if origin is tuple:
        item = get_args(kind)[0]
        schema |= {"type": "array", "items": _items(item, is_status)}
    elif origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        schema |= _mapping(get_args(kind)[1])
    else:
        schema["type"] = _SCALARS[kind]
    if told.least is not None:
        schema["minimum"] = told.least
    if told.most is not None:
        schema["maximum"] = told.most
    if told.one_of:
        schema["enum"] = list(told.one_of)
    if told.pattern:
        # empty: the field is left out
        schema["pattern"] = f"^$|{told.pattern}"
    if told.fixed:
        schema["x-kubernetes-validations"] = [
            {
                "rule": "self == oldSelf",
                "message": "cannot change; delete the resource and make another",
            }
        ]
    return schema


def _items(kind: Any, is_status: bool) -> Schema:
    if is_dataclass(kind):
        return _object(cast(type, kind), (cast(type, kind).__doc__ or "").strip(), is_status)
    return _mapping(object)


def _mapping(value: type) -> Schema:
    if value is str:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
