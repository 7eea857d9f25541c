-- The sandbox: what a script finds, and how it is run. Loaded once into each Lua state.
--
-- 1. A script sees what is put into `builtins` and nothing else. It runs in the environment
--    `globals`, an empty table that reads through to them and refuses to be written.
-- 2. A script runs in a coroutine of its own. What it asks the server for it yields to `drive`,
--    which asks Python: so no object of Python is ever within its reach. `redis.call` is the
--    bare `yield`: a refusal ends the coroutine, where its stack still says in which line it was.
-- 3. Lua 5.1 cannot yield across `pcall`: ours run their function in a coroutine and pass on
--    what it yields. So do the functions that resume the coroutines of a script.
-- 4. While Python is asked, memory must not run out, as the error would jump across its frames:
--    so a script stops for Python only while some is left.
-- 5. Each of these coroutines has a hook, which has Python look now and then whether the script
--    is to go on. Once it is not, no `pcall` holds the error.
-- 6. `look` and `answer` are the only objects of Python in here. The former is known to the hook
--    alone, and the hook to `exports` and to Lua's registry; the latter to `drive` and what it
--    calls, which are known to `exports`.
-- 7. One state runs either scripts (`exports.run`) or the functions of libraries (`exports.load`,
--    `exports.call`). What a library finds while it is loaded is little: see `loading`.

local create, resume, status = coroutine.create, coroutine.resume, coroutine.status
local running, yield = coroutine.running, coroutine.yield
local error, type, tostring, select = error, type, tostring, select
local real_pcall, real_xpcall = pcall, xpcall
local real_next, real_rawget, real_rawset = next, rawget, rawset
local real_loadstring, setfenv, setmetatable = loadstring, setfenv, setmetatable
local getinfo, gethook, sethook = debug.getinfo, debug.gethook, debug.sethook
local registry = debug.getregistry()
local clock, concat, byte, sub = os.clock, table.concat, string.byte, string.sub
local find, gsub, format, lower = string.find, string.gsub, string.format, string.lower
local count_memory = collectgarbage

-- By this name sources that were written anew find `select`: see mended.lua.
local REST = ...
-- What is yielded begins with one of these, except for what `redis.call` yields.
local OWN, ASK, SERVE = {}, {}, {}
local PREFIX = '=redis'
local ACROSS = 'attempt to yield across metamethod/C-call boundary'
local READONLY = 'Attempt to modify a readonly table'
local KILLED = 'Script killed by user with SCRIPT KILL.'
local NO_MEMORY = 'not enough memory'
local HOOK_STEP = 20000
-- after so many coroutines the hooks of those that are gone are forgotten
local FORGET_EVERY = 10000
-- seconds of processor time between two looks
local LOOK_EVERY = 0.01
-- what `look` says: go on, or why not
local IS_KILLED, IS_LATE = 1, 2

-- `ended` is why the script must not go on; `late` what is said when its time is up; `looks_at`
-- is nil until it has run for a while, since to ask for the time is a call of the system
local look, looks_at, ended, late

local function hook()
  local now = clock()
  if not looks_at then
    looks_at = now + LOOK_EVERY
  elseif not ended and now > looks_at then
    looks_at = now + LOOK_EVERY
    local ok, verdict = real_pcall(look)
    if not ok or verdict == IS_KILLED then
      ended = KILLED
    elseif verdict == IS_LATE then
      ended = late
    end
  end
  if ended then error({err = 'ERR ' .. ended}, 0) end
end

local hooked_count = 0

local function hooked(f, h)
  local co = create(f)
  sethook(co, h, '', HOOK_STEP)
  hooked_count = hooked_count + 1
  return co
end

-- The coroutines of libraries, which may outlive the call that has made them; nil for scripts.
local spawned

-- The hook is handed on: a function that scripts can reach must not hold it.
local function spawn(f)
  local co = hooked(f, (gethook()))
  if spawned then spawned[co] = true end
  return co
end

