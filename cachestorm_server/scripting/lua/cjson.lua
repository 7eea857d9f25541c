-- cjson: JSON as lua-cjson 2.1.0 writes and reads it. Loaded by prelude.lua.

local null = ...
local type, next, tonumber, select = type, next, tonumber, select
local error, pcall = error, pcall
local floor, huge, concat = math.floor, math.huge, table.concat
local byte, char, find, format = string.byte, string.char, string.find, string.format
local gsub, match, sub, rawget = string.gsub, string.match, string.sub, rawget

local ESCAPES = {
  ['"'] = '\\"', ['\\'] = '\\\\', ['/'] = '\\/', ['\b'] = '\\b', ['\t'] = '\\t',
  ['\n'] = '\\n', ['\f'] = '\\f', ['\r'] = '\\r', ['\127'] = '\\u007f',
}
for code = 0, 31 do
  local c = char(code)
  ESCAPES[c] = ESCAPES[c] or format('\\u%04x', code)
end
local UNESCAPES = {
  ['"'] = '"', ['\\'] = '\\', ['/'] = '/', b = '\b', t = '\t', n = '\n', f = '\f', r = '\r',
}
local INT_MAX = 2147483647
local WORDS = {['true'] = 'T_BOOLEAN', ['false'] = 'T_BOOLEAN', ['null'] = 'T_NULL'}
local MARKS = {
  ['{'] = 'T_OBJ_BEGIN', ['}'] = 'T_OBJ_END', ['['] = 'T_ARR_BEGIN', [']'] = 'T_ARR_END',
  [':'] = 'T_COLON', [','] = 'T_COMMA', [''] = 'T_END', ['"'] = 'T_STRING',
}

