-- cmsgpack: MessagePack, as lua-cmsgpack 0.4.0 writes and reads it. Loaded by prelude.lua.

local null, binary = ...
local byte, char, sub, concat = string.byte, string.char, string.sub, table.concat
local floor, next, type, select, error, pcall = math.floor, next, type, select, error, pcall
local unpack, rawget, tostring, tonumber = unpack, rawget, tostring, tonumber

local MOST_NESTED = 16
local MISSING, BAD = 'Missing bytes in input.', 'Bad data format in input.'
local integer, number_of = binary.integer, binary.number

local function head(mark, size, count) return char(mark) .. integer(count, size) end

local function pack_integer(n)
  if n >= 0 then
    if n <= 127 then return char(n) end
    if n <= 255 then return head(0xcc, 1, n) end
    if n <= 65535 then return head(0xcd, 2, n) end
    if n <= 4294967295 then return head(0xce, 4, n) end
    return head(0xcf, 8, n)
  end
  if n >= -32 then return char(n + 256) end
  if n >= -128 then return head(0xd0, 1, n) end
  if n >= -32768 then return head(0xd1, 2, n) end
  if n >= -2147483648 then return head(0xd2, 4, n) end
  return head(0xd3, 8, n)
end

local function pack_number(n)
  if n >= -9223372036854775808 and n < 9223372036854775808 and floor(n) == n then
    return pack_integer(n)
  end
  local short = binary.float(n)
  if n ~= n or binary.from_float(short) == n then
    return n ~= n and '\203' .. binary.double(n) or '\202' .. short
  end
  return '\203' .. binary.double(n)
end

local function pack_string(text)
  local size = #text
  if size < 32 then return char(0xa0 + size) .. text end
  if size <= 255 then return head(0xd9, 1, size) .. text end
  if size <= 65535 then return head(0xda, 2, size) .. text end
  return head(0xdb, 4, size) .. text
end

local function array_length(t)
  local most, count = 0, 0
  for key in next, t do
    if type(key) ~= 'number' or key <= 0 or floor(key) ~= key then return nil end
    if key > most then most = key end
    count = count + 1
  end
  return most == count and count or nil
end

