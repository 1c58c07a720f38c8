--- hand_back: gives jobs back unspent: the attempt does not count. A control job that is given back with a delay is
-- one that failed: its attempt counts, so that the next delay can be longer.
-- Promises: NO-LOST-TEST, ZOMBIE-HARMLESS, GRACEFUL
-- Flags: allow-oom
-- Keys: run run:owners run:tries run:again ready clock endpoint:parked paused endpoint:slots leases worker:jobs delayed
--   control control:attempts control:owners bell
-- ARGV: 1 worker incarnation; then per job (at most 256): job id, fence, delay ms
-- Answers: a word per job: released | lost | closed | unknown
--@include keys
--@include time
--@include bell
--@include placing
--@include holding
--@include releasing
--@include releasing_control
local worker, words = ARGV[1], {}
for at = 2, #ARGV, 3 do
  local job, fence, due = ARGV[at], ARGV[at + 1], now + tonumber(ARGV[at + 2])
  local run, index = split_job(job)
  local held
  if run then held = redis.call('HGET', run_key(run, 'owners'), index)
  else held = redis.call('HGET', key('control:owners'), job) end
  if not holds(held, worker, fence) then
    words[#words + 1] = 'lost'
  elseif run then
    local owner = read_owner(held)
    words[#words + 1] = release_test(run, index, owner, owner.attempt - 1, owner.lost, due)
  else
    release_control(job, worker, due, due <= now)
    words[#words + 1] = 'released'
  end
end
if redis.call('ZCARD', key('ready')) > 0 or redis.call('ZCARD', key('control')) > 0 then ring() end
return words