local function new()
  local cjson = {_NAME = 'cjson', _VERSION = '2.1.0', null = null}
  local decodes_invalid, encodes_invalid = true, false
  local decode_depth, encode_depth, number_format = 1000, 1000, '%.14g'
  local sparse_convert, sparse_ratio, sparse_safe = false, 2, 10

  -- encoding

  local append

  local function refuse(value, reason)
    error('Cannot serialise ' .. type(value) .. ': ' .. reason, 0)
  end

  local function quote(text) return '"' .. gsub(text, '[%c"\\/\127]', ESCAPES) .. '"' end

  local function number(value)
    if value ~= value or value == huge or value == -huge then
      if encodes_invalid == 'null' then return 'null' end
      if not encodes_invalid then refuse(value, 'must not be NaN or Inf') end
    end
    return format(number_format, value)
  end

  -- The length of what is written as an array; nil for an object.
  local function array_length(t)
    local most, count = 0, 0
    for key in next, t do
      if type(key) ~= 'number' or key <= 0 or floor(key) ~= key then return nil end
      if key > most then most = key end
      count = count + 1
    end
    if sparse_ratio > 0 and most > count * sparse_ratio and most > sparse_safe then
      if not sparse_convert then refuse(t, 'excessively sparse array') end
      return nil
    end
    return most > 0 and most or nil
  end

  local function append_table(out, t, depth)
    if depth > encode_depth then
      error('Cannot serialise, excessive nesting (' .. depth .. ')', 0)
    end
    local length = array_length(t)
    if length then
      out[#out + 1] = '['
      for at = 1, length do
        if at > 1 then out[#out + 1] = ',' end
        append(out, rawget(t, at), depth)
      end
      out[#out + 1] = ']'
      return
    end
    out[#out + 1] = '{'
    local is_first = true
    for key, value in next, t do
      if not is_first then out[#out + 1] = ',' end
      is_first = false
      if type(key) == 'string' then
        out[#out + 1] = quote(key) .. ':'
      elseif type(key) == 'number' then
        out[#out + 1] = '"' .. number(key) .. '":'
      else
        refuse(key, 'table key must be a number or string')
      end
      append(out, value, depth)
    end
    out[#out + 1] = '}'
  end

  append = function(out, value, depth)
    local kind = type(value)
    if kind == 'string' then
      out[#out + 1] = quote(value)
    elseif kind == 'number' then
      out[#out + 1] = number(value)
    elseif kind == 'boolean' then
      out[#out + 1] = value and 'true' or 'false'
    elseif value == nil or value == null then
      out[#out + 1] = 'null'
    elseif kind == 'table' then
      append_table(out, value, depth + 1)
    else
      refuse(value, 'type not supported')
    end
  end

  function cjson.encode(...)
    if select('#', ...) ~= 1 then error("bad argument #1 to 'encode' (expected 1 argument)", 2) end
    local out = {}
    local ok, err = pcall(append, out, (...), 0)
    if not ok then error(err, 2) end
    return concat(out)
  end

  -- decoding

  local function expected(text, at, what)
    local c = sub(text, at, at)
    local found = MARKS[c] or WORDS[match(text, '^%l+', at) or '']
    if not found then found = find(c, '[%d-]') and 'T_NUMBER' or 'invalid token' end
    error('Expected ' .. what .. ' but found ' .. found .. ' at character ' .. at, 0)
  end

  local function invalid(reason, what, at)
    error('Expected ' .. what .. ' but found ' .. reason .. ' at character ' .. at, 0)
  end

  local function skip(text, at) return (find(text, '[^ \t\r\n]', at)) or #text + 1 end

  local function utf8(code)
    if code < 0x80 then return char(code) end
    if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
    if code < 0x10000 then
      return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
    end
    return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64,
      0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end

  -- The code point of an escape, and where it ends; nil if it is none.
  local function code_point(text, at)
    local digits = match(text, '^\\u(%x%x%x%x)', at)
    if not digits then return nil end
    local code = tonumber(digits, 16)
    if code < 0xD800 or code > 0xDFFF then return code, at + 6 end
    if code >= 0xDC00 then return nil end
    digits = match(text, '^\\u(%x%x%x%x)', at + 6)
    local low = digits and tonumber(digits, 16) or 0
    if low < 0xDC00 or low > 0xDFFF then return nil end
    return 0x10000 + (code - 0xD800) * 1024 + (low - 0xDC00), at + 12
  end

  -- The string after the quote at `at`, and where it ends.
  local function read_string(text, at, what)
    local start = at + 1
    local parts
    while true do
      local stop = find(text, '["\\%z]', start)
      if not stop then invalid('unexpected end of string', what, #text + 1) end
      local c = byte(text, stop)
      if c == 0 then invalid('unexpected end of string', what, stop) end
      if c == 34 then
        local last = sub(text, start, stop - 1)
        if not parts then return last, stop + 1 end
        parts[#parts + 1] = last
        return concat(parts), stop + 1
      end
      parts = parts or {}
      parts[#parts + 1] = sub(text, start, stop - 1)
      local escape = sub(text, stop + 1, stop + 1)
      if escape == 'u' then
        local code, after = code_point(text, stop)
        if not code then invalid('invalid unicode escape code', what, stop) end
        parts[#parts + 1] = utf8(code)
        start = after
      else
        local c2 = UNESCAPES[escape]
        if not c2 then invalid('invalid escape code', what, stop) end
        parts[#parts + 1] = c2
        start = stop + 2
      end
    end
  end

  local function read_number(text, at)
    local digits = match(text, '^%-?%d+%.?%d*[eE][+-]?%d+', at)
      or match(text, '^%-?%d+%.?%d*', at) or match(text, '^%-?%.%d+', at)
    if decodes_invalid then
      local hex = match(text, '^%-?0[xX]%x+', at)
      if hex then digits = hex end
      local word = match(text, '^%-?%a+', at)
      local name = word and gsub(word:lower(), '^%-', '')
      if name == 'nan' then return -(0 / 0), at + #word end
      if name == 'inf' or name == 'infinity' then
        return byte(word) == 45 and -huge or huge, at + #word
      end
    elseif digits and (find(digits, '^%-?0%d') or find(text, '^%-?0[xX]', at)) then
      invalid('invalid number', 'value', at)
    end
    if not digits then return nil end
    local value = tonumber(gsub(digits, '^%-', ''), nil)
    if not value then return nil end
    return byte(digits) == 45 and -value or value, at + #digits
  end

  local read

  local function deeper(depth, at)
    if depth > decode_depth then
      error('Found too many nested data structures (' .. depth .. ') at character ' .. at, 0)
    end
  end

  local function read_object(text, at, depth)
    deeper(depth, at)
    local t = {}
    at = skip(text, at + 1)
    if byte(text, at) == 125 then return t, at + 1 end
    while true do
      if byte(text, at) ~= 34 then expected(text, at, 'object key string') end
      local key, value
      key, at = read_string(text, at, 'object key string')
      at = skip(text, at)
      if byte(text, at) ~= 58 then expected(text, at, 'colon') end
      value, at = read(text, skip(text, at + 1), depth)
      t[key] = value
      at = skip(text, at)
      local c = byte(text, at)
      if c == 125 then return t, at + 1 end
      if c ~= 44 then expected(text, at, 'comma or object end') end
      at = skip(text, at + 1)
    end
  end

  local function read_array(text, at, depth)
    deeper(depth, at)
    local t, count = {}, 0
    at = skip(text, at + 1)
    if byte(text, at) == 93 then return t, at + 1 end
    while true do
      count = count + 1
      t[count], at = read(text, at, depth)
      at = skip(text, at)
      local c = byte(text, at)
      if c == 93 then return t, at + 1 end
      if c ~= 44 then expected(text, at, 'comma or array end') end
      at = skip(text, at + 1)
    end
  end

  read = function(text, at, depth)
    local c = byte(text, at)
    if c == 34 then return read_string(text, at, 'value') end
    if c == 123 then return read_object(text, at, depth + 1) end
    if c == 91 then return read_array(text, at, depth + 1) end
    if sub(text, at, at + 3) == 'true' then return true, at + 4 end
    if sub(text, at, at + 4) == 'false' then return false, at + 5 end
    if sub(text, at, at + 3) == 'null' then return null, at + 4 end
    local value, after
    if c then value, after = read_number(text, at) end
    if value == nil then
      if c and find(sub(text, at, at), '[%d-]') then invalid('invalid number', 'value', at) end
      expected(text, at, 'value')
    end
    return value, after
  end

  local function whole(text)
    local value, at = read(text, skip(text, 1), 0)
    at = skip(text, at)
    if at <= #text then expected(text, at, 'the end') end
    return value
  end

  function cjson.decode(...)
    if select('#', ...) ~= 1 then error("bad argument #1 to 'decode' (expected 1 argument)", 2) end
    local text = ...
    if type(text) == 'number' then text = text .. '' end
    if type(text) ~= 'string' then
      local given = text == nil and 'nil' or type(text)
      error("bad argument #1 to 'decode' (string expected, got " .. given .. ')', 2)
    end
    if #text >= 2 and (byte(text, 1) == 0 or byte(text, 2) == 0) then
      error('JSON parser does not support UTF-16 or UTF-32', 2)
    end
    local ok, value = pcall(whole, text)
    if not ok then error(value, 2) end
    return value
  end

  -- settings: whoever sets one sets it for all later scripts, so that nothing else is let in

  local function bad(at, name, reason)
    error('bad argument #' .. at .. " to '" .. name .. "' (" .. reason .. ')', 3)
  end

  local function most(count, name, ...)
    if select('#', ...) > count then bad(count + 1, name, 'found too many arguments') end
  end

  local function integer(current, given, least, greatest, name, at)
    if given == nil then return current end
    local value = type(given) == 'number' and given or type(given) == 'string' and tonumber(given)
    if not value then bad(at or 1, name, 'number expected, got ' .. type(given)) end
    value = value < 0 and -floor(-value) or floor(value)
    if not (value >= least and value <= greatest) then
      bad(1, name, 'expected integer between ' .. least .. ' and ' .. format('%d', greatest))
    end
    return value
  end

  local function switch(current, given, name, third)
    if given == nil then return current end
    if type(given) == 'boolean' then return given end
    if type(given) == 'number' then given = given .. '' end
    if type(given) ~= 'string' then bad(1, name, 'string expected, got ' .. type(given)) end
    if given == 'on' or given == 'off' then return given == 'on' end
    if given ~= third then bad(1, name, "invalid option '" .. given .. "'") end
    return given
  end

  function cjson.decode_max_depth(...)
    most(1, 'decode_max_depth', ...)
    decode_depth = integer(decode_depth, (...), 1, INT_MAX, 'decode_max_depth')
    return decode_depth
  end

  function cjson.encode_max_depth(...)
    most(1, 'encode_max_depth', ...)
    encode_depth = integer(encode_depth, (...), 1, INT_MAX, 'encode_max_depth')
    return encode_depth
  end

  function cjson.decode_invalid_numbers(...)
    most(1, 'decode_invalid_numbers', ...)
    decodes_invalid = switch(decodes_invalid, (...), 'decode_invalid_numbers')
    return decodes_invalid
  end

  function cjson.encode_invalid_numbers(...)
    most(1, 'encode_invalid_numbers', ...)
    encodes_invalid = switch(encodes_invalid, (...), 'encode_invalid_numbers', 'null')
    return encodes_invalid
  end

  local keeps_buffer = true
  function cjson.encode_keep_buffer(...)
    most(1, 'encode_keep_buffer', ...)
    keeps_buffer = switch(keeps_buffer, (...), 'encode_keep_buffer')
    return keeps_buffer
  end

  local precision = 14
  function cjson.encode_number_precision(...)
    most(1, 'encode_number_precision', ...)
    precision = integer(precision, (...), 1, 14, 'encode_number_precision')
    number_format = '%.' .. precision .. 'g'
    return precision
  end

  function cjson.encode_sparse_array(...)
    local name = 'encode_sparse_array'
    most(3, name, ...)
    local convert, ratio, safe = ...
    sparse_convert = switch(sparse_convert, convert, name)
    sparse_ratio = integer(sparse_ratio, ratio, 0, INT_MAX, name, 2)
    sparse_safe = integer(sparse_safe, safe, 0, INT_MAX, name, 3)
    return sparse_convert, sparse_ratio, sparse_safe
  end

  cjson.new = new
  return cjson
end

return new()
