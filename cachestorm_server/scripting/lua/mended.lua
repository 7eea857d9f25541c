-- What in Lua 5.1.5 writes where it must not, or ends the process, mended. Loaded before
-- prelude.lua, which finds only what is left here.
--
-- 1. `unpack` counts in 32 bits, so that it may make room for fewer values than it returns.
-- 2. A function with `...` that is given fewer arguments than it names is given too small a
--    stack (CVE-2014-5461): what lacks must fit into what Lua keeps free beyond each stack. So
--    what names more is written anew: see varargs.lua.
-- 3. Each repetition in a pattern, such as `a*`, is a call in C, and nothing bounds them.
-- 4. What is compiled leaves traces where it calls functions of ours: see bytecode.lua.
--
-- Source: lua.org/bugs.html, CVE-2025-46817; the texts are those of later versions of Lua.

local unpack, real_loadstring, string = unpack, loadstring, string
local dump, find, gmatch, gsub, sub =
  string.dump, string.find, string.gmatch, string.gsub, string.sub
local error, next, tonumber, type = error, next, tonumber, type
local bytecode, varargs = ...

local MOST_RESULTS = 8000
local MOST_NAMED = 3
local MOST_REPETITIONS = 1000
-- by this name sources that were written anew find `select`
local REST = '__select'

function _G.unpack(...)
  local t, first, last = ...
  if type(t) == 'table' and (first or last) then
    local from, to = tonumber(first or 1), tonumber(last or #t)
    if from and to then
      if not (from <= to) then return end
      if to - from >= MOST_RESULTS then error('too many results to unpack', 2) end
    end
  end
  return unpack(...)
end

local function is_too_complex(pattern)
  local _, count = gsub(pattern, '[*+?-]', '')
  return count > MOST_REPETITIONS
end

-- The real function keeps its name, which is in what it says of bad arguments.
local CHECKED = [[
local NAME, is_too_complex, most, type, error = ...
return function(text, pattern, third, plain)
  if type(pattern) == 'string' and #pattern > most and is_too_complex(pattern)
    and not (plain and 'NAME' == 'find') then
    error('pattern too complex', 2)
  end
  return NAME(text, pattern, third, plain)
end
]]

for _, name in next, {'find', 'match', 'gmatch', 'gsub'} do
  local with_checks = real_loadstring(gsub(CHECKED, 'NAME', name), '=redis')
  string[name] = with_checks(string[name], is_too_complex, MOST_REPETITIONS, type, error)
end
string.gfind = string.gmatch

varargs = varargs(REST, MOST_NAMED)

-- What names too much before `...`, written anew; nil where that cannot be.
local function without_names(text, name)
  local safer = varargs(text)
  local f = safer and real_loadstring(safer, name)
  return f and not bytecode.unsafe_line(dump(f), MOST_NAMED) and f or nil
end

-- Whether a source may return what a function gives, other than `redis.call`, which is in C.
local function returns_calls(text)
  local after_return = 'return[%s(]*([%a_][%w_]*)%s*([.%[({"\']?)%s*([%w_]*)'
  for first, mark, second in gmatch(text, after_return) do
    if mark ~= '' and not (first == 'redis' and second == 'call') then return true end
  end
  return false
end

function _G.loadstring(text, name)
  local f, err = real_loadstring(text, name)
  if not f then return nil, err end
  local line = find(text, '...', 1, true) and bytecode.unsafe_line(dump(f), MOST_NAMED)
  if line then
    f = without_names(text, name)
    if not f then
      local source = find(name, '^[@=]') and sub(name, 2) or '[string "' .. name .. '"]'
      return nil, source .. ':' .. line .. ': function names more than ' .. MOST_NAMED - 1
        .. " parameters before '...', and uses 'arg'"
    end
  end
  local traced = returns_calls(text) and bytecode.with_traces(dump(f))
  return traced and real_loadstring(traced) or f
end

return REST
