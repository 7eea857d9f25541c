-- What Lua 5.1 has compiled, looked through: which functions name too much before `...`, and
-- which calls at the end of a function are to leave a trace. Loaded before mended.lua.
--
-- 1. A function of ours that is called by `return f(x)` takes the place of its caller, so that
--    nobody knows any more in which line it was called; one in C does not. So such a call of
--    what is found in a global variable, or in a table there, is made a plain one: what Redis
--    has in C is found there. Calls of a script's own functions stay as they are, and may go
--    as deep as they like.
--
-- Source: `ldump.c`, `lundump.c` and `lopcodes.h`.

local byte, char, concat, floor, sub =
  string.byte, string.char, table.concat, math.floor, string.sub
local max, select = math.max, select

-- the instructions that matter, and those whose first operand is not what they set
local MOVE, GETGLOBAL, GETTABLE, TAILCALL = 0, 5, 6, 29
local SETS_NOTHING = {
  [7] = true, [8] = true, [9] = true, [22] = true, [23] = true, [24] = true, [25] = true,
  [26] = true, [30] = true, [34] = true, [35] = true,
}
-- so far back it is looked for what sets a register
local MOST_LOOKED_AT = 200
local AFTER_HEADER = 13

-- Calls `visit` for each function with its line, how many parameters it names, its flags, where
-- its instructions begin and how many they are, until that gives something, which is returned.
local function walk(chunk, visit)
  local is_little = byte(chunk, 7) == 1
  local int, size_t, instruction, number = byte(chunk, 8, 11)
  local at = AFTER_HEADER

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

  local function skip_constants()
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
  end

  local function in_function()
    skip_string()
    local line = integer(int)
    local named, flags = byte(chunk, at + int + 1, at + int + 2)
    at = at + int + 4
    local count = integer(int)
    local found = visit(line, named, flags, at, count)
    if found then return found end
    at = at + count * instruction
    skip_constants()
    for _ = 1, integer(int) do
      found = in_function()
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

  return in_function()
end

-- The line of the first function that names more than so much before `...`; nil for none.
local function unsafe_line(chunk, most_named)
  return walk(chunk, function(line, named, flags)
    -- 2: it has `...`; 4: it is given the table `arg` too
    if flags >= 2 and named + (flags >= 4 and 1 or 0) > most_named then return line end
  end)
end

-- A chunk in which the calls at the end of a function that call what is found in a global
-- variable are plain ones.
local function with_traces(chunk)
  local is_little, size = byte(chunk, 7) == 1, byte(chunk, 10)

  -- an instruction: what it does, and its first and second operand
  local function decoded(at)
    local a, b, c, d = byte(chunk, at, at + 3)
    if not is_little then a, b, c, d = d, c, b, a end
    return a % 64, floor(a / 64) + b % 64 * 4, d * 2 + floor(c / 128)
  end

  -- Where from `begin` on, and before an instruction, a register was set last: there, by which
  -- instruction, and its second operand.
  local function origin(begin, at, register)
    for before = at - size, begin, -size do
      local name, first, second = decoded(before)
      if first == register and not SETS_NOTHING[name] then return before, name, second end
    end
  end

  local function called_at(at) return (select(2, decoded(at))) end

  local function is_global(begin, at, register)
    local name, second
    begin = max(begin, at - size * MOST_LOOKED_AT)
    at, name, second = origin(begin, at, register)
    while name == MOVE do at, name, second = origin(begin, at, second) end
    if name == GETTABLE then at, name = origin(begin, at, second) end
    return name == GETGLOBAL
  end

  local pieces, done = {}, 0
  walk(chunk, function(_, _, _, begin, count)
    -- where the number of an instruction is, in its lowest byte
    local number_at = is_little and 0 or size - 1
    for at = begin, begin + (count - 1) * size, size do
      local low = at + number_at
      if byte(chunk, low) % 64 == TAILCALL and is_global(begin, at, called_at(at)) then
        -- a plain call that keeps all results differs in its number alone, the one before
        pieces[#pieces + 1] = sub(chunk, done + 1, low - 1)
        pieces[#pieces + 1] = char(byte(chunk, low) - 1)
        done = low
      end
    end
  end)
  if done == 0 then return nil end
  pieces[#pieces + 1] = sub(chunk, done + 1)
  return concat(pieces)
end

return {unsafe_line = unsafe_line, with_traces = with_traces}
