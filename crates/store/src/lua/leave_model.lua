-- leave_model: a call of a model is over; where its server asked for that, nobody calls it for a while.
-- Promises: LIMITS-HOLD
-- Flags: allow-oom
-- Keys: model
-- ARGV: 1 model; 2 worker incarnation; 3 permit; 4 ms in which nobody calls, or ''
-- Answers: left
--@include keys
--@include time
local state = key('model:' .. ARGV[1] .. ':state')
local hold = tonumber(ARGV[4])
local held = hold and tonumber(redis.call('HGET', state, 'hold_until')) or 0
redis.call('ZREM', key('model:' .. ARGV[1] .. ':calls'), ARGV[2] .. '|' .. ARGV[3])
if hold then
  local hold_until = math.max(now + hold, held)
  redis.call('HSET', state, 'hold_until', whole(hold_until))
  if redis.call('PTTL', state) < hold_until - now then redis.call('PEXPIRE', state, whole(math.ceil(hold_until - now))) end
end
return { 'left' }
