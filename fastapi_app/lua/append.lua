-- KEYS: session, lease, log, bytes.
-- ARGV: worker, lease in ms, time to keep in ms, most bytes, the id behind which the frames come, 1 when the
-- last is the end, then each frame's id and the frame. Without frames, the lease is renewed.
-- 'put'; or 'ended' or 'lost' to another writer; or 'gone', when what was put here is here no more.
local worker, lease_ms, keep_ms, most, behind, ends = unpack(ARGV, 1, 6)
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'gone'
end
local id, ended = last(KEYS[3])
if ended then
  return 'ended'
end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= worker then
  return 'lost'
end
if id ~= behind then
  return holder and 'gone' or 'lost'
end
-- A lease that ran out is taken again: nobody has put anything since.
redis.call('SET', KEYS[2], worker, 'PX', lease_ms)
for at = 7, #ARGV, 2 do
  put(KEYS[3], KEYS[4], tonumber(most), ARGV[at], ARGV[at + 1], ends == '1' and at + 1 == #ARGV)
end
for _, key in ipairs({KEYS[1], KEYS[3], KEYS[4]}) do
  redis.call('PEXPIRE', key, keep_ms)
end
return 'put'
