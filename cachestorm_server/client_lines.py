"""How a client is described: the line of CLIENT LIST, CLIENT INFO and ACL LOG.

Called by these; reads sessions, and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachestorm_server.databases import database_of
from cachestorm_server.info import SESSION_BYTES

if TYPE_CHECKING:
    from cachestorm_server.session import Session


def describe(session: Session) -> str:
    """A session as CLIENT LIST shows it: one line, fields as Redis 7.2 has them.

    `namespace` is ours, and stands behind all others.
    """
    endpoint = session.endpoint
    states = {
        "S": session.is_replica,
        "O": session.id in endpoint.monitors,
        "P": session.is_subscribed(),
        "b": session.is_blocked(),
        "x": session.transaction is not None,
        "t": session.tracked is not None,
        "R": session.tracked is not None and session.tracked.is_broken,
        "B": session.tracked is not None and session.tracked.broadcasts,
        "e": session.no_evict,
        "T": session.no_touch,
    }
    flags = "".join([flag for flag, holds in states.items() if holds])
    transaction = session.transaction
    queued = -1 if transaction is None else len(transaction.requests)
    queued_bytes = 0 if transaction is None else transaction.size_bytes
    listens = [0, 0, 0]
    if session.subscriptions is not None:
        listens = [len(names) for names in session.subscriptions.names]
    plan = session.plan
    redirect = -1 if session.tracked is None else session.tracked.redirect
    query_bytes = session.reader.pending_bytes
    unsent_bytes = 0 if session.carrier is None else session.carrier.unsent_bytes()
    return (
        f"id={session.id} addr={session.address} laddr={session.local_address} fd=-1 "
        f"name={session.name} age={endpoint.tick - session.opened_tick} "
        f"idle={endpoint.tick - session.seen_tick} flags={flags or 'N'} "
        f"db={database_of(session.cache.name)} "
        f"sub={listens[0]} psub={listens[1]} ssub={listens[2]} multi={queued} "
        f"qbuf={query_bytes} qbuf-free=0 argv-mem=0 multi-mem={queued_bytes} rbs=0 rbp=0 "
        f"obl=0 oll={int(unsent_bytes > 0)} omem={unsent_bytes} "
        f"tot-mem={SESSION_BYTES + query_bytes + queued_bytes + unsent_bytes} events=r "
        f"cmd={plan.declaration.full_name if plan else 'NULL'} user={session.user.name} "
        f"redir={redirect} "
        f"resp={3 if session.resp3 else 2} lib-name={session.library_name} "
        f"lib-ver={session.library_version} namespace={session.cache.name}\n"
    )
