--- retry: ends attempts without a result; each test may be claimed again after its delay. Holds no slot meanwhile.
-- Promises: NO-LOST-TEST, ZOMBIE-HARMLESS, ATTEMPTS-BOUNDED, LIMITS-HOLD
-- Flags: allow-oom
-- Keys: run run:owners run:tries run:again ready clock endpoint:parked paused endpoint:slots leases worker:jobs delayed bell
-- ARGV: 1 worker incarnation; then per job (at most 256): run, index, fence, delay ms
-- Answers: a word per job: released | lost | closed | unknown
--@include keys
--@include time
--@include bell
--@include placing
--@include holding
--@include releasing
local worker, words = ARGV[1], {}
for at = 2, #ARGV, 4 do
  local run, index = ARGV[at], ARGV[at + 1]
  local held = redis.call('HGET', run_key(run, 'owners'), index)
  if holds(held, worker, ARGV[at + 2]) then
    local owner = read_owner(held)
    words[#words + 1] = release_test(run, index, owner, owner.attempt, owner.lost, now + tonumber(ARGV[at + 3]))
  else
    words[#words + 1] = 'lost'
  end
end
if redis.call('ZCARD', key('ready')) > 0 then ring() end
return words
