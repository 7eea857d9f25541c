"""The tag script: tags on a server that has none, as one Lua script for Redis and Valkey.

Called by `Dialect`, which writes the calls; a call is one step for everybody else.

1. Beside the keys are two of ours: a hash that has the tags of each key, packed, and a sorted
   set, all scores alike, of tag and key in one, so that the keys of a tag are one range. Each
   is the inverse of the other at any moment.
2. A tag counts while its key is there. So a key that expires or is deleted by whomever has
   none. What creates a key, or overwrites it, drops what is left of an earlier one first.
3. What others have deleted is swept out by the writes that follow: each looks at `SAMPLE` keys,
   or at one if it leaves the index as it was.
4. `ARGV` is the operation, the prefix of our keys, and what the operation takes. In a
   cluster there are two keys a slot, and an operation of a tag takes the slots of one node, by
   their hash tags: `slots.py`. A slot that is on its way to another node is told, not guessed.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cachestorm.remote.slots import WIDTH

# what our keys begin with, and no other may
RESERVED: Final = b"cachestorm:tags:"
# what the keys of a namespace by name begin with, before the name: `spaces.py`
SPACES: Final = b"cachestorm:in:"
# how many arguments Lua passes on, well below its limit
UNPACKED: Final = 4000
SAMPLE: Final = 3

_COMMON: Final = f"""
local call, pcall_command = redis.call, redis.pcall
local RESERVED, SAMPLE, WIDTH, MANY = '{RESERVED.decode()}', {SAMPLE}, {WIDTH}, {UNPACKED}
"""

_LUA: Final = """
-- nearly all calls end here, before the functions below are made

