-- KEYS: session, and the user's key where there is one.
-- ARGV: the session's record, its id, time to keep in ms, time to keep the key in ms.
-- The record of the session that the key has already; nil when this one is kept.
if KEYS[2] then
  local known = redis.call('GET', KEYS[2])
  local record = known and redis.call('GET', 'chat:{' .. known .. '}:session')
  if record then
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
    return record
  end
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return nil
