"""Loading: values that are made when they are missing, once for all who want them."""

from cachestorm.loading.context import LoadContext, current_load
from cachestorm.loading.options import LoadTimeoutError

__all__ = ["LoadContext", "LoadTimeoutError", "current_load"]
