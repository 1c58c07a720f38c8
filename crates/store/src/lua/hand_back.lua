--- hand_back: gives jobs back unspent: the attempt does not count. A control job that is given back with a delay is
-- one that failed: its attempt counts, so that the next delay can be longer.
-- Promises: NO-LOST-TEST, ZOMBIE-HARMLESS, GRACEFUL
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:dialogues run:kept run:owners run:results run:summary run:tests
--   run:tries aside bell control control:attempts control:owners lingering wakes run:grouped run:group ready:endpoints
--   fleet endpoint:waiting endpoint:tenants endpoint:lingering endpoint:history deadlines paused delayed clock mails
--   endpoint endpoint:slots leases outbox quarantine quarantine:reasons worker:jobs
-- ARGV: 1 worker incarnation; 2 `unsent` when nothing was sent of the tests, or ''; then per job (at most 256): job id, fence, delay ms
-- Answers: a word per job: released | lost | closed | unknown
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include holding
--@include lane
--@include closing
--@include spending
--@include damage
--@include releasing
--@include releasing_control
local worker, words = ARGV[1], {}
local function hand_back_test(run, index, fence, due)
  local held = redis.call('HGET', run_key(run, 'owners'), index)
  if not holds(held, worker, fence) then
    stop_lingering(run, index, fence)
    return 'lost'
  end
  if ARGV[2] ~= 'unsent' then lose_request(run) end
  local owner = read_owner(held)
  return release_test(run, index, owner, owner.attempt - 1, owner.lost, due)
end
for at = 3, #ARGV, 3 do
  local job, fence, due = ARGV[at], ARGV[at + 1], now + tonumber(ARGV[at + 2])
  local run, index = split_job(job)
  if run then
    words[#words + 1] = guarded(run, hand_back_test, run, index, fence, due) or 'closed'
  elseif holds(redis.call('HGET', key('control:owners'), job), worker, fence) then
    release_control(job, worker, due, due <= now)
    words[#words + 1] = 'released'
  else
    words[#words + 1] = 'lost'
  end
end
if redis.call('EXISTS', key('ready:endpoints'), key('control'), key('mails')) > 0 then ring() end
return words
