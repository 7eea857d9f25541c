"""Users: who may do what, over RESP, and what a change means for who is there already."""

from __future__ import annotations

import pytest
from asking import Client, an_endpoint, logged_in, the_admin

OK = b"+OK\r\n"
NONE = b"$-1\r\n"
QUEUED = b"+QUEUED\r\n"
NO_KEY = b"-NOPERM No permissions to access a key\r\n"
NO_TAG = b"-NOPERM No permissions to access a tag\r\n"
NO_SPACE = b"-NOPERM No permissions to access a namespace\r\n"
NO_CHANNEL = b"-NOPERM No permissions to access a channel\r\n"
WRONG = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
CHANGED = (
    b"-NOPERM ACLs rules changed between the moment the transaction was accumulated and the "
    b"EXEC call. This command is no longer allowed for the following reason: "
)


def no_command(name: str) -> bytes:
    return f"-NOPERM User ann has no permissions to run the '{name}' command\r\n".encode()


def test_a_new_user_can_do_nothing_and_nobody_can_be_it() -> None:
    admin = the_admin()
    assert admin.ask("ACL SETUSER ann", "AUTH ann x") == OK + WRONG
    ann = logged_in(admin)
    assert ann.ask("GET k", "PING") == no_command("get") + no_command("ping")
    # to say who one is, and to leave, is not denied
    assert ann.ask("AUTH default x", "RESET", "QUIT") == OK + b"+RESET\r\n" + OK


def test_what_may_name_no_more_than_is_permitted_is_asked_about_when_it_does() -> None:
    admin = the_admin()
    ann = logged_in(admin, "~* +@all")
    # one command again and again, whose words alone tell of tags
    assert ann.ask("SET k v", "SET k v", "SET k v EX 9", "SET k v KEEPTTL") == OK * 4
    assert ann.ask("SET k v TAGS t", "SET k v", "SET k v EX 9 TAGS t") == NO_TAG + OK + NO_TAG
    assert ann.ask("GET k", "GET k") == b"$1\r\nv\r\n" * 2
    # and it holds at once when the user changes
    admin.ask("ACL SETUSER ann resetkeys ~a")
    assert ann.ask("GET k", "GET a", "SET k v", "SET a v") == NO_KEY + NONE + NO_KEY + OK
    admin.ask("ACL SETUSER ann -get ~*")
    assert ann.ask("GET k", "SET k v") == no_command("get") + OK
    admin.ask("ACL SETUSER ann +get (~x alltags +set)")
    assert ann.ask("SET x v TAGS t", "SET k v TAGS t", "SET k v") == OK + NO_TAG + OK


def test_a_command_needs_all_of_its_keys_each_in_the_way_it_is_used() -> None:
    ann = logged_in(the_admin(), "~a:* %R~r:* %W~w:* +@all")
    assert ann.ask("SET a:1 v", "GET a:1") == OK + b"$1\r\nv\r\n"
    assert ann.ask("GET r:1", "SET r:1 v") == NONE + NO_KEY
    assert ann.ask("SET w:1 v", "GET w:1", "GETSET w:1 x") == OK + NO_KEY * 2
    assert ann.ask("MGET a:1 r:1", "MGET a:1 w:1", "MSET a:1 v r:1 v") == (
        b"*2\r\n$1\r\nv\r\n$-1\r\n" + NO_KEY * 2
    )
    # an option makes of a key that is overwritten one that is read, too
    assert ann.ask("SET w:1 v EX 60", "SET w:1 v GET") == OK + NO_KEY
    # whose value is not told, any pattern will do
    assert ann.ask("EXISTS w:1", "STRLEN r:1", "EXISTS x") == b":1\r\n:0\r\n" + NO_KEY
    assert ann.ask("COPY a:1 w:2", "COPY w:1 a:2", "RENAME a:1 r:2") == b":1\r\n" + NO_KEY * 2


def test_keys_behind_numbers_and_tokens_are_found() -> None:
    ann = logged_in(the_admin(), "~a:* +@all")
    assert ann.ask("ZUNION 2 a:1 b", "ZUNIONSTORE b 1 a:1", "EVAL x 1 b") == NO_KEY * 3
    assert ann.ask("SORT a:1 STORE b", "SINTERCARD 2 a:1 b", "LMPOP 1 b LEFT") == NO_KEY * 3
    assert ann.ask("ZUNION 2 a:1 a:2", "SORT a:1 STORE a:2") == b"*0\r\n:0\r\n"


