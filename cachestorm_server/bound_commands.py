"""The commands that are bound to a connection: `REGISTRY` has them once this is imported."""

from __future__ import annotations

from cachestorm_server import administration as administration
from cachestorm_server import clients as clients
from cachestorm_server import configuration as configuration
from cachestorm_server import connection as connection
from cachestorm_server import debugging as debugging
from cachestorm_server import introspection as introspection
from cachestorm_server import performance as performance
from cachestorm_server import pubsub as pubsub
from cachestorm_server import rewriting as rewriting
from cachestorm_server import saving as saving
from cachestorm_server import tracking_commands as tracking_commands
from cachestorm_server import transactions as transactions
from cachestorm_server.acl import commands as acl_commands  # noqa: F401
from cachestorm_server.cluster import arrivals as arrivals
from cachestorm_server.cluster import migration as migration
from cachestorm_server.replication import commands as replication_commands  # noqa: F401
from cachestorm_server.scripting import commands as scripting_commands  # noqa: F401
from cachestorm_server.scripting import function_commands as function_commands
