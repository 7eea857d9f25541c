-- struct: records of C as strings, as struct 0.2 has them. Loaded by prelude.lua.

local _, binary = ...
local byte, find, match, rep, sub = string.byte, string.find, string.match, string.rep, string.sub
local concat, error, tonumber, type = table.concat, error, tonumber, type
local pcall, unpack, tostring = pcall, unpack, tostring

local SIZES = {
  b = 1, B = 1, h = 2, H = 2, l = 8, L = 8, T = 8, f = 4, d = 8, x = 1,
}
local MOST_INTEGER, MOST_ALIGNMENT = 32, 8

local function refuse(at, name, reason)
  error('bad argument #' .. at .. " to '" .. name .. "' (" .. reason .. ')', 0)
end

-- The options of a format, one after the other: the letter, its size, and what aligns it.
local function options(format, name)
  local at, little, align = 1, true, 1
  local function number(default)
    local digits = match(format, '^%d+', at)
    if not digits then return default end
    at = at + #digits
    local value = tonumber(digits)
    if value > 2147483647 then error('integral size overflow', 0) end
    return value
  end
  return function(total)
    while at <= #format do
      local letter = sub(format, at, at)
      at = at + 1
      local size = SIZES[letter]
      if letter == 'c' then
        size = number(1)
      elseif letter == 'i' or letter == 'I' then
        size = number(4)
        if size > MOST_INTEGER then
          error('integral size ' .. size .. ' is larger than limit of ' .. MOST_INTEGER, 0)
        end
      elseif letter == 's' then
        size = 0
      end
      if size then
        local padding = 0
        if size > 0 and letter ~= 'c' then
          local unit = size > align and align or size
          padding = (unit - total % unit) % unit
        end
        return letter, size, padding, little
      elseif letter == '>' then
        little = false
      elseif letter == '<' then
        little = true
      elseif letter == '!' then
        align = number(MOST_ALIGNMENT)
        local power = align
        while power > 1 and power % 2 == 0 do power = power / 2 end
        if power ~= 1 then error('alignment ' .. align .. ' is not a power of 2', 0) end
      elseif letter ~= ' ' then
        refuse(1, name, "invalid format option '" .. letter .. "'")
      end
    end
    return nil
  end
end

local function ordered(text, little) return little and binary.reverse(text) or text end

local function checked(value, kind, at, name)
  if kind == 'number' then
    local number = (type(value) == 'number' or type(value) == 'string') and tonumber(value)
    if number then return number end
  elseif type(value) == 'string' then
    return value
  elseif type(value) == 'number' then
    return tostring(value)
  end
  refuse(at, name, kind .. ' expected, got ' .. type(value))
end

local function pack(format, ...)
  format = checked(format, 'string', 1, 'pack')
  local out, total, at, given = {}, 0, 1, {...}
  local function argument(kind)
    at = at + 1
    return checked(given[at - 1], kind, at, 'pack')
  end
  local next_option = options(format, 'pack')
  while true do
    local letter, size, padding, little = next_option(total)
    if not letter then return concat(out) end
    local piece
    if letter == 'x' then
      piece = '\0'
    elseif letter == 'f' then
      piece = ordered(binary.float(argument('number')), little)
    elseif letter == 'd' then
      piece = ordered(binary.double(argument('number')), little)
    elseif letter == 'c' or letter == 's' then
      local text = argument('string')
      if size == 0 then size = #text end
      if #text < size then refuse(at + 1, 'pack', 'string too short') end
      piece = sub(text, 1, size)
      if letter == 's' then piece = piece .. '\0' end
    else
      local number = binary.whole(argument('number'))
      piece = ordered(binary.integer(number, size), little)
    end
    out[#out + 1] = rep('\0', padding) .. piece
    total = total + padding + #piece
  end
end

local function read(format, data, start)
  format = checked(format, 'string', 1, 'unpack')
  data = checked(data, 'string', 2, 'unpack')
  local at = binary.whole(start == nil and 1 or checked(start, 'number', 3, 'unpack')) - 1
  if at < 0 then refuse(3, 'unpack', 'offset must be 1 or greater') end
  local found, count = {}, 0
  local next_option = options(format, 'unpack')
  while true do
    local letter, size, padding, little = next_option(at)
    if not letter then break end
    at = at + padding
    if at + size > #data then refuse(2, 'unpack', 'data string too short') end
    local value
    if letter == 'f' then
      value = binary.from_float(ordered(sub(data, at + 1, at + 4), little))
    elseif letter == 'd' then
      value = binary.from_double(ordered(sub(data, at + 1, at + 8), little))
    elseif letter == 'c' then
      if size == 0 then
        size = tonumber(found[count])
        if not size then error("format 'c0' needs a previous size", 0) end
        count = count - 1
        if size < 0 or at + size > #data then refuse(2, 'unpack', 'data string too short') end
      end
      value = sub(data, at + 1, at + size)
    elseif letter == 's' then
      local stop = find(data, '\0', at + 1, true)
      if not stop then error('unfinished string in data', 0) end
      value = sub(data, at + 1, stop - 1)
      size = #value + 1
    elseif letter ~= 'x' then
      local is_signed = byte(letter) >= 97 and letter ~= 'T'
      value = binary.number(ordered(sub(data, at + 1, at + size), little), is_signed)
    end
    if value ~= nil then
      count = count + 1
      found[count] = value
    end
    at = at + size
  end
  count = count + 1
  found[count] = at + 1
  return found, count
end

local function measure(format)
  format = checked(format, 'string', 1, 'size')
  local total = 0
  local next_option = options(format, 'size')
  while true do
    local letter, size, padding = next_option(total)
    if not letter then return total end
    if letter == 's' then refuse(1, 'size', "option 's' has no fixed size") end
    if letter == 'c' and size == 0 then
      refuse(1, 'size', "option 'c0' has no fixed size")
    end
    total = total + padding + size
  end
end

return {
  pack = function(...)
    local ok, text = pcall(pack, ...)
    if not ok then error(text, 2) end
    return text
  end,
  unpack = function(...)
    local ok, found, count = pcall(read, ...)
    if not ok then error(found, 2) end
    return unpack(found, 1, count)
  end,
  size = function(...)
    local ok, total = pcall(measure, ...)
    if not ok then error(total, 2) end
    return total
  end,
}
