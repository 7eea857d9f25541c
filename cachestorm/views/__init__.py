"""Typed views: some keys of a cache as a mapping to values of one type."""

from cachestorm.views.schemas import ValidationError
from cachestorm.views.view import View

__all__ = ["ValidationError", "View"]
