-- What in Lua 5.1.5 writes where it must not, or ends the process, mended. Loaded before
-- prelude.lua, which finds only what is left here.
--
-- 1. `unpack` counts in 32 bits, so that it may make room for fewer values than it returns.
-- 2. A function with `...` that is given fewer arguments than it names is given too small a
--    stack (CVE-2014-5461): what lacks must fit into what Lua keeps free beyond each stack.
-- 3. Each repetition in a pattern, such as `a*`, is a call in C, and nothing bounds them.
--
-- Source: lua.org/bugs.html, CVE-2025-46817; the texts are those of later versions of Lua.

local unpack, real_loadstring, string = unpack, loadstring, string
local byte, dump, find, gsub, sub = string.byte, string.dump, string.find, string.gsub, string.sub
local error, next, tonumber, type = error, next, tonumber, type

local MOST_RESULTS = 8000
local MOST_NAMED = 3
local MOST_REPETITIONS = 1000

function _G.unpack(t, first, last)
  if type(t) == 'table' and (first or last) then
    local from, to = tonumber(first or 1), tonumber(last or #t)
    if from and to then
      if not (from <= to) then return end
      if to - from >= MOST_RESULTS then error('too many results to unpack', 2) end
    end
  end
  return unpack(t, first, last)
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

-- The line of the first function in a compiled chunk that names too much before `...`; nil for
-- none. See `ldump.c` and `lundump.c`.
local function unsafe_line(chunk)
  local is_little = byte(chunk, 7) == 1
  local int, size_t, instruction, number = byte(chunk, 8, 11)
  local at = 13

  local function integer(size)
    local value = 0
    for i = 0, size - 1 do
      value = value * 256 + byte(chunk, is_little and at + size - 1 - i or at + i)
    end
    at = at + size
    return value
  end

  local function skip_string()
    local size = integer(size_t)
    at = at + size
  end

  local function line_in_function()
    skip_string()
    local line = integer(int)
    local named, flags = byte(chunk, at + int + 1, at + int + 2)
    at = at + int + 4
    -- 2: it has `...`; 4: it is given the table `arg` too
    if flags >= 2 and named + (flags >= 4 and 1 or 0) > MOST_NAMED then return line end
    local instructions = integer(int)
    at = at + instructions * instruction
    for _ = 1, integer(int) do
      local kind = byte(chunk, at)
      at = at + 1
      if kind == 1 then
        at = at + 1
      elseif kind == 3 then
        at = at + number
      elseif kind == 4 then
        skip_string()
      end
    end
    for _ = 1, integer(int) do
      local found = line_in_function()
      if found then return found end
    end
    local lines = integer(int)
    at = at + lines * int
    for _ = 1, integer(int) do
      skip_string()
      at = at + 2 * int
    end
    for _ = 1, integer(int) do skip_string() end
  end

  return line_in_function()
end

function _G.loadstring(text, name)
  local f, err = real_loadstring(text, name)
  if not f then return nil, err end
  if not find(text, '...', 1, true) then return f end
  local line = unsafe_line(dump(f))
  if not line then return f end
  local source = find(name, '^[@=]') and sub(name, 2) or '[string "' .. name .. '"]'
  return nil, source .. ':' .. line .. ": function names more than " .. MOST_NAMED
    .. " parameters before '...'"
end
