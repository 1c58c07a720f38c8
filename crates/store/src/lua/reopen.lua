--- reopen: tries chosen tests of an ended run again, in a new epoch of the run that ends with a collection of its own.
-- Called with chunks of the chosen tests; the last call makes them claimable. In between the run is `reopening`: nothing of
-- it can be claimed, and when the caller dies the sweeper opens it with what has been moved. Safe to repeat.
-- Promises: NO-LOST-TEST, COUNTDOWN-EXACT, COLLECT-ONCE, TERMINAL-ALWAYS, ZOMBIE-HARMLESS
-- Flags: none
-- Keys: run run:config run:tests run:kept run:again run:results run:countdown run:summary clock endpoint endpoints
--   paused leases worker:jobs control:attempts control:owners wakes run:waits run:unmet run:needs run:groups
--   run:grouped run:dependents ready:endpoints fleet endpoint:waiting endpoint:tenants endpoint:slots
--   endpoint:lingering mails deadlines outbox dead dead:jobs bell
-- ARGV: 1 run id; 2 the epoch to open: one more than the run has; 3 run deadline ms; 4 staging timeout ms; 5 `last` with
--   the last chunk, or ''; 6 number of the endpoint's limits; name, value pairs of them; then per test (at most 500): index,
--   its status so far
-- Answers: reopening (tests without a result) | opened (tests without a result) | already (state) | nothing |
--   closed (state) | unknown
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include opening
--@include holding
--@include counting
--@include retaking
local run, epoch = ARGV[1], tonumber(ARGV[2])
local state, endpoint, total, reached, recovering =
  unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint', 'total', 'epoch', 'recovering'))
if not state then return { 'unknown' } end
reached = tonumber(reached) or 1
local ended = total and (state == 'completed' or state == 'partial' or state == 'failed' or state == 'cancelled')
if state ~= 'reopening' and reached >= epoch then return { 'already', state } end
-- Also while a collection opens a recovery round: the run has not ended.
if state == 'reopening' and (reached ~= epoch or recovering) then return { 'closed', state } end
if state ~= 'reopening' and (not ended or reached + 1 ~= epoch) then return { 'closed', state } end

local chosen = {}
local first = 7 + 2 * tonumber(ARGV[6])
for at = first, #ARGV, 2 do
  local index = ARGV[at]
  -- Moved already by an earlier call, or its payload was not kept: it has passed.
  local payload = redis.call('HGET', run_key(run, 'kept'), index)
  if payload and redis.call('HEXISTS', run_key(run, 'results'), index) == 1 then
    chosen[#chosen + 1] = { index = index, payload = payload, status = ARGV[at + 1] }
  end
end
if ended and #chosen == 0 then return { 'nothing' } end

-- The notification of the epoch before is overtaken. Whoever is sending it has lost the right to say so.
local function withdraw_notification()
  local job = 'notify:' .. run
  local owner = read_owner(redis.call('HGET', key('control:owners'), job))
  if owner then redis.call('SREM', worker_key(owner.worker, 'jobs'), job) end
  redis.call('HDEL', key('control:owners'), job)
  redis.call('HDEL', key('control:attempts'), job)
  redis.call('ZREM', key('leases'), job)
  redis.call('ZREM', key('mails'), job)
  redis.call('ZREM', key('dead'), job)
  redis.call('HDEL', key('dead:jobs'), job)
  redis.call('HDEL', key('outbox'), run)
end
if ended then
  for _, part in ipairs({ 'config', 'kept', 'results', 'countdown', 'needs', 'dependents', 'grouped', 'groups' }) do
    redis.call('PERSIST', run_key(run, part))
  end
  redis.call('PERSIST', run_key(run))
  redis.call('DEL', run_key(run, 'summary'))
  withdraw_notification()
  redis.call('HDEL', run_key(run), 'ended_at', 'collecting_at', 'started_at', 'released_at', 'stop', 'damage', 'mail',
    'mail_error', 'spent_requests', 'spent_tokens', 'spent_cost', 'rounds', 'recovering')
  -- Also what was cut short before it was claimed is claimed from `again`, and from nowhere else.
  redis.call('HSET', run_key(run), 'state', 'reopening', 'epoch', whole(epoch), 'deadline_ms', ARGV[3], 'next', total)
  set_limits(endpoint, 7, first - 1)
end
for _, test in ipairs(chosen) do retake(run, test.index, test.status, test.payload) end
local left = write_countdown(run, tonumber(total))
redis.call('ZADD', key('deadlines'), whole(now + tonumber(ARGV[4])), run)
if ARGV[5] ~= 'last' then return { 'reopening', left } end
open_run(run, endpoint, tonumber(ARGV[3]))
return { 'opened', left }