local function pack(out, value, level)
  local kind = type(value)
  if kind == 'string' then
    out[#out + 1] = pack_string(value)
  elseif kind == 'number' then
    out[#out + 1] = pack_number(value)
  elseif kind == 'boolean' then
    out[#out + 1] = value and '\195' or '\194'
  elseif kind ~= 'table' or value == null or level == MOST_NESTED then
    out[#out + 1] = '\192'
  else
    local length = array_length(value)
    if length then
      out[#out + 1] = length <= 15 and char(0x90 + length)
        or length <= 65535 and head(0xdc, 2, length) or head(0xdd, 4, length)
      for at = 1, length do pack(out, rawget(value, at), level + 1) end
      return
    end
    local count = 0
    for _ in next, value do count = count + 1 end
    out[#out + 1] = count <= 15 and char(0x80 + count)
      or count <= 65535 and head(0xde, 2, count) or head(0xdf, 4, count)
    for key, item in next, value do
      pack(out, key, level + 1)
      pack(out, item, level + 1)
    end
  end
end

local function take(text, at, size)
  if at + size - 1 > #text then error(MISSING, 0) end
  return sub(text, at, at + size - 1), at + size
end

local function count_at(text, at, size)
  local raw, after = take(text, at, size)
  return number_of(raw, false), after
end

local read

local function read_array(text, at, count)
  local t = {}
  for item = 1, count do t[item], at = read(text, at) end
  return t, at
end

local function read_map(text, at, count)
  local t = {}
  for _ = 1, count do
    local key, value
    key, at = read(text, at)
    value, at = read(text, at)
    if key ~= nil and key == key then t[key] = value end
  end
  return t, at
end

local UNSIGNED = {[0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8}
local SIGNED = {[0xd0] = 1, [0xd1] = 2, [0xd2] = 4, [0xd3] = 8}
local STRINGS = {
  [0xd9] = 1, [0xda] = 2, [0xdb] = 4,
}
local ARRAYS, MAPS = {[0xdc] = 2, [0xdd] = 4}, {[0xde] = 2, [0xdf] = 4}

read = function(text, at)
  local mark = byte(text, at)
  if not mark then error(MISSING, 0) end
  at = at + 1
  if mark < 0x80 then return mark, at end
  if mark >= 0xe0 then return mark - 256, at end
  if mark < 0x90 then return read_map(text, at, mark - 0x80) end
  if mark < 0xa0 then return read_array(text, at, mark - 0x90) end
  if mark < 0xc0 then return take(text, at, mark - 0xa0) end
  if mark == 0xc0 then return nil, at end
  if mark == 0xc2 then return false, at end
  if mark == 0xc3 then return true, at end
  local raw, count
  if UNSIGNED[mark] then return count_at(text, at, UNSIGNED[mark]) end
  if SIGNED[mark] then
    raw, at = take(text, at, SIGNED[mark])
    return number_of(raw, true), at
  end
  if mark == 0xca then
    raw, at = take(text, at, 4)
    return binary.from_float(raw), at
  end
  if mark == 0xcb then
    raw, at = take(text, at, 8)
    return binary.from_double(raw), at
  end
  if STRINGS[mark] then
    count, at = count_at(text, at, STRINGS[mark])
    return take(text, at, count)
  end
  if ARRAYS[mark] then
    count, at = count_at(text, at, ARRAYS[mark])
    return read_array(text, at, count)
  end
  if MAPS[mark] then
    count, at = count_at(text, at, MAPS[mark])
    return read_map(text, at, count)
  end
  error(BAD, 0)
end

-- Up to so many objects from an offset on: their number, and where the next one begins.
local function read_many(text, limit, offset)
  if type(text) == 'number' then text = tostring(text) end
  if type(text) ~= 'string' then
    local given = text == nil and 'no value' or type(text)
    error("bad argument #1 to 'unpack' (string expected, got " .. given .. ')', 0)
  end
  if offset < 0 or limit < 0 then
    error('Invalid request to unpack with offset of ' .. offset .. ' and limit of ' .. #text .. '.', 0)
  elseif offset > #text then
    error('Start offset ' .. offset .. ' greater than input length ' .. #text .. '.', 0)
  end
  local found, count, at = {}, 0, offset + 1
  while at <= #text and (limit == 0 or count < limit) do
    count = count + 1
    found[count], at = read(text, at)
  end
  return found, count, at > #text and -1 or at - 1
end

local function pack_all(...)
  local count = select('#', ...)
  if count == 0 then
    error("bad argument #0 to 'pack' (MessagePack pack needs input.)", 0)
  end
  local out = {}
  for at = 1, count do pack(out, (select(at, ...)), 0) end
  return concat(out)
end

return {
  _NAME = 'cmsgpack',
  _VERSION = 'lua-cmsgpack 0.4.0',
  pack = function(...)
    local ok, text = pcall(pack_all, ...)
    if not ok then error(text, 2) end
    return text
  end,
  unpack = function(text)
    local ok, found, count = pcall(read_many, text, 0, 0)
    if not ok then error(found, 2) end
    return unpack(found, 1, count)
  end,
  unpack_one = function(text, offset)
    local ok, found, count, after = pcall(read_many, text, 1, tonumber(offset) or 0)
    if not ok then error(found, 2) end
    return after, unpack(found, 1, count)
  end,
  unpack_limit = function(text, limit, offset)
    local ok, found, count, after = pcall(read_many, text, tonumber(limit) or 0, tonumber(offset) or 0)
    if not ok then error(found, 2) end
    return after, unpack(found, 1, count)
  end,
}
