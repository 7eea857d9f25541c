-- binary: numbers as bytes, for struct.lua and cmsgpack.lua. Scripts do not see it.

local byte, char, concat, reverse = string.byte, string.char, table.concat, string.reverse
local floor, frexp, ldexp, huge = math.floor, math.frexp, math.ldexp, math.huge
local tostring, sub = tostring, string.sub

local binary = {}

-- The last `size` bytes of an integer in two's complement, the highest first.
function binary.integer(number, size)
  local parts = {}
  for at = size, 1, -1 do
    local rest = floor(number / 256)
    parts[at] = char(number - rest * 256)
    number = rest
  end
  return concat(parts)
end

-- The integer that bytes are, the highest first.
function binary.number(text, is_signed)
  local high, low, size = 0, 0, #text
  for at = 1, size do
    if size - at < 4 then
      low = low * 256 + byte(text, at)
    else
      high = (high * 256 + byte(text, at)) % 4294967296
    end
  end
  if is_signed and byte(text, 1) >= 128 then
    if size <= 4 then return low - 256 ^ size end
    return (high - (size < 8 and 256 ^ (size - 4) or 4294967296)) * 4294967296 + low
  end
  return high * 4294967296 + low
end

-- A number by IEEE 754: of so many bytes, so many of whose bits are the exponent.
local function pack_float(number, size, bits)
  local fraction_bits, most = size * 8 - bits - 1, 2 ^ bits - 1
  local sign = (number < 0 or sub(tostring(number), 1, 1) == '-') and 1 or 0
  local exponent, fraction
  if number ~= number then
    exponent, fraction = most, 2 ^ (fraction_bits - 1)
  elseif number == 0 then
    exponent, fraction = 0, 0
    sign = 1 / number < 0 and 1 or 0
  else
    local mantissa
    mantissa, exponent = frexp(number < 0 and -number or number)
    if mantissa == huge or number == huge or number == -huge then
      exponent, fraction = most, 0
    else
      exponent = exponent + floor(most / 2) - 1
      if exponent > 0 then
        fraction = ldexp(mantissa * 2 - 1, fraction_bits)
      else
        fraction = ldexp(mantissa, fraction_bits + exponent)
        exponent = 0
      end
      local whole = floor(fraction)
      local part = fraction - whole
      if part > 0.5 or (part == 0.5 and whole % 2 == 1) then whole = whole + 1 end
      fraction = whole
      if fraction >= 2 ^ fraction_bits then fraction, exponent = 0, exponent + 1 end
      if exponent >= most then exponent, fraction = most, 0 end
    end
  end
  local high_bits = fraction_bits - (size - 4) * 8
  local weight = 2 ^ ((size - 4) * 8)
  local high = floor(fraction / weight)
  local first = sign * 2147483648 + exponent * 2 ^ high_bits + high
  if size == 4 then return binary.integer(first, 4) end
  return binary.integer(first, 4) .. binary.integer(fraction - high * weight, 4)
end

local function unpack_float(text, size, bits)
  local fraction_bits, most = size * 8 - bits - 1, 2 ^ bits - 1
  local high_bits = fraction_bits - (size - 4) * 8
  local first = binary.number(sub(text, 1, 4), false)
  local sign = first >= 2147483648 and -1 or 1
  local exponent = floor(first / 2 ^ high_bits) % 2 ^ bits
  local fraction = first % 2 ^ high_bits
  if size == 8 then fraction = fraction * 4294967296 + binary.number(sub(text, 5, 8), false) end
  if exponent == most then
    if fraction == 0 then return sign * huge end
    return sign * -(0 / 0)
  end
  local bias = floor(most / 2)
  if exponent == 0 then return sign * ldexp(fraction, 1 - bias - fraction_bits) end
  return sign * ldexp(fraction + 2 ^ fraction_bits, exponent - bias - fraction_bits)
end

function binary.double(number) return pack_float(number, 8, 11) end
function binary.float(number) return pack_float(number, 4, 8) end
function binary.from_double(text) return unpack_float(text, 8, 11) end
function binary.from_float(text) return unpack_float(text, 4, 8) end

-- A number without what is behind its point.
function binary.whole(number) return number < 0 and -floor(-number) or floor(number) end

binary.reverse = reverse
return binary
