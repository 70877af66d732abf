-- KEYS: session, lease, log. ARGV: worker, lease in ms, the id behind which frames are wanted.
-- {1 when the worker makes the answer now, those frames, 1 when they have the end}
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, '', 0}
end
local _, ended = last(KEYS[3])
local taken = not ended and redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
return {taken and 1 or 0, since(KEYS[3], ARGV[3]), ended and 1 or 0}