-- Where Lua keeps the hooks, by the addresses of coroutines, also of those that are gone.
local function find_hooks()
  local co = hooked(function() end, hook)
  for _, value in real_next, registry do
    if type(value) == 'table' then
      for _, item in real_next, value do
        if item == hook then return value, co end
      end
    end
  end
  error('the hooks of Lua are not where they were')
end

local hooks = find_hooks()

local function forget_hooks()
  hooked_count = 0
  for address in real_next, hooks do hooks[address] = nil end
  for co in real_next, spawned or {} do
    if status(co) ~= 'dead' then sethook(co, hook, '', HOOK_STEP) end
  end
end

-- read-only tables

-- what they show
local hidden = setmetatable({}, {__mode = 'k'})
-- what `getmetatable` gives for them
local nothing = setmetatable({}, {
  __newindex = function() error(READONLY, 2) end,
  __metatable = false,
})

local function protect(real)
  local meta = {
    __index = real,
    __newindex = function() error(READONLY, 2) end,
    __metatable = nothing,
  }
  local shown = setmetatable({}, meta)
  hidden[shown] = real
  return shown, meta
end

local function copy(real)
  local seen = {}
  for key, value in real_next, real do seen[key] = value end
  return seen
end

-- What JSON's null is: no table of a script's own is equal to it.
local null = setmetatable({}, {
  __newindex = function() error(READONLY, 2) end,
  __tostring = function() return 'userdata: NULL' end,
  __metatable = nothing,
})

hidden[nothing], hidden[null] = {}, {}

local strict = {
  __index = function(_, name)
    if name == REST then return select end
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
}
local builtins = setmetatable({}, strict)
local globals, globals_meta = protect(builtins)

-- Has the globals read through to another table.
local function show(real)
  globals_meta.__index = real
  hidden[globals] = real
end

-- functions that run other functions

local function caught(err)
  if ended then error(err, 0) end
  if type(err) == 'table' then
    local text = real_rawget(err, 'err')
    if type(text) == 'string' then return text end
  end
  return err
end

-- Where a stopped coroutine was in the script: the name of the chunk, the line, and the name as
-- errors have it.
local function place(co)
  local level = 0
  while true do
    local info = getinfo(co, level, 'Sl')
    if not info then return nil end
    if info.what ~= 'C' and info.source ~= PREFIX and info.currentline >= 0 then
      return info.source, info.currentline, info.short_src
    end
    level = level + 1
  end
end

-- An error that a function of ours was told by one in C, as if the script had called the latter.
local function placed(co, err)
  if type(err) ~= 'string' then return err end
  local text, count = gsub(err, '^redis:%d+: ', '')
  if count == 0 then return err end
  local _, at, source = place(co)
  return source and source .. ':' .. at .. ': ' .. text or text
end

-- The answer to a request within a `pcall`: goes on, or gives the refusal.
local go_on

local function answered(co, raised, ok, value)
  if ok then return go_on(co, raised, resume(co, value)) end
  return false, raised({err = value, ignore_error_stats_update = true})
end

go_on = function(co, raised, ok, first, ...)
  if not ok then return false, raised(placed(co, first)) end
  if status(co) == 'dead' then return true, first, ... end
  if first == OWN or first == ASK or first == SERVE then
    return go_on(co, raised, resume(co, yield(first, ...)))
  end
  return answered(co, raised, yield(ASK, first, ...))
end

-- A coroutine for what may ask for something: not for other functions in C, and not for what
-- cannot be called.
local function begin(f)
  local is_lua, co = real_pcall(spawn, f)
  if is_lua then return co end
  if f ~= yield and type(f) ~= 'table' then return nil end
  return spawn(function(...) return f(...) end)
end

local function settled(ok, ...)
  if ok then return true, ... end
  return false, caught((...))
end

function builtins.pcall(f, ...)
  local co = begin(f)
  if not co then return settled(real_pcall(f, ...)) end
  return go_on(co, caught, resume(co, ...))
end

function builtins.xpcall(...)
  if select('#', ...) < 2 then error("bad argument #2 to 'xpcall' (value expected)", 2) end
  local f, handler = ...
  local function raised(err)
    if ended then error(err, 0) end
    local _, value = real_pcall(handler, err)
    return value
  end
  local co = begin(f)
  if not co then return real_xpcall(f, raised) end
  return go_on(co, raised, resume(co))
