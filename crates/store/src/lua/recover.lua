--- recover: a recovery round: takes results of tests in error back, under the right of the collection, and opens the run again
-- instead of ending it. Called with chunks of the chosen tests; the first call ends the collection and begins the next epoch,
-- the last one makes the tests claimable. In between the run is `reopening`: nothing of it can be claimed, and when the caller
-- dies the sweeper opens it with what has been taken back. The deadline and what was spent of the budget go on. Safe to repeat.
-- Promises: NO-LOST-TEST, COUNTDOWN-EXACT, COLLECT-ONCE, TERMINAL-ALWAYS, ZOMBIE-HARMLESS
-- Flags: allow-oom
-- Keys: run run:tests run:kept run:again run:tries run:results run:countdown clock endpoint endpoints paused leases worker:jobs
--   control control:attempts control:owners wakes run:waits run:unmet run:needs run:groups run:group ready:endpoints fleet
--   endpoint:waiting endpoint:tenants endpoint:slots endpoint:lingering deadlines dead dead:jobs bell
-- ARGV: 1 worker incarnation; 2 run id; 3 fence of the collection; 4 the epoch to open: one more than the run has; 5 staging
--   timeout ms; 6 `last` with the last chunk, or ''; then per test (at most 500): index, its status so far, its payload
-- Answers: recovering (tests without a result) | opened (tests without a result) | already (state) | nothing | late | spent |
--   stopped | incomplete (tests without a result) | lost | closed (state) | unknown
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include opening
--@include holding
--@include counting
--@include closing
--@include spending
--@include retaking
local worker, run, epoch = ARGV[1], ARGV[2], tonumber(ARGV[4])
local job, right = 'collect:' .. run, ARGV[1] .. '|' .. ARGV[3]
local state, endpoint, total, reached, stop, deadline_at, recovering, budget = unpack(redis.call('HMGET', run_key(run),
  'state', 'endpoint', 'total', 'epoch', 'stop', 'deadline_at', 'recovering', 'budget'))
if not state then return { 'unknown' } end
reached = tonumber(reached) or 1
local begins = state == 'collecting'
if begins then
  if not holds(redis.call('HGET', key('control:owners'), job), worker, ARGV[3]) then return { 'lost' } end
  if reached + 1 ~= epoch then return { 'closed', state } end
  if stop then return { 'stopped' } end
  -- One that was activated by a version without rounds does not say when it has to end.
  if (tonumber(deadline_at) or 0) <= now then return { 'late' } end
  local left = tonumber(total) - redis.call('HLEN', run_key(run, 'results'))
  if left ~= 0 then return { 'incomplete', left } end
  if budget and affordable_requests(run, 0) < 1 then return { 'spent' } end
elseif state == 'reopening' and reached == epoch then
  -- Somebody else's: a person tries tests of the ended run again.
  if recovering ~= right then return { 'lost' } end
elseif reached >= epoch then
  return { 'already', state }
else
  return { 'closed', state }
end
local chosen = {}
for at = 7, #ARGV, 3 do
  local index = ARGV[at]
  -- Moved already by an earlier call, or its payload was not kept.
  if redis.call('HEXISTS', run_key(run, 'kept'), index) == 1 and redis.call('HEXISTS', run_key(run, 'results'), index) == 1 then
    chosen[#chosen + 1] = { index = index, status = ARGV[at + 1], payload = ARGV[at + 2] }
  end
end
if begins and #chosen == 0 then return { 'nothing' } end
if begins then
  redis.call('HDEL', key('control:owners'), job)
  redis.call('HDEL', key('control:attempts'), job)
  redis.call('ZREM', key('leases'), job)
  redis.call('SREM', worker_key(worker, 'jobs'), job)
  redis.call('ZREM', key('control'), job)
  redis.call('UNLINK', run_key(run, 'again'), run_key(run, 'tries'), run_key(run, 'waits'), run_key(run, 'unmet'))
  forget_groups(run)
  redis.call('HDEL', run_key(run), 'collecting_at')
  redis.call('HINCRBY', run_key(run), 'rounds', 1)
  -- Everything is claimed from `again`.
  redis.call('HSET', run_key(run), 'state', 'reopening', 'epoch', whole(epoch), 'recovering', right, 'next', total)
end
for _, test in ipairs(chosen) do retake(run, test.index, test.status, test.payload) end
local left = write_countdown(run, tonumber(total))
-- Never later than the run has to end.
redis.call('ZADD', key('deadlines'), whole(math.min(now + tonumber(ARGV[5]), tonumber(deadline_at) or now)), run)
if ARGV[6] ~= 'last' then return { 'recovering', left } end
open_run(run, endpoint, 0)
return { 'opened', left }
