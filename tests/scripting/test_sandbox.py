"""The sandbox: what a script cannot reach, and what it cannot use up."""

from __future__ import annotations

import threading

import pytest
from lines import Ours, Theirs, encode

from cachestorm.cache import Cache
from cachestorm_server.scripting import scripts as scripts_module
from cachestorm_server.scripting.engine import Engine
from cachestorm_server.scripting.sandbox import _LOAD, _MODULES, LAYERS, Sandbox, _source

assert Theirs

# With a `debug` that only the test has: everything that can be reached from a script's globals.
WALK = rb"""
local load, layers, modules, getinfo, getupvalue, getmetatable, getfenv, look, answer = ...
local exports = assert(loadstring(load))(unpack(layers))
exports.connect(look, answer)
for _, module in ipairs(modules) do exports.provide(module[1], module[2]) end
local start = exports.compile('return 1', '@user_script')
local userdata, functions, seen, queue = {}, 0, {}, {{start, 'script'}}
local function push(value, path)
  if value ~= nil and not seen[value] then
    seen[value] = true
    queue[#queue + 1] = {value, path}
  end
end
while #queue > 0 do
  local value, path = queue[#queue][1], queue[#queue][2]
  queue[#queue] = nil
  local kind = type(value)
  push(getmetatable(value), path .. '!meta')
  if kind == 'table' then
    for key, item in next, value do
      push(key, path .. '!key')
      push(item, path .. '.' .. tostring(key))
    end
  elseif kind == 'function' then
    functions = functions + 1
    local at = 1
    while true do
      local name, item = getupvalue(value, at)
      if not name then break end
      push(item, path .. '^' .. name)
      at = at + 1
    end
    if getinfo(value, 'S').what ~= 'C' then push(getfenv(value), path .. '!env') end
  elseif kind == 'userdata' then
    userdata[#userdata + 1] = path
  end
end
return functions, table.concat(userdata, ' ')
"""


def test_nothing_that_a_script_can_reach_is_an_object_of_python() -> None:
    from lupa import lua51

    lua = lua51.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    walk = lua.execute(b"return assert(loadstring(...))", WALK)
    debug = lua.globals()[b"debug"]
    functions, userdata = walk(
        _LOAD,
        lua.table_from([_source(name) for name in LAYERS]),
        lua.table_from([[name.encode(), _source(name)] for name in _MODULES], recursive=True),
        debug[b"getinfo"],
        debug[b"getupvalue"],
        debug[b"getmetatable"],
        debug[b"getfenv"],
        print,
        print,
    )
    assert userdata == b""
    assert functions > 50


@pytest.mark.parametrize(
    "name",
    ["python", "io", "package", "debug", "require", "dofile", "newproxy", "setfenv", "getfenv"],
)
def test_what_reaches_out_of_the_sandbox_is_not_there(name: str) -> None:
    ours = Ours()
    assert b"nonexistent global variable" in ours.eval(f"return {name}")
    assert ours.eval(f"return rawget(_G, '{name}') == nil") == b":1\r\n"
    assert b"nonexistent" in ours.eval(f"return loadstring('return {name}')()")


def test_of_os_there_is_the_clock_alone() -> None:
    ours = Ours()
    script = (
        "local names = {} for name in pairs(os) do names[#names + 1] = name end return names"
    )
    assert ours.eval(script) == b"*1\r\n$5\r\nclock\r\n"


def test_bytecode_is_neither_made_nor_loaded() -> None:
    ours = Ours()
    assert ours.eval("return string.dump") == b"$-1\r\n"
    assert ours.eval("return ('').dump") == b"$-1\r\n"
    assert ours.eval("return loadstring('\\27Lua')") == b"$-1\r\n"
    pieces = "local pieces = {'\\27', 'Lua'} "
    load = "return load(function() return table.remove(pieces, 1) end)"
    assert ours.eval(pieces + load) == b"$-1\r\n"
    assert b"Error compiling script" in ours.eval(b"\x1bLuaQ")


def test_a_script_leaves_nothing_behind_for_the_next() -> None:
    ours = Ours()
    for script in (
        "x = 1",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "setmetatable(_G, {})",
        "string.format = 1",
        "rawset(string, 'x', 1)",
        "getmetatable('').__index = {}",
        "getmetatable('').x = 1",
        "getmetatable(_G).x = 1",
        "redis.call = 1",
        "coroutine.yield = 1",
        "loadstring('x = 1')()",
        "KEYS = 1",
        "table.insert(_G, 1)",
        "table.insert(redis, 1, 1)",
        "table.insert(cjson.null, 1)",
        "rawset(cjson.null, 'x', 1)",
        "rawset(getmetatable(''), 'x', 1)",
    ):
        assert ours.eval(script).startswith(b"-ERR "), script
    assert ours.eval("return {rawget(_G, 'x') == nil, ('%d'):format(7)}") == (
        b"*2\r\n:1\r\n$1\r\n7\r\n"
    )


