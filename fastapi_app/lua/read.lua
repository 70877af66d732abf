-- KEYS: log, delivered. ARGV: the id behind which frames are wanted.
-- {those frames, 1 when they have the end, the ticket by which it was delivered or ''}
local _, ended = last(KEYS[1])
return {since(KEYS[1], ARGV[1]), ended and 1 or 0, redis.call('GET', KEYS[2]) or ''}