def test_sort_reads_other_keys_only_for_who_may_read_all() -> None:
    admin = the_admin()
    ann = logged_in(admin, "~a:* +@all")
    denied = b"-ERR %b option of SORT denied due to insufficient ACL permissions.\r\n"
    assert ann.ask("SORT a:1 BY w_*", "SORT a:1 GET #") == denied % b"BY" + denied % b"GET"
    assert ann.ask("SORT a:1 BY nosort") == b"*0\r\n"
    assert logged_in(admin, "~* +@all").ask("SORT a:1 BY w_* GET #") == b"*0\r\n"


def test_words_that_the_command_refuses_are_refused_by_it() -> None:
    ann = logged_in(the_admin(), "~a:* +@all")
    assert ann.ask("ZUNION x a:1") == b"-ERR value is not an integer or out of range\r\n"
    assert ann.ask("GET") == b"-ERR wrong number of arguments for 'get' command\r\n"
    assert ann.ask("FROBNICATE").startswith(b"-ERR unknown command")


def test_of_a_long_name_that_is_no_category_the_beginning_is_told() -> None:
    told = b"-ERR Unknown category '%b'\r\n" % (b"a" * 128)
    assert the_admin().ask("ACL CAT " + "a" * 300) == told


def test_one_selector_that_permits_all_of_a_call_is_enough() -> None:
    ann = logged_in(the_admin(), "+get ~a:* (+set ~b:*)")
    assert ann.ask("GET a:1", "SET b:1 v") == NONE + OK
    assert ann.ask("SET a:1 v", "GET b:1", "DEL a:1") == NO_KEY * 2 + no_command("del")


def test_tags_are_names_of_their_own() -> None:
    ann = logged_in(the_admin(), "~* +@all tag:user:*")
    assert ann.ask("SET k v TAGS user:1", "SET k v EX 9 tags user:1 x") == OK + NO_TAG
    assert ann.ask("SETTAG k v user:1", "ADDTAG k x", "TAGKEYS x") == OK + NO_TAG * 2
    assert ann.ask("INVALIDATE x", "INVALIDATE user:1") == NO_TAG + b":1\r\n"
    assert ann.ask("TAGLINK user:1 x", "TAGLINK user:1 user:2") == NO_TAG + OK
    assert ann.ask("SET k TAGS", "SET k v EX 60") == OK + OK


def test_without_a_rule_no_tag_is_permitted() -> None:
    admin = the_admin()
    assert logged_in(admin, "~* +@all").ask("INVALIDATE t") == NO_TAG
    assert logged_in(admin, "~* +@all alltags").ask("INVALIDATE t") == b":0\r\n"


def test_namespaces_limit_where_a_command_works_and_what_it_names() -> None:
    ann = logged_in(the_admin(), "~* +@all alltags ns:blog ns:db*")
    assert ann.ask("GET k", "DBSIZE", "KEYS *", "INVALIDATE t") == NO_SPACE * 4
    assert ann.ask("NAMESPACE blog", "SET k v", "DBSIZE") == OK + OK + b":1\r\n"
    assert ann.ask("NAMESPACE shop", "SELECT 0", "NAMESPACEDEL shop") == NO_SPACE * 3
    assert ann.ask("MOVE k 0", "COPY k k2 DB 0", "SWAPDB 1 0") == NO_SPACE * 3
    assert ann.ask("COPY k k2 DB 1", "SELECT 1", "GET k2") == b":1\r\n" + OK + b"$1\r\nv\r\n"
    assert ann.ask("FLUSHALL", "FLUSHDB") == NO_SPACE + OK
    assert ann.ask("SELECT x") == b"-ERR value is not an integer or out of range\r\n"


def test_channels_are_permitted_by_patterns_and_patterns_by_their_text() -> None:
    ann = logged_in(the_admin(), "+@all &news:*")
    assert ann.ask("PUBLISH news:1 m", "PUBLISH x m", "SPUBLISH x m") == (
        b":0\r\n" + NO_CHANNEL * 2
    )
    assert ann.ask("SUBSCRIBE news:1 x", "PSUBSCRIBE news:1*", "SSUBSCRIBE x") == NO_CHANNEL * 3
    assert ann.ask("PSUBSCRIBE news:*").startswith(b"*3\r\n$10\r\npsubscribe")
    assert ann.ask("PUNSUBSCRIBE x").startswith(b"*3\r\n$12\r\npunsubscribe")


def test_first_arguments_permit_what_is_else_denied() -> None:
    ann = logged_in(the_admin(), "+select|1 +config|get")
    assert ann.ask("SELECT 1", "SELECT 2") == OK + no_command("select")
    assert ann.ask("CONFIG GET port").startswith(b"*2\r\n")
    assert ann.ask("CONFIG SET timeout 1") == no_command("config|set")