def test_a_script_that_loops_for_ever_is_ended() -> None:
    ours = Ours()
    ours.session.endpoint.settings.busy_reply_ms = 50
    for script in (
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() end) end",
        "local co = coroutine.wrap(function() while true do end end) while true do co() end",
        "local create, resume = coroutine.create, coroutine.resume "
        "while true do resume(create(function() while true do end end)) end",
        "local function f() return f() end f()",
        "while true do redis.call('INCR', 'n') end",
        "while true do pcall(redis.call, 'INCR', 's') end",
        "table.sort({1, 2, 3}, function() while true do end end)",
        "setmetatable({}, {__index = function() while true do end end}).x()",
        "loadstring('while true do end')()",
        "return tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    ):
        reply = ours.eval(script)
        assert reply.startswith(b"-ERR Script killed"), (script, reply)
        assert ours.eval("return 1") == b":1\r\n"
    ours.session.endpoint.cache._check()


def test_a_script_that_allocates_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts_module, "MAX_MEMORY", 4 * 1024 * 1024)
    ours = Ours()
    digest = ours.ask(b"SCRIPT", b"LOAD", b"return 1")
    for script in (
        "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
        "return ('x'):rep(100000000)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1000) .. #t end) "
        "if #t > 1e7 then return end end",
        "for i = 1, 1e8 do redis.call('APPEND', 'k', ('x'):rep(500000)) redis.call('GET', 'k') "
        "end",
    ):
        ours.session.endpoint.settings.busy_reply_ms = 100
        ours.session.endpoint.engine = Engine()
        reply = ours.eval(script)
        assert b"not enough memory" in reply or b"Script killed" in reply, (script, reply)
        assert ours.eval("return 1") == b":1\r\n"
    assert digest
    ours.session.endpoint.cache._check()


def test_a_request_may_have_as_many_arguments_as_lua_can_pass() -> None:
    ours = Ours()
    for count in (7, 8, 9, 10, 30, 200, 7000):
        ours.ask(b"DEL", b"k")
        script = (
            f"local t = {{}} for i = 1, {count} do t[i] = i end "
            "return redis.{call}('RPUSH', 'k', unpack(t))"
        )
        assert ours.eval(script.replace("{call}", "call")) == b":%d\r\n" % count
        assert ours.eval(script.replace("{call}", "pcall")) == b":%d\r\n" % (2 * count)
        assert ours.ask(b"LINDEX", b"k", b"-1") == b"$%d\r\n%d\r\n" % (len(str(count)), count)
    refused = b"-ERR Lua redis lib command arguments must be strings or integers"
    assert ours.eval(
        "local t = {} for i = 1, 200 do t[i] = {} end redis.call(unpack(t))"
    ).startswith(refused)
    holes = "redis.call('RPUSH', 'k', 1, 2, 3, 4, 5, 6, 7, 8, 9, nil, 11)"
    assert ours.eval(holes).startswith(refused)


def test_deep_recursion_is_an_error_of_the_script() -> None:
    ours = Ours()
    assert b"stack overflow" in ours.eval("local function f() return 1 + f() end return f()")
    nested = "local function f() return pcall(f) end return {f()}"
    assert ours.eval(nested).startswith((b"*", b"-ERR"))
    assert b"stack overflow" in ours.eval(
        "local function f() local ok, e = pcall(f) if not ok then error(e, 0) end end f()"
    )
    assert ours.eval("return 1") == b":1\r\n"


def test_a_table_of_itself_is_not_returned() -> None:
    ours = Ours()
    assert ours.eval("local t = {} t[1] = t return t") == b"-ERR reached lua stack limit\r\n"
    assert ours.eval("local t = {} t.map = t return t") == b"-ERR reached lua stack limit\r\n"


def test_what_was_written_before_an_error_stays() -> None:
    cache = Cache()
    ours = Ours(cache)
    assert ours.eval("redis.call('SET', 'k', 1) error('x')").startswith(
        b"-ERR user_script:1: x"
    )
    assert cache.get("k") == b"1"


def test_nobody_sees_a_script_half_done() -> None:
    cache = Cache()
    ours = Ours(cache)
    cache.mset({"a": 0, "b": 0})
    pairs: list[tuple[object, object]] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            first, second = cache.mget("a", "b")
            pairs.append((first, second))

    thread = threading.Thread(target=look)
    thread.start()
    script = "for i = 1, 1000 do redis.call('INCR', 'a') redis.call('INCR', 'b') end"
    replies = {ours.eval(script) for _ in range(5)}
    over.set()
    thread.join()
    assert replies == {b"$-1\r\n"}
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