end

-- coroutines of the script's own

local dead = setmetatable({}, {__mode = 'k'})
local own

local function own_answered(co, ok, value)
  if ok then return own(co, resume(co, value)) end
  dead[co] = true
  return false, {err = value, ignore_error_stats_update = true}
end

own = function(co, ok, first, ...)
  if not ok then
    if ended then error(first, 0) end
    return false, placed(co, first)
  end
  if first == OWN then return true, ... end
  if status(co) == 'dead' then return true, first, ... end
  if first == ASK or first == SERVE then return own(co, resume(co, yield(first, ...))) end
  return own_answered(co, yield(ASK, first, ...))
end

local function resume_own(co, ...)
  if dead[co] then return false, 'cannot resume dead coroutine' end
  return own(co, resume(co, ...))
end

-- Called at the end of what `wrap` gives, whose caller is so two levels up.
local function unwrap(ok, ...)
  if not ok then error((...), 3) end
  return ...
end

builtins.coroutine = protect({
  create = spawn,
  resume = resume_own,
  running = running,
  status = function(co) return dead[co] and 'dead' or status(co) end,
  wrap = function(f)
    local co = spawn(f)
    return function(...) return unwrap(resume_own(co, ...)) end
  end,
  yield = function(...) return yield(OWN, ...) end,
})

-- the rest of what Lua has

for _, name in real_next, {
  '_VERSION', 'assert', 'error', 'ipairs', 'rawequal', 'select',
  'tonumber', 'tostring', 'type', 'unpack',
} do
  builtins[name] = _G[name]
end

-- The real functions keep their names, which are in what they say of bad arguments.
local getmetatable, next, pairs, rawget, rawset = getmetatable, next, pairs, rawget, rawset

function builtins.next(...)
  local t, key = ...
  local real = hidden[t]
  if real then return next(copy(real), key) end
  return next(...)
end

function builtins.pairs(...)
  local real = hidden[(...)]
  if real then return next, copy(real), nil end
  return pairs(...)
end

-- That a table of ours is read-only is not to be seen of it.
function builtins.getmetatable(...)
  local t = ...
  if hidden[t] and t ~= globals then return nil end
  return getmetatable(...)
end

function builtins.setmetatable(...)
  if hidden[(...)] then error(READONLY, 0) end
  return setmetatable(...)
end

function builtins.rawget(...)
  local t, key = ...
  local real = hidden[t]
  if real then return rawget(real, key) end
  return rawget(...)
end

function builtins.rawset(...)
  if hidden[(...)] then error(READONLY, 0) end
  return rawset(...)
end

local function type_of(...) return select('#', ...) == 0 and 'no value' or type((...)) end

-- Bytecode can do what source cannot: what begins as it does is not loaded.
function builtins.loadstring(...)
  local text, name = ...
  if type(text) == 'number' then text = tostring(text) end
  if type(text) ~= 'string' then
    error("bad argument #1 to 'loadstring' (string expected, got " .. type_of(...) .. ')', 2)
  end
  if byte(text) == 27 then return nil, 'bytecode is not loaded' end
  local f, err = real_loadstring(text, name or text)
  if not f then return nil, err end
  return setfenv(f, globals)
end

