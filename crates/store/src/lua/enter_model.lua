-- enter_model: lets a call of a model in, or says how long to wait. The limits come with the call: each keeps to those of its
--   own configuration. What a call holds ends by itself when the call may not take longer, so a lost worker keeps no place.
-- Promises: LIMITS-HOLD
-- Flags: allow-oom
-- Keys: model
-- ARGV: 1 model; 2 permit; 3 ms that the call may take; 4 calls at once, or ''; 5 µs between calls, or ''; 6 µs that a call may
--   come too early
-- Answers: entered | wait (ms; hold, max_concurrency or rate)
--@include keys
--@include time
--@include admission
local state, calls = key('model:' .. ARGV[1] .. ':state'), key('model:' .. ARGV[1] .. ':calls')
local lasts = tonumber(ARGV[3])
-- Asked again because the answer was lost: it is in.
local held = tonumber(redis.call('ZSCORE', calls, ARGV[2]))
if held and held > now then return { 'entered' } end
local hold_until, tat = unpack(redis.call('HMGET', state, 'hold_until', 'tat'))
local hold = (tonumber(hold_until) or 0) - now
if hold > 0 then return { 'wait', whole(math.ceil(hold)), 'hold' } end
local most, interval = tonumber(ARGV[4]), tonumber(ARGV[5])
if most and redis.call('ZCOUNT', calls, '(' .. now_text, '+inf') >= most then
  local first = redis.call('ZRANGE', calls, '(' .. now_text, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
  return { 'wait', whole(math.ceil((tonumber(first[2]) or now) - now)), 'max_concurrency' }
end
if interval then
  local count, at = conforming(tat, interval, tonumber(ARGV[6]) or 0)
  if count < 1 then return { 'wait', whole(math.ceil(math.max(1, at - now))), 'rate' } end
end
-- A key lives as long as it says something.
local function keep(name, ms)
  if redis.call('PTTL', name) < ms then redis.call('PEXPIRE', name, whole(math.ceil(ms))) end
end
redis.call('ZREMRANGEBYSCORE', calls, '-inf', now_text)
if most or interval then
  redis.call('ZADD', calls, whole(now + lasts), ARGV[2])
  keep(calls, lasts)
end
if interval then
  local next_tat = math.max(tonumber(tat) or 0, now_us) + interval
  redis.call('HSET', state, 'tat', string.format('%.3f', next_tat))
  keep(state, (next_tat - now_us) / 1000 + 1)
end
return { 'entered' }
