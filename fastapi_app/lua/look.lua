-- KEYS: session, lease, readers, log. ARGV: ms for which readers are known to be here, 0 without any.
-- {1 when the session is known, 1 when somebody makes its answer, the id of the last frame, 1 when it is the end}
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, 0, '', 0}
end
if tonumber(ARGV[1]) > 0 then
  redis.call('SET', KEYS[3], 1, 'PX', ARGV[1])
end
local id, ended = last(KEYS[4])
return {1, redis.call('EXISTS', KEYS[2]), id, ended and 1 or 0}