def test_what_is_denied_is_not_queued_and_discards_the_transaction() -> None:
    ann = logged_in(the_admin(), "~a +@all -del")
    assert ann.ask("MULTI", "SET a 1", "GET b", "DEL a", "EXEC") == (
        OK
        + QUEUED
        + NO_KEY
        + no_command("del")
        + b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    )
    # what EXEC refuses for its words alone is queued
    refused = b"*1\r\n-ERR value is not an integer or out of range\r\n"
    assert ann.ask("MULTI", "ZUNION x a", "EXEC") == OK + QUEUED + refused


def test_exec_looks_again_at_what_was_queued() -> None:
    admin = the_admin()
    ann = logged_in(admin, "~* &* +@all")
    ann.ask("MULTI", "SET a 1", "PUBLISH c m", "GET b", "INCR n")
    admin.ask("ACL SETUSER ann -set resetchannels resetkeys ~n")
    assert ann.ask("EXEC") == (
        b"*4\r\n"
        + CHANGED
        + b"no permission to execute the command or subcommand\r\n"
        + CHANGED
        + b"no permission to access one of the channels used as arguments\r\n"
        + CHANGED
        + b"no permission to touch the specified keys\r\n"
        + b":1\r\n"
    )


def test_a_change_holds_at_once_for_who_is_there() -> None:
    admin = the_admin()
    ann = logged_in(admin, "~* +@all alltags &*")
    assert ann.ask("GET k") == NONE
    admin.ask("ACL SETUSER ann -get")
    assert ann.ask("GET k") == no_command("get")
    admin.ask("ACL SETUSER ann +@all")
    assert ann.ask("GET k") == NONE
    # one that is switched off may stay, and not come again
    admin.ask("ACL SETUSER ann off")
    assert ann.ask("GET k", "AUTH ann x") == NONE + WRONG


def test_clients_of_a_deleted_user_are_disconnected_after_their_reply() -> None:
    admin = the_admin()
    ann = logged_in(admin, "+@all ~*")
    other = Client(admin.session.endpoint)
    other.ask("AUTH ann x")
    assert ann.ask("ACL DELUSER ann nobody") == b":1\r\n"
    assert (ann.session.closing, ann.is_gone) == (True, False)
    assert (other.session.closing, other.is_gone) == (True, True)
    assert (admin.session.closing, admin.is_gone) == (False, False)


def test_who_may_not_hear_a_channel_any_more_is_disconnected() -> None:
    admin = the_admin()
    ann = logged_in(admin, "+@all &a &b")
    ann.ask("SUBSCRIBE a")
    admin.ask("ACL SETUSER ann resetchannels &a")
    assert not ann.is_gone
    admin.ask("ACL SETUSER ann resetchannels &b")
    assert ann.is_gone


def test_a_command_that_waits_for_what_is_denied_by_now_is_refused() -> None:
    admin = the_admin()
    ann = logged_in(admin, "+@all ~q")
    assert ann.ask("BLPOP q 0") == b""
    admin.ask("ACL SETUSER ann resetkeys ~x")
    assert ann.turn() == NO_KEY
    assert admin.ask("RPUSH q v", "LLEN q") == b":1\r\n:1\r\n"


def test_scripts_run_with_the_permissions_of_who_asks() -> None:
    pytest.importorskip("lupa")
    ann = logged_in(the_admin(), "~a +@all -del")
    denied = b"-ERR ACL failure in script: No permissions to access a key"
    assert ann.ask("""EVAL "return redis.pcall('get', 'b')" 0""") == denied + b"\r\n"
    assert ann.ask("""EVAL "return redis.call('get', 'b')" 0""").startswith(
        denied + b" script:"
    )
    assert b"no permissions to run the 'del'" in ann.ask("EVAL \"redis.call('del', 'a')\" 0")
    known = "EVAL \"return redis.acl_check_cmd('get', ARGV[1])\" 0 "
    assert ann.ask(known + "a", known + "b") == b":1\r\n" + NONE


def test_passwords_are_kept_as_hashes_and_each_of_them_will_do() -> None:
    admin = the_admin()
    admin.ask("ACL SETUSER ann on >one >two", "ACL SETUSER bob off >one")
    client = Client(admin.session.endpoint)
    assert client.ask("AUTH ann one", "AUTH ann two", "AUTH ann three") == OK + OK + WRONG
    assert client.ask("AUTH bob one", "AUTH nobody one") == WRONG * 2
    shown = admin.ask("ACL GETUSER ann")
    assert b"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" in shown
    assert b"one" not in shown
    admin.ask("ACL SETUSER ann <one")
    assert client.ask("AUTH ann one") == WRONG


