--- release_endpoint: ends whatever holds an endpoint: an operator's hold, a Retry-After, an open breaker.
-- Promises: PROGRESS-AFTER-HEAL
-- Flags: allow-oom
-- Keys: endpoint endpoint:tenants endpoint:slots endpoint:lingering endpoint:history ready:endpoints wakes clock bell
-- ARGV: 1 endpoint
-- Answers: released | not_held
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include noting
local endpoint = ARGV[1]
local until_times = redis.call('HMGET', endpoint_key(endpoint), 'hold_until', 'retry_until', 'open_until')
local is_held = until_times[1] == '-1' or until_times[3]
for _, at in ipairs(until_times) do is_held = is_held or (tonumber(at) or 0) > now end
if not is_held then return { 'not_held' } end
redis.call('HDEL', endpoint_key(endpoint), 'hold_until', 'hold_reason', 'retry_until', 'open_until', 'opened', 'broken')
note(endpoint, '', 'released', 'by an operator')
offer(endpoint)
ring()
return { 'released' }