def test_a_script_ends_where_it_began() -> None:
    ours = Ours()
    assert ours.eval("redis.call('SELECT', 3) redis.call('SET', 'k', 1)") == b"$-1\r\n"
    assert ours.session.cache.name == "default"
    assert ours.ask(b"EXISTS", b"k") == b":0\r\n"
    assert ours.eval("redis.call('SELECT', 3) error('x')").startswith(b"-ERR")
    assert ours.session.cache.name == "default"


def test_scripts_run_in_a_transaction() -> None:
    ours = Ours()
    wire = encode(b"MULTI") + encode(b"SET", b"k", b"7")
    wire += encode(b"EVAL", b"return redis.call('INCR', KEYS[1])", b"1", b"k")
    wire += encode(b"EVAL", b"return redis.call('LPUSH', KEYS[1], 1)", b"1", b"k")
    reply = ours.session.receive(wire + encode(b"EXEC"))
    assert reply.startswith(b"+OK\r\n" + b"+QUEUED\r\n" * 3 + b"*3\r\n+OK\r\n:8\r\n-WRONGTYPE ")


def test_a_sandbox_needs_lupa_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "lupa", None)
    with pytest.raises(Exception, match=r"pip install 'cachestorm\[server\]'"):
        Sandbox(1 << 20)


def test_unpack_finds_room_for_what_it_returns() -> None:
    ours = Ours()
    for bounds in (
        "-2, 2147483647",
        "-1, 2147483646",
        "-2147483648, 2147483647",
        "-2147483648",
    ):
        reply = ours.eval(f"local x = unpack({{1, 2, 3}}, {bounds})")
        assert reply.startswith(b"-ERR user_script:1: too many results to unpack"), bounds
    wrapped = "return select('#', unpack({1, 2, 3}, -2147483648, -2147483649))"
    assert ours.eval(wrapped) == b":0\r\n"
    assert ours.eval("return {unpack({1, 2, 3}, '2')}") == b"*2\r\n:2\r\n:3\r\n"


def test_a_function_names_few_parameters_before_the_table_of_the_others() -> None:
    ours = Ours()
    text = b"function names more than 2 parameters before '...'"
    named = ", ".join(f"p{at}" for at in range(60))
    for head in (f"local function f({named}, ...)", "function t.a.b:f(a, b, c, ...)"):
        source = f"{head} return arg end"
        nested = (
            f"local s, x = '...', 1\nlocal function g(a) return function()\n{source} end end"
        )
        assert text in ours.eval(source)
        assert b"user_script:3: " + text in ours.eval(nested)
        told = ours.eval("local _, err = loadstring(ARGV[1]) return err", b"0", nested.encode())
        assert text in told


def test_what_is_written_anew_for_what_it_names_is_safe() -> None:
    ours = Ours()
    named = ",".join(f"p{at}" for at in range(150))
    script = f"local function f({named}, ...) return select('#', ...), p149 end "
    assert ours.eval(script + "return {f()}") == b"*1\r\n:0\r\n"
    given = ",".join(str(at) for at in range(152))
    assert ours.eval(script + f"return {{f({given})}}") == b"*2\r\n:2\r\n:149\r\n"


def test_a_function_that_uses_the_other_parameters_may_call_a_variable_arg() -> None:
    ours = Ours()
    head, call = "local function f(a, b, c, d, ...)", "end return f(1, 2, 3, 4, 5)"
    for body, reply in (
        ("local arg = {...} return arg[1]", b":5\r\n"),
        ("local arg = {select('#', ...)} if a then return arg[1] end", b":1\r\n"),
        ("local x = {...} return type(arg)", b"$3\r\nnil\r\n"),
        ("if arg then return 0 end return (...)", b":5\r\n"),
    ):
        assert ours.eval(f"{head} {body} {call}") == reply, body
    for body in (
        "local arg = {} return arg",
        "local x = function(...) return ... end return arg",
        "return (function() if a then return arg[1] end end)()",
    ):
        assert b"and uses 'arg'" in ours.eval(f"{head} {body} {call}"), body
    inner = "return (function(...) return arg[1] end)(6)"
    assert ours.eval(f"{head} {inner} {call}") == b":6\r\n"
    assert (
        ours.eval("local function f(a, b, ...) return arg[1] end return f(1, 2, 3)")
        == b":3\r\n"
    )