def test_hello_says_who_one_is() -> None:
    admin = the_admin(an_endpoint(password="secret"))
    assert admin.ask("GET k") == b"-NOAUTH Authentication required.\r\n"
    assert admin.ask("HELLO 2 AUTH default secret").startswith(b"*14\r\n")
    admin.ask("ACL SETUSER ann on >pw +acl|whoami")
    client = Client(admin.session.endpoint)
    assert client.ask("HELLO 3 AUTH ann wrong") == WRONG
    assert client.ask("HELLO 2 AUTH ann pw").startswith(b"*14\r\n")
    assert client.ask("ACL WHOAMI") == b"$3\r\nann\r\n"
    assert client.ask("RESET", "ACL WHOAMI").endswith(b"-NOAUTH Authentication required.\r\n")


def test_requirepass_is_the_password_of_the_default_user() -> None:
    admin = the_admin()
    assert admin.ask("CONFIG SET requirepass secret") == OK
    client = Client(admin.session.endpoint)
    assert client.ask("PING", "AUTH secret", "PING") == (
        b"-NOAUTH Authentication required.\r\n" + OK + b"+PONG\r\n"
    )
    assert client.ask("CONFIG SET requirepass ''") == OK
    assert Client(admin.session.endpoint).ask("PING") == b"+PONG\r\n"


def test_the_default_user_can_be_limited_like_any_other() -> None:
    admin = the_admin()
    assert admin.ask("ACL SETUSER default -@dangerous", "FLUSHALL") == (
        OK + no_command("flushall").replace(b"ann", b"default")
    )
    assert admin.ask("SET k v") == OK


def test_the_log_tells_what_was_denied_and_who_failed_to_log_in() -> None:
    admin = the_admin()
    ann = logged_in(admin, "~a +@all -del &*")
    ann.ask("GET b", "GET b", "DEL a", "MULTI", "GET c", "DISCARD", "AUTH ann", "AUTH bob x")
    log = admin.session.endpoint.users.log
    assert [
        (each["reason"], each["context"], each["object"], each["username"], each["count"])
        for each in log.latest(10)
    ] == [
        ("auth", "toplevel", "AUTH", "bob", 1),
        ("key", "multi", "c", "ann", 1),
        ("command", "toplevel", "del", "ann", 1),
        ("key", "toplevel", "b", "ann", 2),
    ]
    assert "addr=10.1.2.3:4567" in str(log.latest(1)[0]["client-info"])
    assert admin.ask("CONFIG SET acllog-max-len 1", "ACL LOG 9").startswith(OK + b"*1\r\n")
    assert admin.ask("ACL LOG RESET", "ACL LOG") == OK + b"*0\r\n"


def test_rules_that_are_refused_change_nothing() -> None:
    admin = the_admin()
    before = admin.ask("ACL SETUSER ann on ~a +get", "ACL LIST")
    assert admin.ask("ACL SETUSER ann off ~b +set +frobnicate").startswith(b"-ERR Error in ACL")
    assert admin.ask("ACL SETUSER bob on +frobnicate").startswith(b"-ERR Error in ACL")
    assert OK + admin.ask("ACL LIST") == before


def test_a_line_of_acl_list_makes_the_same_user_again() -> None:
    admin = the_admin()
    rules = (
        "on >pw ~a:* %R~b ns:x tag:t tag:u* &c +@all -@write +set|x (~y +get alltags) (nopass)"
    ).replace(" (nopass)", "")
    admin.ask(f"ACL SETUSER ann {rules}")
    user = admin.session.endpoint.users.get("ann")
    assert user is not None
    line = user.describe()
    admin.ask("ACL DELUSER ann", f"ACL SETUSER ann {line.removeprefix('user ann ')}")
    again = admin.session.endpoint.users.get("ann")
    assert again is not None and again.describe() == line


def test_an_address_with_too_many_wrong_passwords_has_to_wait() -> None:
    admin = the_admin()
    admin.ask("ACL SETUSER ann on >pw")
    admin.session.endpoint.users.logins.most = 3
    client = Client(admin.session.endpoint, "10.0.0.9:1")
    assert client.ask(*["AUTH ann x"] * 3) == WRONG * 3
    refused = (
        b"-WRONGPASS too many wrong passwords from this address: try again in 1 seconds\r\n"
    )
    # the right one is not looked at either, from whatever connection of that address
    assert Client(admin.session.endpoint, "10.0.0.9:2").ask("AUTH ann pw") == refused
    assert Client(admin.session.endpoint, "10.0.0.8:1").ask("AUTH ann pw") == OK
