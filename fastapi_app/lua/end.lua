-- KEYS: session, log, bytes. ARGV: now in ms, the frame, time to keep in ms, most bytes.
-- Puts the end behind the other frames, unless there is one.
local id, ended = last(KEYS[2])
if ended or redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local epoch, seq = string.match(id, '(%d+)-(%d+)')
epoch = math.max(tonumber(ARGV[1]), (tonumber(epoch) or 0) + 1)
seq = (tonumber(seq) or 0) + 1
put(KEYS[2], KEYS[3], tonumber(ARGV[4]), string.format('%.0f-%.0f', epoch, seq), ARGV[2], true)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[3])
end
return 1