function builtins.load(...)
  local piece, name = ...
  if type(piece) ~= 'function' then
    error("bad argument #1 to 'load' (function expected, got " .. type_of(...) .. ')', 2)
  end
  local text = {}
  while true do
    local more = piece()
    if more == nil or more == '' then break end
    text[#text + 1] = more
  end
  return builtins.loadstring(concat(text), name or '=(load)')
end

function builtins.collectgarbage(what)
  if what == 'count' then return count_memory('count') end
  return 0
end

function builtins.gcinfo() return (count_memory('count')) end

local real_string = string
real_string.dump = nil
builtins.string = protect(real_string)
getmetatable('').__metatable = protect({__index = builtins.string})

local insert = table.insert
function table.insert(t, ...)
  if hidden[t] then error(READONLY, 0) end
  return insert(t, ...)
end

builtins.table = protect(table)
builtins.math = protect(math)
builtins.os = protect({clock = clock})
builtins._G = globals

-- redis.*

local redis = {
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_ALL = 3, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_NONE = 0,
  call = yield,
}

local function pcalled(ok, value)
  if ok then return value end
  return {err = value, ignore_error_stats_update = true}
end

function redis.pcall(...) return pcalled(yield(ASK, ...)) end

local function fail(text) error({err = 'ERR ' .. text}, 0) end

local function served(ok, value)
  if ok then return value end
  error({err = value}, 0)
end

function redis.sha1hex(...)
  if select('#', ...) ~= 1 then fail('wrong number of arguments') end
  return (served(yield(SERVE, 'sha1hex', tostring((...)))))
end

function redis.log(...)
  local count = select('#', ...)
  if count < 2 then fail('redis.log() requires two arguments or more.') end
  local level = ...
  if type(level) ~= 'number' then
    fail('First argument must be a number (log level).')
  end
  if not (level >= 0 and level <= 3) then fail('Invalid debug level.') end
  local parts = {}
  for at = 2, count do
    local part = select(at, ...)
    if type(part) == 'string' or type(part) == 'number' then
      parts[#parts + 1] = tostring(part)
    end
  end
  served(yield(SERVE, 'log', level, concat(parts, ' ')))
end

function redis.setresp(...)
  if select('#', ...) ~= 1 then fail('redis.setresp() requires one argument.') end
  local version = ...
  if version ~= 2 and version ~= 3 then fail('RESP version must be 2 or 3.') end
  served(yield(SERVE, 'setresp', version))
end

function redis.acl_check_cmd(...)
  if select('#', ...) == 0 then
    fail('Please specify at least one argument for this redis lib call')
  end
  -- what matters is the command, and its subcommand
  local command, subcommand = ...
  if subcommand == nil then return served(yield(SERVE, 'acl_check_cmd', command)) end
  return served(yield(SERVE, 'acl_check_cmd', command, subcommand))
end

local function single(name, given, count)
  if count ~= 1 or type(given) ~= 'string' then
    return {err = 'ERR wrong number or type of arguments'}
  end
  return {[name] = given}
end

function redis.status_reply(...) return single('ok', (...), select('#', ...)) end

function redis.error_reply(...)
  local reply = single('err', (...), select('#', ...))
  if select('#', ...) ~= 1 or type((...)) ~= 'string' then return reply end
  local text = gsub(reply.err, '^%-', '')
  text = gsub(text, '[\r\n]+$', '')
  if not find(text, ' ', 1, true) then text = 'ERR ' .. text end
  reply.err = text
  return reply
end

function redis.breakpoint() return false end
function redis.debug() end
function redis.replicate_commands() return true end
function redis.set_repl(...)
  if select('#', ...) ~= 1 then fail('redis.set_repl() requires two arguments.') end
  local flags = ...
  flags = type(flags) == 'string' and tonumber(flags) or flags
  if type(flags) ~= 'number' then return end
  if flags < 0 or flags >= 4 then
    fail('Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.')
  end
end

builtins.redis = protect(redis)

-- what a library finds while it is loaded

-- what it has registered; nil when none is being loaded
local registered
local NAMES = 'Library names can only contain letters, numbers, or underscores(_) and must be at '
  .. 'least one character long'

local allowed_flags = {
  ['no-writes'] = true, ['allow-oom'] = true, ['allow-stale'] = true, ['no-cluster'] = true,
  ['allow-cross-slot-keys'] = true,
}

local function is_text(value) return type(value) == 'string' or type(value) == 'number' end

local function read_flags(given)
  if type(given) ~= 'table' then
    fail('flags argument to redis.register_function must be a table representing function flags')
  end
  local flags = {}
  while true do
    local flag = real_rawget(given, #flags + 1)
    if flag == nil then return flags end
    if not allowed_flags[flag] then fail('unknown flag given') end
    flags[#flags + 1] = flag
  end
end

local function read_named(given)
  local name, callback, description, flags
  for key, value in real_next, given do
    if not is_text(key) then
      fail('named argument key given to redis.register_function is not a string')
    end
    key = lower(key)
    if key == 'function_name' then
      if not is_text(value) then
        fail('function_name argument given to redis.register_function must be a string')
      end
      name = tostring(value)
    elseif key == 'description' then
      if not is_text(value) then
        fail('description argument given to redis.register_function must be a string')
      end
      description = tostring(value)
    elseif key == 'callback' then
      if type(value) ~= 'function' then
        fail('callback argument given to redis.register_function must be a function')
      end
      callback = value
    elseif key == 'flags' then
      flags = read_flags(value)
    else
      fail('unknown argument given to redis.register_function')
    end
  end
  if not name then fail('redis.register_function must get a function name argument') end
  if not callback then fail('redis.register_function must get a callback argument') end
  return name, callback, description, flags
end

local function register_function(...)
  local count = select('#', ...)
  if not registered then
    fail('redis.register_function can only be called on FUNCTION LOAD command')
  end
  if count < 1 or count > 2 then
    fail('wrong number of arguments to redis.register_function')
  end
  local name, callback, description, flags = ...
  if count == 1 then
    if type(name) ~= 'table' then
      fail('calling redis.register_function with a single argument is only applicable to Lua '
        .. 'table (representing named arguments).')
    end
    name, callback, description, flags = read_named(name)
  else
    if not is_text(name) then
      fail('first argument to redis.register_function must be a string')
    end
    if type(callback) ~= 'function' then
      fail('second argument to redis.register_function must be a function')
    end
    name, description, flags = tostring(name), nil, nil
  end
  if not find(name, '^[%w_]+$') then fail(NAMES) end
  for _, other in real_next, registered do
    if other.name == name then fail('Function already exists in the library') end
  end
  registered[#registered + 1] = {
    name = name, callback = callback, description = description or false, flags = flags or {},
  }
end

local loading = setmetatable({
  redis = protect(setmetatable({
    register_function = register_function, log = redis.log,
    LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  }, strict)),
}, strict)

-- the replies, as RESP

local MOST_DEPTH = 1000
-- A table may be in others many times, so that a small one makes a long reply.
local LOOK_TABLES = 1000
local tables_seen = 0
local encode

local function line(text) return (gsub(text, '[\r\n]', ' ')) end

local function double(number)
  if number ~= number then return 'nan' end
  if number == 1 / 0 then return 'inf' end
  if number == -1 / 0 then return '-inf' end
  for digits = 15, 16 do
    local text = format('%.' .. digits .. 'g', number)
    if tonumber(text) == number then return text end
  end
  return format('%.17g', number)
end

local function bulk(text) return '$' .. #text .. '\r\n' .. text .. '\r\n' end

local function encode_table(out, value, to3, in3, depth)
  if value == null then
    out[#out + 1] = to3 and '_\r\n' or '$-1\r\n'
    return
  end
  if depth > MOST_DEPTH then fail('reached lua stack limit') end
  tables_seen = tables_seen + 1
  if tables_seen % LOOK_TABLES == 0 then hook() end
  local field = real_rawget(value, 'err')
  if type(field) == 'string' then
    out[#out + 1] = '-' .. line(field) .. '\r\n'
    return
  end
  field = real_rawget(value, 'ok')
  if type(field) == 'string' then
    out[#out + 1] = '+' .. line(field) .. '\r\n'
    return
  end
  field = real_rawget(value, 'double')
  if type(field) == 'number' then
    local text = double(field)
    out[#out + 1] = to3 and ',' .. text .. '\r\n' or bulk(text)
    return
  end
  field = real_rawget(value, 'map')
  if type(field) == 'table' then
    local at, count = #out + 1, 0
    out[at] = ''
    for key, item in real_next, field do
      encode(out, key, to3, in3, depth + 1)
      encode(out, item, to3, in3, depth + 1)
      count = count + 1
    end
    out[at] = to3 and '%' .. count .. '\r\n' or '*' .. 2 * count .. '\r\n'
    return
  end
  field = real_rawget(value, 'set')
  if type(field) == 'table' then
    local at, count = #out + 1, 0
    out[at] = ''
    for key in real_next, field do
      encode(out, key, to3, in3, depth + 1)
      count = count + 1
    end
    out[at] = (to3 and '~' or '*') .. count .. '\r\n'
    return
  end
  field = real_rawget(value, 'big_number')
  if type(field) == 'string' then
    out[#out + 1] = to3 and '(' .. line(field) .. '\r\n' or bulk(line(field))
    return
  end
  field = real_rawget(value, 'verbatim_string')
  if type(field) == 'table' then
    local kind, text = real_rawget(field, 'format'), real_rawget(field, 'string')
    if type(kind) == 'string' and type(text) == 'string' then
      kind = sub(kind .. '   ', 1, 3)
      out[#out + 1] = to3
        and '=' .. #text + 4 .. '\r\n' .. kind .. ':' .. text .. '\r\n' or bulk(text)
      return
    end
  end
  local at, count = #out + 1, 0
  out[at] = ''
  while true do
    local item = real_rawget(value, count + 1)
    if item == nil then break end
    count = count + 1
    encode(out, item, to3, in3, depth + 1)
  end
  out[at] = '*' .. count .. '\r\n'
end

encode = function(out, value, to3, in3, depth)
  local kind = type(value)
  if kind == 'string' then
    out[#out + 1] = bulk(value)
  elseif kind == 'number' then
    out[#out + 1] = format(':%d\r\n', value)
  elseif kind == 'table' then
    encode_table(out, value, to3, in3, depth)
  elseif kind == 'boolean' and (value or in3) then
    if in3 and to3 then
      out[#out + 1] = value and '#t\r\n' or '#f\r\n'
    else
      out[#out + 1] = value and ':1\r\n' or ':0\r\n'
    end
  else
    out[#out + 1] = to3 and '_\r\n' or '$-1\r\n'
  end
end

-- how a script is run

-- What Python is told: 0 and a request, 1 and a name and arguments for `serve`, 2 and a reply in
-- RESP, 3 and the text of an error, 4 and a request as a table, 5 and what was registered.
local REQUEST, SERVICE, REPLY, FAILURE, LONG_REQUEST, REGISTERED = 0, 1, 2, 3, 4, 5
-- lupa copies all arguments before it for each; more than this are handed over in a table
local MOST_VALUES = 32
local to3, in3 = false, false

local function failure(co, err, name)
  local text
  err = placed(co, err)
  if type(err) == 'table' then
    text = real_rawget(err, 'err')
    text = type(text) == 'string' and text or 'ERR unknown error'
  elseif type(err) == 'string' or type(err) == 'number' then
    text = 'ERR ' .. err
  else
    text = 'ERR ' .. tostring(err)
  end
  local source, at = place(co)
  if source and name then text = text .. ' script: ' .. name .. ', on ' .. source .. ':' .. at .. '.' end
  return FAILURE, text
end

local function finished(value)
  if registered then return REGISTERED, registered end
  local kind = type(value)
  if kind == 'string' then return REPLY, bulk(value) end
  if kind == 'table' then
    local err = real_rawget(value, 'err')
    if type(err) == 'string' then return FAILURE, err end
  end
  local out = {}
  local ok, err = real_pcall(encode, out, value, to3, in3, 0)
  if not ok then return FAILURE, type(err) == 'table' and err.err or 'ERR ' .. tostring(err) end
  return REPLY, concat(out)
end

-- Python's answer: true and what is given, false and why not, STATUS and the text of a status;
-- nil if the script is not to go on, for a reason that Python knows.
local answer
local STATUS = 2

local function given(ok, value)
  if ok == STATUS then return true, {ok = value} end
  return ok, value
end

-- Asks for what `redis.call` was given.
local function ask(...)
  local count = select('#', ...)
  -- as `redis.call()` comes here, which yields nothing
  if count == 0 then return given(answer(REQUEST, nil)) end
  if count <= MOST_VALUES then return given(answer(REQUEST, ...)) end
  return given(answer(LONG_REQUEST, {...}, count))
end

local drive

local function driven(co, name, ok, value)
  if ok == true then return drive(co, name, resume(co, value)) end
  if ok == STATUS then return drive(co, name, resume(co, {ok = value})) end
  if ok == nil then return FAILURE, '' end
  return failure(co, {err = value}, name)
end

-- For what looks at refusals itself.
local function told(co, name, ok, value)
  if ok == nil then return FAILURE, '' end
  return drive(co, name, resume(co, ok, value))
end

-- In kilobytes: what must not be exceeded when Python is asked.
local most_memory = 0

-- Whether it is exceeded also when all has gone that can go.
local function is_full()
  count_memory('collect')
  return count_memory('count') > most_memory
end

drive = function(co, name, ok, first, ...)
  if not ok then return failure(co, first, name) end
  if status(co) == 'dead' then return finished(first) end
  if count_memory('count') > most_memory and is_full() then
    return failure(co, NO_MEMORY, name)
  end
  if type(first) == 'string' and select('#', ...) < MOST_VALUES then
    return driven(co, name, answer(REQUEST, first, ...))
  end
  if first == ASK then return told(co, name, ask(...)) end
  if first == SERVE then return told(co, name, answer(SERVICE, ...)) end
  if first == OWN then return failure(co, ACROSS, name) end
  return driven(co, name, ask(first, ...))
end

local function begin_run(resp3, late_text)
  if hooked_count > FORGET_EVERY then forget_hooks() end
  to3, in3 = resp3, false
  looks_at, ended, late = nil, nil, late_text
end

-- The keys and the arguments, from the number of the keys and all of them.
local function split(count, ...)
  if count == 0 then return {}, {...} end
  if count == 1 then return {(...)}, {select(2, ...)} end
  local keys = {...}
  for at = #keys, count + 1, -1 do keys[at] = nil end
  return keys, {select(count + 1, ...)}
end

local exports = {}

function exports.connect(f, g) look, answer = f, g end

-- A script, with the number of its keys, its keys and its arguments, or two tables of them.
function exports.run(f, name, resp3, late_text, count, ...)
  begin_run(resp3, late_text)
  if count then
    builtins.KEYS, builtins.ARGV = split(count, ...)
  else
    builtins.KEYS, builtins.ARGV = ...
  end
  local co = hooked(f, hook)
  return drive(co, name, resume(co))
end

-- A function of a library, with the same.
function exports.call(f, name, resp3, late_text, count, ...)
  begin_run(resp3, late_text)
  local co = hooked(f, hook)
  if count then return drive(co, name, resume(co, split(count, ...))) end
  return drive(co, name, resume(co, ...))
end

-- A library.
function exports.load(f, late_text)
  begin_run(false, late_text)
  spawned = spawned or setmetatable({}, {__mode = 'k'})
  registered = {}
  show(loading)
  local co = hooked(f, hook)
  return drive(co, nil, resume(co))
end

-- To be called after it: what was registered may be called.
function exports.loaded()
  registered = nil
  show(builtins)
end

function exports.setresp(version) in3 = version == 3 end

function exports.compile(text, name)
  if byte(text) == 27 then return nil, 'bytecode is not loaded' end
  local f, err = real_loadstring(text, name)
  if not f then return nil, err end
  return setfenv(f, globals)
end

-- Adds a module of ours, by its source, to what scripts find; `binary` only to what modules do.
local binary
function exports.provide(name, text)
  local module = assert(real_loadstring(text, PREFIX))(null, binary)
  if name == 'binary' then
    binary = module
  else
    builtins[name] = protect(module)
  end
end

-- `kilobytes`: what scripts may use, beside what is here now.
function exports.limit(kilobytes) most_memory = count_memory('count') + kilobytes end

function exports.version(text, number)
  for _, api in real_next, {redis, hidden[loading.redis]} do
    api.REDIS_VERSION, api.REDIS_VERSION_NUM = text, number
  end
end

for _, name in real_next, {
  'python', 'io', 'os', 'package', 'require', 'module', 'dofile', 'loadfile', 'newproxy', 'debug',
  'print', 'load', 'getfenv',
} do
  _G[name] = nil
end

return exports
