--- vacate: frees the slots of tests whose endpoint has answered, while their metrics ask somebody else. Each test stays with
-- its holder; what its attempt told of the endpoint is taken now, once. What it spends of a budget is charged when it ends.
-- Promises: ZOMBIE-HARMLESS, LIMITS-HOLD
-- Flags: allow-oom
-- Keys: aside bell clock endpoint endpoint:history endpoint:lingering endpoint:slots endpoint:tenants endpoint:waiting
--   fleet leases lingering paused quarantine quarantine:reasons ready:endpoints run run:again run:config run:countdown
--   run:dialogues run:kept run:owners run:results run:summary run:tests run:tries wakes
-- ARGV: 1 worker incarnation; then per test (at most 256): run, index, fence, what its attempt told or ''
-- Answers: a word per test: vacated | lost | unknown
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include holding
--@include closing
--@include spending
--@include noting
--@include feedback
--@include damage
local worker, words = ARGV[1], {}
local function leave(run, index, fence, told)
  local endpoint, cost_ms = unpack(redis.call('HMGET', run_key(run), 'endpoint', 'cost_ms'))
  if not endpoint then return 'unknown' end
  local held = redis.call('HGET', run_key(run, 'owners'), index)
  if not holds(held, worker, fence) then
    -- Its run was closed: the call that went on is over.
    if stop_lingering(run, index, fence) then take_feedback(run, endpoint, told, 1, nil, nil) end
    return 'lost'
  end
  local owner = read_owner(held)
  -- Said before, by a call whose answer was lost.
  if owner.answered then return 'vacated' end
  redis.call('HSET', run_key(run, 'owners'), index, held .. ANSWERED)
  local freed = redis.call('SREM', endpoint_key(endpoint, 'slots'), job_id(run, index))
  take_feedback(run, endpoint, told, freed, cost_ms, nil)
  offer(endpoint)
  return 'vacated'
end
for at = 2, #ARGV, 4 do
  words[#words + 1] = guarded(ARGV[at], leave, ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]) or 'lost'
end
if redis.call('ZCARD', key('ready:endpoints')) > 0 then ring() end
return words
