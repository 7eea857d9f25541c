-- Functions that name too much before `...`, written so that they name nothing: what is safe in
-- Lua 5.1. Given to mended.lua, which says what is too much.
--
-- `function f(a, b, c, ...) g(...) end` becomes
-- `function f(...) local a,b,c=... g(rest(4,...)) end`, in as many lines.
--
-- 1. What is given compiles already, so nothing is checked. What comes of it is compiled and
--    looked through again by mended.lua.
-- 2. A function that has `...` in its own body is given no table `arg`: there the name is nil, or
--    a variable of the script, before and after.

local rest, most_named = ...
local concat, find, sub = table.concat, string.find, string.sub

local OPENS = {['do'] = true, ['if'] = true, ['repeat'] = true}
local CLOSES = {['end'] = true, ['until'] = true}

-- Where what is quoted, or in long brackets, ends.
local function skip_text(text, at)
  local _, stop, level = find(text, '^%[(=*)%[', at)
  if stop then
    _, stop = find(text, ']' .. level .. ']', stop + 1, true)
    return stop
  end
  local quote = sub(text, at, at)
  while true do
    at = find(text, '[\\' .. quote .. ']', at + 1)
    if sub(text, at, at) == quote then return at end
    at = at + 1
  end
end

-- The next token from an index on: itself, where it begins, and where it ends; nil at the end.
local function token(text, at)
  while true do
    at = find(text, '%S', at)
    if not at then return nil end
    if sub(text, at, at + 1) ~= '--' then break end
    if find(text, '^%[=*%[', at + 2) then
      at = skip_text(text, at + 2) + 1
    else
      at = find(text, '\n', at, true)
      if not at then return nil end
    end
  end
  local _, stop = find(text, '^[%a_][%w_]*', at)
  if not stop then _, stop = find(text, '^%.?%d[%w_.]*', at) end
  if not stop and sub(text, at, at + 2) == '...' then stop = at + 2 end
  if not stop and sub(text, at, at + 1) == '..' then stop = at + 1 end
  if not stop and find(text, '^["\']', at) or find(text, '^%[=*%[', at) then
    stop = skip_text(text, at)
  end
  stop = stop or at
  return sub(text, at, stop), at, stop
end

-- What a function names: the names, where their list begins and ends, and whether `...` is last.
local function parameters(text, at)
  local names, is_vararg, word, begin, stop = {}, false, nil, nil, at
  repeat word, begin, stop = token(text, stop + 1) until word == '('
  begin = begin + 1
  while true do
    word, at, stop = token(text, stop + 1)
    if word == ')' then return names, begin, at - 1, is_vararg end
    if word == '...' then
      is_vararg = true
    elseif word ~= ',' then
      names[#names + 1] = word
    end
  end
end

-- Whether a name, after what is before it and where it ends, is that of a field.
local function is_field(text, before, stop)
  if before == '.' then return true end
  return (before == '{' or before == ',') and find(text, '^%s*=[^=]', stop + 1) ~= nil
end

-- A source as it is to be; nil if a function uses the table `arg` of Lua 5.0.
return function(text)
  local out, done, blocks, block = {}, 0, {}, {}
  local before, word, at, stop = nil, nil, nil, 0

  local function replace(from, to, by)
    out[#out + 1] = sub(text, done + 1, from - 1)
    out[#out + 1] = by
    done = to
  end

  -- The function that a block is in.
  local function owner_of(inner)
    while inner.outer do inner = inner.outer end
    return inner
  end

  while true do
    before = word
    word, at, stop = token(text, stop + 1)
    if not word then break end
    if word == 'function' then
      local names, begin, last, is_vararg = parameters(text, stop)
      blocks[#blocks + 1] = block
      block = {around = owner_of(block), is_vararg = is_vararg}
      stop = last + 1
      if is_vararg and #names + 1 >= most_named then
        block.first = #names + 1
        replace(begin, last, '...')
        replace(stop, stop, ') local ' .. concat(names, ',') .. '=... ')
      end
    elseif OPENS[word] then
      blocks[#blocks + 1] = block
      block = {outer = block}
    elseif CLOSES[word] then
      if block.uses_arg and not block.has_rest then return nil end
      block = blocks[#blocks]
      blocks[#blocks] = nil
    else
      local owner = owner_of(block)
      if owner.first and word == '...' then
        owner.has_rest = true
        -- what follows a name and brackets might be called
        local ends = token(text, stop + 1) == '('
        replace(at, stop, rest .. '(' .. owner.first .. ',...)' .. (ends and ';' or ''))
      elseif word == 'arg' and not is_field(text, before, stop) then
        -- a function without `...` finds that of the one around it
        while owner and not owner.is_vararg do owner = owner.around end
        if owner and owner.first then owner.uses_arg = true end
      end
    end
  end
  out[#out + 1] = sub(text, done + 1)
  return concat(out)
end
