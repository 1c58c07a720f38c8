--- retry: ends attempts without a result; each test may be claimed again after its delay. Holds no slot meanwhile.
-- Promises: NO-LOST-TEST, ZOMBIE-HARMLESS, ATTEMPTS-BOUNDED, LIMITS-HOLD
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:kept run:owners run:results run:summary run:tests run:tries aside
--   bell endpoint endpoint:parked endpoint:slots leases quarantine quarantine:reasons ready clock delayed paused
--   worker:jobs
-- ARGV: 1 worker incarnation; then per job (at most 256): run, index, fence, delay ms
-- Answers: a word per job: released | lost | closed | unknown
--@include keys
--@include time
--@include bell
--@include placing
--@include holding
--@include releasing
--@include damage
local worker, words = ARGV[1], {}
local function give_up(run, index, fence, due)
  local held = redis.call('HGET', run_key(run, 'owners'), index)
  if not holds(held, worker, fence) then return 'lost' end
  local owner = read_owner(held)
  return release_test(run, index, owner, owner.attempt, owner.lost, due)
end
for at = 2, #ARGV, 4 do
  local run = ARGV[at]
  words[#words + 1] = guarded(run, give_up, run, ARGV[at + 1], ARGV[at + 2], now + tonumber(ARGV[at + 3])) or 'closed'
end
if redis.call('ZCARD', key('ready')) > 0 then ring() end
return words