-- a SET in any case. put: the value, milliseconds or nothing, the tags; set: nothing, how many
-- tags, the tags, the command
local put, given, stale
if ARGV[1] == 'put' or (ARGV[1] == 'set' and ARGV[3] == '') then
  given = {}
  if ARGV[1] == 'put' then
    if ARGV[4] == '' then
      put = pcall_command('SET', KEYS[1], ARGV[3])
    else
      put = pcall_command('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
    end
    for i = 5, #ARGV do given[#given + 1] = ARGV[i] end
  else
    for i = 5, 4 + tonumber(ARGV[4]) do given[#given + 1] = ARGV[i] end
    put = pcall_command(unpack(ARGV, 5 + #given))
  end
  if type(put) == 'table' and put.err then return put end
  local had = call('HGET', ARGV[2] .. 'keys', KEYS[1])
  if (had or '') == (#given > 0 and cmsgpack.pack(given) or '') then
    -- those that it had before, alive or not: the index has them
    if not had then return put end
    local other = call('HRANDFIELD', ARGV[2] .. 'keys')
    if pcall_command('EXISTS', other) ~= 0 then return put end
    stale = {other}
  end
end

-- DEL of keys, and before that of what is beside them: how many, the command
if ARGV[1] == 'drop' then
  local count = tonumber(ARGV[3])
  call('DEL', unpack(KEYS, count + 1, 3 * count))
  put = call(ARGV[4], unpack(KEYS, 1, count))
  local had = call('HMGET', ARGV[2] .. 'keys', unpack(KEYS, 1, 3 * count))
  for i = 1, #had do
    if had[i] then stale = {unpack(KEYS, 1, 3 * count)} end
  end
  if not stale then return put end
end

local LINKS = ARGV[2] .. 'links'
local OWNERS, INDEX

local function at(home)
  OWNERS, INDEX = home .. 'keys', home .. 'index'
end

-- a tag and a key in one, sorted by both
local function joined(tag, key)
  local size = #tag
  return string.char(math.floor(size / 256), size % 256) .. tag .. key
end

local function tag_in(member)
  local high, low = member:byte(1, 2)
  return member:sub(3, 2 + high * 256 + low)
end

-- the end of the range of all that begins so
local function after(prefix)
  local at_end = #prefix
  while prefix:byte(at_end) == 255 do at_end = at_end - 1 end
  return prefix:sub(1, at_end - 1) .. string.char(prefix:byte(at_end) + 1)
end

-- the second halves of all members of a set that have this first half
local function seconds(set, tag)
  local prefix = joined(tag, '')
  local found = call('ZRANGEBYLEX', set, '[' .. prefix, '(' .. after(prefix))
  local start = #prefix + 1
  for i = 1, #found do found[i] = found[i]:sub(start) end
  return found
end

local function in_parts(list, size, visit)
  for first = 1, #list, size do
    visit(first, math.min(first + size - 1, #list))
  end
end

local function is_there(key)
  return call('EXISTS', key) == 1
end

local function tags_of(key)
  local packed = call('HGET', OWNERS, key)
  return packed and cmsgpack.unpack(packed) or {}
end

-- drops keys from the index, a thousand at most
local function forget(...)
  local keys = {...}
  local packed = call('HMGET', OWNERS, ...)
  local members = {}
  for i = 1, #keys do
    for _, tag in ipairs(packed[i] and cmsgpack.unpack(packed[i]) or {}) do
      members[#members + 1] = joined(tag, keys[i])
    end
  end
  if #members == 0 then return end
  in_parts(members, MANY, function(first, last)
    call('ZREM', INDEX, unpack(members, first, last))
  end)
  call('HDEL', OWNERS, ...)
end

local function settle(key)
  if not is_there(key) then forget(key) end
end

local function index(key, tags)
  local pairs_of = {}
  for i = 1, #tags do
    pairs_of[2 * i - 1] = 0
    pairs_of[2 * i] = joined(tags[i], key)
  end
  in_parts(pairs_of, MANY, function(first, last)
    call('ZADD', INDEX, unpack(pairs_of, first, last))
  end)
end

local function bear(key, tags)
  if #tags == 0 then return end
  call('HSET', OWNERS, key, cmsgpack.pack(tags))
  index(key, tags)
  for _, other in ipairs(call('HRANDFIELD', OWNERS, SAMPLE)) do
    -- an error, if it is on its way to another node of a cluster
    if pcall_command('EXISTS', other) == 0 then forget(other) end
  end
end

-- so that whoever watches the key hears of its tags
local function touch(key)
  if call('TYPE', key).ok == 'string' then call('APPEND', key, '') end
end

local function command(first)
  local reply = pcall_command(unpack(ARGV, first))
  return reply, type(reply) == 'table' and reply.err ~= nil
end

local function live(keys)
  local found = {}
  in_parts(keys, MANY, function(first, last)
    local is_whole = call('EXISTS', unpack(keys, first, last)) == last - first + 1
    for i = first, last do
      if is_whole or is_there(keys[i]) then found[#found + 1] = keys[i] end
    end
  end)
  return found
end

local function descent(tags)
  local seen, list = {}, {}
  local function add(tag)
    if not seen[tag] then
      seen[tag] = true
      list[#list + 1] = tag
    end
  end
  for _, tag in ipairs(tags) do add(tag) end
  local next_one = 1
  while next_one <= #list do
    for _, child in ipairs(seconds(LINKS, list[next_one])) do add(child) end
    next_one = next_one + 1
  end
  return list, seen
end

local function rest(first)
  local list = {}
  for i = first, #ARGV do list[#list + 1] = ARGV[i] end
  return list
end

local operations = {}

-- of one key, or of keys of one slot; in a cluster our two keys follow them in KEYS, so that a
-- slot on its way to another node refuses the call as long as they are not together

-- whether all that is used here is allowed and known
function operations.probe()
  call('HGET', OWNERS, '')
  call('HRANDFIELD', OWNERS, SAMPLE)
  call('ZRANGEBYLEX', INDEX, '-', '+', 'LIMIT', 0, 1)
  return #cmsgpack.pack({'a'})
end

-- kinds, a letter for each key: o overwritten, c that if the reply is 1, d may be deleted,
-- k kept, or new
function operations.run()
  local kinds = ARGV[3]
  for i = 1, #kinds do
    if kinds:sub(i, i) == 'k' then settle(KEYS[i]) end
  end
  local reply, is_refused = command(4)
  if is_refused then return reply end
  for i = 1, #kinds do
    local kind, key = kinds:sub(i, i), KEYS[i]
    if kind == 'o' or (kind == 'c' and reply == 1) then
      forget(key)
    elseif kind == 'd' then
      settle(key)
    end
  end
  return reply
end

-- what comes before or after a command that is too long to be run here, or waits
function operations.settle()
  for i = 1, #ARGV[3] do
    if ARGV[3]:sub(i, i) == 'o' then forget(KEYS[i]) else settle(KEYS[i]) end
  end
end

-- what is left of those
function operations.put()
  if stale then
    forget(unpack(stale))
  else
    forget(KEYS[1])
    bear(KEYS[1], given)
  end
  return put
end

operations.drop = operations.put

-- SET on a condition, and what is left of another: see above
function operations.set()
  local key, condition, count = KEYS[1], ARGV[3], tonumber(ARGV[4])
  if given then return operations.put() end
  local existed = is_there(key)
  local reply, is_refused = command(5 + count)
  if is_refused then return reply end
  if condition == 'NX' and existed then return reply end
  forget(key)
  if condition == 'XX' and not existed then return reply end
  local tags = {}
  for i = 5, 4 + count do tags[#tags + 1] = ARGV[i] end
  bear(key, tags)
  return reply
end

function operations.rename()
  local source, target = KEYS[1], KEYS[2]
  settle(source)
  local tags = tags_of(source)
  local reply, is_refused = command(3)
  if is_refused or reply == 0 or source == target then return reply end
  forget(source)
  forget(target)
  bear(target, tags)
  return reply
end

function operations.copy()
  local source, target = KEYS[1], KEYS[2]
  settle(source)
  local reply, is_refused = command(3)
  if is_refused or reply == 0 then return reply end
  forget(target)
  bear(target, tags_of(source))
  return reply
end

-- to another database, where there is no way to
function operations.leave()
  local key = KEYS[1]
  settle(key)
  if #tags_of(key) > 0 then
    return redis.error_reply('ERR a key cannot take its tags to another database here')
  end
  return (command(3))
end

function operations.tags()
  return is_there(KEYS[1]) and tags_of(KEYS[1]) or {}
end

function operations.addtag()
  local key, added, seen = KEYS[1], {}, {}
  settle(key)
  if not is_there(key) then return 0 end
  local tags = tags_of(key)
  for _, tag in ipairs(tags) do seen[tag] = true end
  for _, tag in ipairs(rest(3)) do
    if not seen[tag] then
      seen[tag] = true
      tags[#tags + 1] = tag
      added[#added + 1] = tag
    end
  end
  if #added > 0 then
    bear(key, tags)
    touch(key)
  end
  return #added
end

function operations.remtag()
  local key, gone, kept = KEYS[1], {}, {}
  settle(key)
  for _, tag in ipairs(rest(3)) do gone[tag] = true end
  local tags = tags_of(key)
  for _, tag in ipairs(tags) do
    if not gone[tag] then kept[#kept + 1] = tag end
  end
  if #kept < #tags then
    forget(key)
    bear(key, kept)
    touch(key)
  end
  return #tags - #kept
end

-- of tags, each over the keys of one home, which add to a total

local totals = {}

function totals.tagkeys(total)
  for _, key in ipairs(live(seconds(INDEX, ARGV[4]))) do total[#total + 1] = key end
end

function totals.tagcount(total)
  total.number = total.number + #live(seconds(INDEX, ARGV[4]))
end

local wanted
function totals.invalidate(total)
  local is_dry = ARGV[4]:find('d') ~= nil
  if not wanted then
    wanted = rest(5)
    if ARGV[4]:find('c') then wanted = descent(wanted) end
  end
  local seen, keys = {}, {}
  for _, tag in ipairs(wanted) do
    for _, key in ipairs(seconds(INDEX, tag)) do
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  if is_dry then
    total.number = total.number + #live(keys)
    return
  end
  in_parts(keys, 1000, function(first, last)
    -- in this order: a key that is elsewhere is an error, and keeps its tags
    total.number = total.number + call('UNLINK', unpack(keys, first, last))
    forget(unpack(keys, first, last))
  end)
end

-- the tags that are in use
function totals.tagscan(total)
  local start = '-'
  while true do
    local member = call('ZRANGEBYLEX', INDEX, start, '+', 'LIMIT', 0, 1)[1]
    if not member then return end
    local tag = tag_in(member)
    if #live(seconds(INDEX, tag)) > 0 then total[#total + 1] = tag end
    start = '[' .. after(joined(tag, ''))
  end
end

-- how many keys are ours
function totals.ours(total)
  total.number = total.number + call('EXISTS', OWNERS) + call('EXISTS', INDEX)
end

-- a list or a number, and the marks of the slots that are not all here
local function over_homes(operation, total)
  local marks, failed = ARGV[3], {}
  if marks == '' then
    at(ARGV[2])
    operation(total)
  end
  for first = 1, #marks, WIDTH do
    local mark = marks:sub(first, first + WIDTH - 1)
    INDEX = ARGV[2] .. '{' .. mark .. '}:index'
    local found = pcall_command('EXISTS', INDEX)
    if found == 1 then
      OWNERS = ARGV[2] .. '{' .. mark .. '}:keys'
      found = pcall(operation, total) and 1
    end
    if found ~= 0 and found ~= 1 then failed[#failed + 1] = mark end
  end
  return {total.number or total, table.concat(failed)}
end

-- of links

function operations.taglink()
  local parent, child = ARGV[3], ARGV[4]
  local _, below = descent({child})
  if below[parent] then
    return redis.error_reply('ERR tag link would create a cycle')
  end
  call('ZADD', LINKS, 0, joined(parent, child))
  return redis.status_reply('OK')
end

function operations.tagunlink()
  call('ZREM', LINKS, joined(ARGV[3], ARGV[4]))
  return redis.status_reply('OK')
end

function operations.tagchildren()
  return seconds(LINKS, ARGV[3])
end

function operations.descent()
  return (descent(rest(3)))
end

function operations.taglinks()
  local found = {}
  for _, member in ipairs(call('ZRANGE', LINKS, 0, -1)) do
    local parent = tag_in(member)
    found[#found + 1] = {parent, member:sub(3 + #parent)}
  end
  table.sort(found, function(one, other)
    if one[1] == other[1] then return one[2] < other[2] end
    return one[1] < other[1]
  end)
  return found
end

-- of all keys of a server

function operations.randomkey()
  if call('DBSIZE') == 0 then return false end
  for _ = 1, 1000 do
    local key = call('RANDOMKEY')
    if not key or key:sub(1, #RESERVED) ~= RESERVED then return key end
  end
  for _, key in ipairs(call('KEYS', '*')) do
    if key:sub(1, #RESERVED) ~= RESERVED then return key end
  end
  return false
end

local name = ARGV[1]
if totals[name] then
  local is_list = name == 'tagkeys' or name == 'tagscan'
  return over_homes(totals[name], is_list and {} or {number = 0})
end
at(ARGV[2])
return operations[name]()
"""

# keys by their patterns; one by one, as in a cluster they are in many slots
FLUSH: Final = """
local failed = 0
for _, pattern in ipairs(ARGV) do
  for _, key in ipairs(redis.call('KEYS', pattern)) do
    if redis.pcall('UNLINK', key) ~= 1 then failed = failed + 1 end
  end
end
return failed
"""

TEXT: Final = _COMMON + _LUA
SHA: Final = hashlib.sha1(TEXT.encode(), usedforsecurity=False).hexdigest()
