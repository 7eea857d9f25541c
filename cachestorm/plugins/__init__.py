"""Plugins: what their authors need. `docs/plugins.md` has a tour.

from cachestorm.plugins import Call, Refused, hookimpl
"""

from __future__ import annotations

from cachestorm.errors import PluginError
from cachestorm.hooks import Call
from cachestorm.plugins.commands import declare
from cachestorm.plugins.routes import Request, Response, Route
from cachestorm.plugins.specs import Refused, hookimpl

__all__ = [
    "Call",
    "PluginError",
    "Refused",
    "Request",
    "Response",
    "Route",
    "declare",
    "hookimpl",
]
