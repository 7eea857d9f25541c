"""ACL beside real servers: random rules make the same users, who are denied the same calls.

Valkey spells the rules of commands as Redis 7.2 does, in the order in which they were said;
Redis 7.0 draws them from its own commands, so that there what they permit is compared, not the
text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
import redis
from real_servers import RealServer
from security_servers import application

from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import CacheStormError

ROUNDS = 60


def words(text: str) -> list[str]:
    return text.split()


ARGUMENTS = ("a:1", "b:2", "c", "1", "2", "0", "x", "LEFT", "NX", "COUNT", "*", "KEYS")
PATTERNS = ("a:*", "b:?", "[ab]:*", "c", "*:2", "x*x", "", r"\a*", "*")
COMMANDS = words(
    "get set mget mset del exists copy rename zunionstore sort lmpop eval object|encoding "
    "object config config|get client|id client select publish subscribe psubscribe set|x "
    "select|1 command command|docs nope config|nope get| multi blpop memory|usage script"
)
CATEGORIES = words(
    "read write keyspace string hash list set sortedset fast slow dangerous admin "
    "connection transaction scripting pubsub blocking bitmap geo hyperloglog nope"
)
FLAGS = words(
    "on off nopass resetpass allkeys resetkeys allchannels resetchannels allcommands "
    "nocommands +@all -@all ~* &* sanitize-payload skip-sanitize-payload clearselectors "
    ">pw >other <pw !x #abc reset bogus %R~ %W~a %RW~b %wR~c %X~a %~a ~a:* &a (+get (~a ) "
    "()"
)
ASKED = (
    *("AUTH ann wrong", "AUTH ann pw", "GET b", "DEL a:1", "CONFIG GET x", "PUBLISH x m"),
    *("SUBSCRIBE x", "SORT a:1 BY w_*", "SORT a:1 GET #", "MULTI", "GET b", "EXEC"),
    *("MULTI", "SET a:1 v", "PUBLISH c m"),
)
OWN = ("tags", "namespaces", "databases")
# what differs beside the users: a subcommand there, none here, or the other way round
UNLIKE = {"CLUSTER", "MODULE", "MODULE LIST", "MODULE HELP"}
# what is generic is about keys here
UNLIKE |= {"WAIT", "WAITAOF"}


def rule(chance: random.Random) -> str:
    kind = chance.randrange(8)
    if kind == 0:
        return chance.choice(FLAGS)
    if kind == 1:
        return chance.choice(("~", "%R~", "%W~", "~", "&")) + chance.choice(PATTERNS)
    if kind == 2:
        return chance.choice("+-") + "@" + chance.choice(CATEGORIES)
    if kind == 3 and chance.random() < 0.5:
        inner = " ".join(rule(chance) for _ in range(chance.randint(0, 3)))
        return f"({inner})"
    return chance.choice("+-") + chance.choice(COMMANDS)


def rules(chance: random.Random) -> list[str]:
    return [rule(chance) for _ in range(chance.randint(0, 6))]


def asked(client: redis.Redis, *argv: str) -> object:
    try:
        return client.execute_command(*argv)
    except redis.ResponseError as error:
        return f"{type(error).__name__}: {error}"


def raw(port: int) -> redis.Redis:
    client = redis.Redis(port=port, protocol=3, decode_responses=True)
    client.response_callbacks.clear()
    return client


@pytest.fixture(scope="module")
def ours() -> Iterator[redis.Redis]:
    with application({"http.enabled": False}) as server, raw(server.resp.port) as client:
        yield client


@pytest.fixture(scope="module")
def theirs(real_server: RealServer) -> Iterator[redis.Redis]:
    with raw(real_server.port) as client:
        yield client
        client.execute_command("ACL", "DELUSER", "ann")


def shown(user: object, is_older: bool) -> object:
    """ACL GETUSER without what only one side has."""
    if not isinstance(user, dict):
        return user
    left_out = (*OWN, "commands") if is_older else OWN
    found = {name: value for name, value in user.items() if name not in left_out}
    found["selectors"] = [shown(each, is_older) for each in found.get("selectors", [])]
    if "flags" in found:
        # Valkey does not show whether payloads are checked
        flags = [flag for flag in found["flags"] if is_older or "sanitize" not in flag]
        found["flags"] = sorted(flags)
    return found


def line_of(client: redis.Redis) -> list[str]:
    """The words of the line of ACL LIST that is about the user."""
    lines = client.execute_command("ACL", "LIST")
    words = next((line for line in lines if line.startswith("user ann ")), "").split()
    return [word for word in words if "sanitize" not in word]


@pytest.mark.parametrize("seed", range(3))
def test_random_rules_make_the_same_user(seed, ours, theirs, real_server) -> None:
    chance = random.Random(seed)
    for client in (ours, theirs):
        client.execute_command("ACL", "DELUSER", "ann")
    for _ in range(ROUNDS):
        if chance.random() < 0.3:
            assert asked(ours, "ACL", "DELUSER", "ann") == asked(
                theirs, "ACL", "DELUSER", "ann"
            )
        said = rules(chance)
        for word in said:
            expected = asked(theirs, "ACL", "SETUSER", "ann", word)
            assert asked(ours, "ACL", "SETUSER", "ann", word) == expected, said
        expected = asked(theirs, "ACL", "SETUSER", "ann", *said)
        assert asked(ours, "ACL", "SETUSER", "ann", *said) == expected, said
        users = [asked(each, "ACL", "GETUSER", "ann") for each in (ours, theirs)]
        ours_shown, theirs_shown = (shown(user, real_server.is_older) for user in users)
        assert ours_shown == theirs_shown, said
        if not real_server.is_older:
            assert line_of(ours) == line_of(theirs), said


def calls(chance: random.Random) -> Iterator[list[str]]:
    """Calls of all commands that are not our own, with words that say which keys they have."""
    for declaration in REGISTRY:
        if not declaration.own and declaration.name not in UNLIKE:
            plan = REGISTRY.plan(declaration.name)
            assert plan is not None
            name = declaration.name.split()
            count = (
                abs(plan.arity) - len(name) + (chance.randint(0, 2) if plan.arity < 0 else 0)
            )
            argv = [*name, *(chance.choice(ARGUMENTS) for _ in range(count))]
            with suppress(CacheStormError):
                plan.names(list(argv))
                yield argv


def settled(answer: object) -> object:
    """A denial in the words of Redis 7.2."""
    return str(answer).replace("This user has", "User ann has")


@pytest.mark.parametrize("seed", range(3))
def test_users_are_denied_the_same_calls(seed, ours, theirs, real_server) -> None:
    chance = random.Random(seed)
    unlike = []
    for _ in range(4):
        said = ["reset", *(word for word in rules(chance) + rules(chance))]
        for word in said:
            asked(ours, "ACL", "SETUSER", "ann", word)
            asked(theirs, "ACL", "SETUSER", "ann", word)
        for argv in calls(chance):
            one, other = (asked(each, "ACL", "DRYRUN", "ann", *argv) for each in (ours, theirs))
            # of a command that it has not, or has had other arguments at that time
            if "not found" in str(other) or "wrong number" in str(other):
                continue
            if argv[0] == "PFMERGE" and len(argv) == 2:
                # there it has a first source or no key at all, and anybody may call it
                assert "no permissions" not in str(other) or settled(one) == settled(other)
                continue
            if settled(one) != settled(other):
                unlike.append((said, argv, one, other))
    assert unlike == []


def test_a_limited_user_is_refused_in_the_same_words(ours, theirs, real_server) -> None:
    if real_server.is_older:
        pytest.skip("its words are those before Redis 7.2")
    said = ["reset", "on", ">pw", "~a:*", "&c*", "+@all", "-del"]
    replies = []
    for client in (ours, theirs):
        client.execute_command("ACL", "SETUSER", "ann", *said)
        port = client.connection_pool.connection_kwargs["port"]
        ann = redis.Connection(port=port, decode_responses=True)
        with ExitStack() as stack:
            stack.callback(ann.disconnect)
            heard = []
            for line in ASKED:
                ann.send_command(*line.split())
                heard.append(answer(ann))
            client.execute_command("ACL", "SETUSER", "ann", "-set", "resetchannels")
            ann.send_command("EXEC")
            heard.append([str(each) for each in ann.read_response()])
            replies.append(heard)
    assert replies[0] == replies[1]


def answer(connection: redis.Connection) -> str:
    try:
        return str(connection.read_response())
    except redis.RedisError as error:
        return f"{type(error).__name__}: {error}"
