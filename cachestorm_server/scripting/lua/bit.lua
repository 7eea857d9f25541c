-- bit: operations on 32 bits, as LuaBitOp 1.0.2 has them. Loaded by prelude.lua.

local floor, format, sub, rep = math.floor, string.format, string.sub, string.rep
local select, type, error, tonumber = select, type, error, tonumber

-- for each pair of 4-bit numbers
local AND, XOR = {}, {}
for a = 0, 15 do
  for b = 0, 15 do
    local both, one, weight, x, y = 0, 0, 1, a, b
    for _ = 1, 4 do
      local p, q = x % 2, y % 2
      if p == 1 and q == 1 then both = both + weight end
      if p ~= q then one = one + weight end
      x, y, weight = (x - p) / 2, (y - q) / 2, weight * 2
    end
    AND[a * 16 + b], XOR[a * 16 + b] = both, one
  end
end

local function unsigned(value, name, at)
  local number = tonumber(value)
  if not number or (type(value) ~= 'number' and type(value) ~= 'string') then
    local given = value == nil and 'no value' or type(value)
    error("bad argument #" .. (at or 1) .. " to '" .. name .. "' (number expected, got " .. given .. ')', 3)
  end
  -- infinity and what is no number have no bits
  if number - number ~= 0 then return 0 end
  -- halves go to the even number, as a double that is stored as an integer does
  local whole = floor(number)
  local part = number - whole
  if part > 0.5 or (part == 0.5 and whole % 2 == 1) then whole = whole + 1 end
  return whole % 4294967296
end

local function signed(number)
  return number >= 2147483648 and number - 4294967296 or number
end

local function combine(table, a, b)
  local result, weight = 0, 1
  for _ = 1, 8 do
    local x, y = a % 16, b % 16
    result = result + table[x * 16 + y] * weight
    a, b, weight = (a - x) / 16, (b - y) / 16, weight * 16
  end
  return result
end

local bit = {}

local function folded(name, step)
  bit[name] = function(...)
    local result = unsigned((...), name, 1)
    for at = 2, select('#', ...) do
      result = step(result, unsigned(select(at, ...), name, at))
    end
    return signed(result)
  end
end

folded('band', function(a, b) return combine(AND, a, b) end)
folded('bxor', function(a, b) return combine(XOR, a, b) end)
folded('bor', function(a, b) return a + b - combine(AND, a, b) end)

function bit.tobit(value) return signed(unsigned(value, 'tobit')) end
function bit.bnot(value) return signed(4294967295 - unsigned(value, 'bnot')) end

function bit.lshift(value, by)
  local number, count = unsigned(value, 'lshift'), unsigned(by, 'lshift', 2) % 32
  return signed(number * 2 ^ count % 4294967296)
end

function bit.rshift(value, by)
  local number, count = unsigned(value, 'rshift'), unsigned(by, 'rshift', 2) % 32
  return signed(floor(number / 2 ^ count))
end

function bit.arshift(value, by)
  local number, count = signed(unsigned(value, 'arshift')), unsigned(by, 'arshift', 2) % 32
  return floor(number / 2 ^ count)
end

local function rotated(number, count)
  return signed(number * 2 ^ count % 4294967296 + floor(number / 2 ^ (32 - count)))
end

function bit.rol(value, by)
  return rotated(unsigned(value, 'rol'), unsigned(by, 'rol', 2) % 32)
end

function bit.ror(value, by)
  return rotated(unsigned(value, 'ror'), (32 - unsigned(by, 'ror', 2) % 32) % 32)
end

function bit.bswap(value)
  local number = unsigned(value, 'bswap')
  local a, b, c = number % 256, floor(number / 256) % 256, floor(number / 65536) % 256
  return signed(((a * 256 + b) * 256 + c) * 256 + floor(number / 16777216))
end

function bit.tohex(value, digits)
  local number = unsigned(value, 'tohex')
  local count = digits == nil and 8 or signed(unsigned(digits, 'tohex', 2))
  local text = format('%08x', number)
  if count < 0 then text, count = format('%08X', number), -count end
  return sub(text, -(count > 8 and 8 or count == 0 and 0 or count), count == 0 and -9 or -1)
end

return bit
