--- set_fleet: what holds for the whole fleet: tests in flight in all, and whether runs that were started come first.
-- Promises: LIMITS-HOLD, FAIR
-- Flags: allow-oom
-- Keys: fleet bell run endpoint endpoint:tenants endpoint:waiting endpoints
-- ARGV: name, value pairs: `max_concurrency`, `order` (`fair` or `finish-first`); '' clears
-- Answers: set
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
for at = 1, #ARGV, 2 do
  if ARGV[at + 1] == '' then redis.call('HDEL', key('fleet'), ARGV[at])
  else redis.call('HSET', key('fleet'), ARGV[at], ARGV[at + 1]) end
end
-- Those who wait take the places of the new order. Of very many, the rest does when it is served.
local REPLACED_AT_MOST = 10000
local replaced = 0
local function replace_all(endpoint)
  for _, tenant in ipairs(redis.call('ZRANGE', endpoint_key(endpoint, 'tenants'), 0, -1)) do
    local run_clock = redis.call('HGET', endpoint_key(endpoint), 'clock:' .. tenant)
    for _, run in ipairs(redis.call('ZRANGE', waiting_key(endpoint, tenant), 0, REPLACED_AT_MOST - 1)) do
      if replaced == REPLACED_AT_MOST then return end
      replaced = replaced + 1
      local known, at = pcall(place_in_line, run, run_clock)
      if known then redis.call('ZADD', waiting_key(endpoint, tenant), 'XX', at, run) end
    end
  end
end
local changes = {}
for at = 1, #ARGV, 2 do changes[ARGV[at]] = true end
if changes.order then
  for _, endpoint in ipairs(redis.call('ZRANGE', key('endpoints'), 0, -1)) do pcall(replace_all, endpoint) end
end
ring()
return { 'set' }
