--- hold_endpoint: no test of the endpoint begins until a time, or until somebody releases it. What is in flight ends as usual.
-- Promises: LIMITS-HOLD
-- Flags: allow-oom
-- Keys: endpoint endpoint:tenants endpoint:slots endpoint:lingering endpoint:history endpoints ready:endpoints wakes clock
-- ARGV: 1 endpoint; 2 ms from now, or -1: until it is released; 3 why, for people
-- Answers: held (ms since 1970, or -1)
--@include keys
--@include time
--@include admission
--@include placing
--@include noting
local endpoint = ARGV[1]
local until_ms = ARGV[2] == '-1' and '-1' or whole(now + tonumber(ARGV[2]))
redis.call('HSET', endpoint_key(endpoint), 'hold_until', until_ms, 'hold_reason', ARGV[3])
redis.call('ZADD', key('endpoints'), 'GT', now_text, endpoint)
redis.call('ZREM', key('ready:endpoints'), endpoint)
offer(endpoint)
note(endpoint, '', 'hold', (ARGV[2] == '-1' and 'until it is released' or 'for ' .. ARGV[2] .. ' ms')
  .. (ARGV[3] ~= '' and ': ' .. ARGV[3] or ''))
return { 'held', until_ms }