def test_a_pattern_has_not_too_many_repetitions() -> None:
    ours = Ours()
    for call in (
        "string.find(a, p)",
        "string.match(a, p)",
        "string.gsub(a, p, '')",
        "string.gmatch(a, p)()",
        "string.gfind(a, p)()",
        "a:find(p)",
    ):
        for sign in "*+?-":
            script = f"local a, p = ('a'):rep(1e6), ('a{sign}'):rep(1e6) local x = {call}"
            assert b"user_script:1: pattern too complex" in ours.eval(script), script
    plain = "local p = ('a-'):rep(1e5) return p:find(p, 1, true)"
    assert ours.eval(plain) == b":1\r\n"
    assert ours.eval("return ('a'):rep(900):find(('a?'):rep(900))") == b":1\r\n"


def test_an_error_within_a_function_of_ours_has_the_line_of_the_script() -> None:
    ours = Ours()
    for call, text in (
        ("string.find()", b"bad argument #1 to 'find'"),
        ("('a'):find('%')", b"malformed pattern (ends with '%')"),
        ("table.insert()", b"bad argument #1 to 'insert'"),
    ):
        assert ours.eval(f"\nlocal x = {call}").startswith(b"-ERR user_script:2: " + text)
        caught = f"return {{pcall(function() local x = {call} end)}}"
        assert b"user_script:1: " + text in ours.eval(caught)
        resumed = (
            f"return {{coroutine.resume(coroutine.create(function() local x = {call} end))}}"
        )
        assert b"user_script:1: " + text in ours.eval(resumed)


def test_a_small_table_that_makes_a_long_reply_is_ended() -> None:
    ours = Ours()
    ours.session.endpoint.settings.busy_reply_ms = 50
    reply = ours.eval("local t = {} for i = 1, 40 do t = {t, t} end return t")
    assert reply.startswith(b"-ERR Script killed")
    assert ours.eval("return 1") == b":1\r\n"


def test_what_scripts_share_takes_no_objects() -> None:
    ours = Ours()
    for setting in ("decode_max_depth", "encode_max_depth", "encode_number_precision"):
        for given in ("{}", "function() end", "0", "0/0"):
            assert ours.eval(f"cjson.{setting}({given})").startswith(b"-ERR"), (setting, given)
    assert ours.eval("return cjson.encode({cjson.decode('[1.5]')})") == b"$7\r\n[[1.5]]\r\n"


def test_a_level_that_is_no_number_is_refused() -> None:
    assert Ours().eval("redis.log(0/0, 'x')").startswith(b"-ERR Invalid debug level.")


def test_coroutines_that_are_gone_take_no_memory() -> None:
    ours = Ours()
    script = "for i = 1, 20000 do coroutine.wrap(function() coroutine.yield() end)() end"
    ours.eval(script)
    engine = ours.session.endpoint.engine
    assert isinstance(engine, Engine)
    sandbox = engine.scripts.sandbox()
    used = []
    for _ in range(12):
        ours.eval(script)
        sandbox._lua.gccollect()
        used.append(sandbox.memory())
    assert used[-1] < 4 * used[0]


def test_a_coroutine_that_a_library_keeps_is_ended_too() -> None:
    ours = Ours()
    library = b"""#!lua name=kept
    local co
    redis.register_function('begin', function()
        co = coroutine.create(function() coroutine.yield() while true do end end)
        coroutine.resume(co)
    end)
    redis.register_function('go_on', function() coroutine.resume(co) end)
    redis.register_function('fill', function()
        for i = 1, 20000 do pcall(function() end) end
    end)
    """
    assert ours.ask(b"FUNCTION", b"LOAD", library) == b"$4\r\nkept\r\n"
    ours.ask(b"FCALL", b"begin", b"0")
    for _ in range(3):
        ours.ask(b"FCALL", b"fill", b"0")
    ours.session.endpoint.settings.busy_reply_ms = 50
    assert ours.ask(b"FCALL", b"go_on", b"0").startswith(b"-ERR Script killed")


def test_a_call_of_nothing_is_refused_by_name() -> None:
    text = b"-ERR Please specify at least one argument for this redis lib call"
    for call in ("redis.call()", "redis.pcall()"):
        assert Ours().eval(f"return {call}").startswith(text), call


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 400])
def test_keys_and_arguments_come_in_order_however_many(count: int) -> None:
    ours = Ours()
    words = [b"%d" % at for at in range(count)]
    for keys in {0, 1, 2, count // 2, count} & set(range(count + 1)):
        script = "return {KEYS, ARGV}"
        assert ours.eval(script, b"%d" % keys, *words) == b"*2\r\n" + encode(
            *words[:keys]
        ) + encode(*words[keys:])


@pytest.mark.parametrize("count", [1, 31, 32, 33, 400])
def test_a_command_of_many_words_is_asked_for_whole(count: int) -> None:
    ours = Ours()
    words = [b"%d" % at for at in range(count)]
    script = (
        "redis.call('RPUSH', 'list', unpack(ARGV)) return redis.call('LRANGE', 'list', 0, -1)"
    )
    assert ours.eval(script, b"0", *words) == encode(*words)
