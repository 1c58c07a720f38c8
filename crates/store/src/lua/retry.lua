--- retry: ends attempts without a result; each test may be claimed again after its delay. Holds no slot meanwhile.
-- Promises: NO-LOST-TEST, ZOMBIE-HARMLESS, ATTEMPTS-BOUNDED, LIMITS-HOLD
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:dialogues run:kept run:owners run:results run:summary run:tests
--   run:tries aside bell endpoint endpoint:slots leases quarantine quarantine:reasons clock delayed paused worker:jobs
--   control deadlines endpoint:history endpoint:lingering endpoint:tenants endpoint:waiting fleet ready:endpoints
--   run:group run:grouped wakes lingering
-- ARGV: 1 worker incarnation; then per job (at most 256): run, index, fence, delay ms, what the attempt told or ''
-- Answers: a word per job: released | lost | closed | unknown
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
--@include releasing
local worker, words = ARGV[1], {}
local function give_up(run, index, fence, due, told)
  local held = redis.call('HGET', run_key(run, 'owners'), index)
  if not holds(held, worker, fence) then
    local endpoint = stop_lingering(run, index, fence)
    if endpoint then take_feedback(run, endpoint, told, 1, nil, nil) end
    return 'lost'
  end
  local owner = read_owner(held)
  -- Before the test is free: what it tells may hold the endpoint that would be offered.
  local endpoint, cost_ms, budget = unpack(redis.call('HMGET', run_key(run), 'endpoint', 'cost_ms', 'budget'))
  if endpoint then take_feedback(run, endpoint, told, 0, cost_ms, budget) end
  return release_test(run, index, owner, owner.attempt, owner.lost, due)
end
for at = 2, #ARGV, 5 do
  local run = ARGV[at]
  words[#words + 1] = guarded(run, give_up, run, ARGV[at + 1], ARGV[at + 2], now + tonumber(ARGV[at + 3]), ARGV[at + 4])
    or 'closed'
end
if redis.call('ZCARD', key('ready:endpoints')) > 0 then ring() end
return words
