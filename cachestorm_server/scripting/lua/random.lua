-- `math.random` and `math.randomseed` with the numbers that Redis draws, which are those of
-- `drand48`: from one seed they are the same on every platform. Loaded before mended.lua.
--
-- Source: `rand.c` and `script_lua.c` of Redis 7.2.

local error, floor, select, tonumber, type = error, math.floor, select, tonumber, type

local HALF, WORD = 2 ^ 24, 2 ^ 32
-- of what is drawn; and the factor, by halves, and what is added
local MOST = 2147483647
local FACTOR_HIGH, FACTOR_LOW, ADDED = 1502, 15525485, 11

-- the state, by halves: as long as no script has set a seed
local high, low = 1193131, 13447950

local function seed(number)
  number = number % WORD
  high, low = floor(number / 256), number % 256 * 65536 + 13070
end

-- A number from 0 up to 1.
local function draw()
  local product = low * FACTOR_LOW + ADDED
  high = (high * FACTOR_LOW + low * FACTOR_HIGH + floor(product / HALF)) % HALF
  low = product % HALF
  return (high * 128 + floor(low / 131072)) % MOST / MOST
end

-- As a number becomes an `int` in C.
local function int(number)
  if number ~= number or number >= 2 ^ 63 or number < -2 ^ 63 then return 0 end
  number = (number < 0 and -floor(-number) or floor(number)) % WORD
  return number >= WORD / 2 and number - WORD or number
end

local function checked(name, at, ...)
  local given = select(at, ...)
  local number = (type(given) == 'number' or type(given) == 'string') and tonumber(given)
  if number then return int(number) end
  local kind = select('#', ...) < at and 'no value' or type(given)
  error('bad argument #' .. at .. " to '" .. name .. "' (number expected, got " .. kind .. ')', 3)
end

local function refuse(at) error('bad argument #' .. at .. " to 'random' (interval is empty)", 3) end

function math.random(...)
  local count = select('#', ...)
  local drawn = draw()
  if count == 0 then return drawn end
  if count > 2 then error('wrong number of arguments', 2) end
  local least, most = 1, checked('random', 1, ...)
  if count == 2 then least, most = most, checked('random', 2, ...) end
  if least > most then refuse(count) end
  return floor(drawn * int(most - least + 1)) + least
end

function math.randomseed(...) seed(checked('randomseed', 1, ...)) end
