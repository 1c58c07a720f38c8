--- set_endpoint: an operator's limits of an endpoint, which hold over those that runs bring until they are cleared.
-- Promises: LIMITS-HOLD, PROGRESS-AFTER-HEAL
-- Flags: allow-oom
-- Keys: endpoint endpoint:tenants endpoint:slots endpoint:lingering endpoint:history endpoints ready:endpoints wakes clock
--   bell
-- ARGV: 1 endpoint; then name, value pairs: `max_concurrency`, `rate`, `tokens`, `adaptive`, `breaker`; the value `none` lifts
--   the limit, '' clears what was set
-- Answers: set
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include opening
--@include noting
local endpoint = ARGV[1]
for at = 2, #ARGV, 2 do
  set_or_drop(endpoint_key(endpoint), 'set:' .. ARGV[at], ARGV[at + 1] ~= '' and ARGV[at + 1])
  note(endpoint, '', 'set', ARGV[at] .. ' ' .. (ARGV[at + 1] ~= '' and ARGV[at + 1] or 'as runs bring it'))
end
redis.call('ZADD', key('endpoints'), 'GT', now_text, endpoint)
derive_limits(endpoint)
ring()
return { 'set' }
