--- fill: gives tests of a closed run the result they did not get, under the right of its collection.
-- Promises: NO-LOST-TEST, RESULT-IDEMPOTENT, COUNTDOWN-EXACT, COLLECT-ONCE
-- Flags: allow-oom
-- Keys: run run:tests run:kept run:tries run:owners run:results run:countdown run:dialogues clock endpoint:slots
--   leases worker:jobs delayed control:owners lingering workers wakes run:grouped run:group run:again ready:endpoints
--   endpoint:tenants endpoint:lingering endpoint bell
-- ARGV: 1 worker incarnation; 2 run id; 3 fence of the collection; then per test (at most 500): index, status, result
-- Answers: filled (tests without a result left) | lost | closed (state) | unknown
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include holding
--@include counting
--@include keeping
local worker, run = ARGV[1], ARGV[2]
local state, endpoint, total, dialogues =
  unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'total', 'dialogues'))
if not state then return { 'unknown' } end
if state ~= 'collecting' then return { 'closed', state } end
if not holds(redis.call('HGET', key('control:owners'), 'collect:' .. run), worker, ARGV[3]) then return { 'lost' } end
local freed = 0
total = tonumber(total)
for at = 4, #ARGV, 3 do
  local index, status = ARGV[at], ARGV[at + 1]
  -- An index that the run does not have would bring the countdown below zero.
  if tonumber(index) < total and redis.call('HSETNX', run_key(run, 'results'), index, ARGV[at + 2]) == 1 then
    local owner = read_owner(redis.call('HGET', run_key(run, 'owners'), index))
    if owner then
      linger(run, index, owner, endpoint)
      free(run, index, owner.worker, endpoint)
      freed = freed + 1
    end
    if status ~= 'Skipped' then keep(run, { index }) end
    redis.call('HDEL', run_key(run, 'tests'), index)
    redis.call('HDEL', run_key(run, 'tries'), index)
    if dialogues then redis.call('HDEL', run_key(run, 'dialogues'), index) end
    redis.call('ZREM', key('delayed'), job_id(run, index))
    redis.call('HINCRBY', run_key(run), 'count:' .. status, 1)
  end
end
if freed > 0 then offer(endpoint) end
if freed > 0 and redis.call('ZCARD', key('ready:endpoints')) > 0 then ring() end
return { 'filled', write_countdown(run, total) }
