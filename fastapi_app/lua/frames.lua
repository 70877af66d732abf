-- What the scripts about frames begin with. A log is a stream of entries {f, frame}, the end {f, frame, e, 1}.

-- The id of the last frame, '' without one, and whether it is the end.
local function last(log)
  local entry = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if not entry then
    return '', false
  end
  return entry[1], #entry[2] == 4
end

-- The frames behind an id, as a client reads them.
local function since(log, id)
  local from = id == '' and '-' or '(' .. id
  local text = {}
  for number, entry in ipairs(redis.call('XRANGE', log, from, '+')) do
    text[number] = 'id: ' .. entry[1] .. '\n' .. entry[2][2]
  end
  return table.concat(text)
end

local function cost(id, frame)
  return #'id: \n' + #id + #frame
end

-- Adds a frame; the oldest go when there are more than so many bytes.
local function put(log, bytes, most, id, frame, ended)
  if ended then
    redis.call('XADD', log, id, 'f', frame, 'e', 1)
  else
    redis.call('XADD', log, id, 'f', frame)
  end
  local kept = redis.call('INCRBY', bytes, cost(id, frame))
  while kept > most and redis.call('XLEN', log) > 1 do
    local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
    redis.call('XDEL', log, first[1])
    kept = redis.call('DECRBY', bytes, cost(first[1], first[2][2]))
  end
end

