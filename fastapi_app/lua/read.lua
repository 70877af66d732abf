-- KEYS: log, delivered. ARGV: the id behind which frames are wanted.
-- {those frames, 1 when they have the end, 1 when it was delivered}
local _, ended = last(KEYS[1])
return {since(KEYS[1], ARGV[1]), ended and 1 or 0, redis.call('EXISTS', KEYS[2])}
