--- sweep: ends runs past their deadline, removes submissions nobody finished, finds collections and places in `ready`
-- that were lost, and forgets what its retention is over for: runs, jobs given up, and endpoints that no run has used.
-- Any process may call it, so runs end also with no worker alive.
-- Promises: SUBMIT-ATOMIC, COLLECT-ONCE, TERMINAL-ALWAYS, PROGRESS-AFTER-HEAL, NO-LEAK
-- Flags: allow-oom
-- Keys: run run:again run:config run:countdown run:dialogues run:kept run:owners run:results run:summary run:tests
--   run:tries aside bell control control:owners lingering run:grouped run:dependents wakes run:waits run:unmet
--   run:needs run:groups run:group ready:endpoints fleet endpoint:waiting endpoint:tenants endpoint:lingering
--   endpoint:history paused delayed clock mails dead dead:jobs deadlines endpoint endpoint:slots endpoints leases
--   outbox quarantine quarantine:reasons runs sweeper
-- ARGV: 1 retention ms of a submission that was abandoned, of jobs given up, and of endpoints
-- Answers: swept (runs past their deadline, submissions removed, collections and mails queued again, runs forgotten, runs set aside
--   because no script can work on them, ids of open runs that may miss tests)
--@include keys
--@include time
--@include bell
--@include admission
--@include placing
--@include shaping
--@include opening
--@include holding
--@include closing
--@include spending
--@include damage
--@include delaying
local RUNS_AT_MOST, FORGET_AT_MOST, DEAD_AT_MOST, ENDPOINTS_AT_MOST, MAILS_AT_MOST, TRIES_AT_MOST = 100, 50, 200, 50, 16, 500
local late, abandoned, requeued, forgotten, suspicious = 0, 0, 0, 0, {}
local function end_overdue(run)
  local state, endpoint = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint'))
  if is_open(state) then
    begin_collection(run, endpoint, 'deadline')
    late = late + 1
  elseif state == 'collecting' then
    local job = 'collect:' .. run
    -- A holder without a lease is one that nobody would take it from.
    local held = redis.call('HEXISTS', key('control:owners'), job) == 1 and redis.call('ZSCORE', key('leases'), job)
    if not held and not redis.call('ZSCORE', key('control'), job) then
      redis.call('HDEL', key('control:owners'), job)
      redis.call('ZADD', key('control'), now_text, job)
      ring()
      requeued = requeued + 1
    end
    redis.call('ZADD', key('deadlines'), whole(now + COLLECT_GRACE_MS), run)
  elseif state == 'reopening' then
    -- Whoever reopened it is gone. What it chose so far is tried again; the rest has its results.
    open_run(run, endpoint, tonumber(redis.call('HGET', run_key(run), 'deadline_ms')) or 0)
  else
    redis.call('ZREM', key('deadlines'), run)
    if not state then
      local wrong = diagnose(run)
      if wrong then quarantine(run, wrong) end
    end
    if state == 'preparing' then
      redis.call('HSET', run_key(run), 'state', 'failed', 'stop', 'abandoned', 'ended_at', now_text)
    end
    if state == 'preparing' or state == 'cancelled' then
      redis.call('UNLINK', run_key(run, 'tests'))
      forget_shape(run)
      redis.call('PEXPIRE', run_key(run), ARGV[1])
      redis.call('PEXPIRE', run_key(run, 'config'), ARGV[1])
      abandoned = abandoned + 1
    end
  end
end
for _, run in ipairs(redis.call('ZRANGE', key('deadlines'), '-inf', now_text, 'BYSCORE', 'LIMIT', 0, RUNS_AT_MOST)) do
  guarded(run, end_overdue, run)
end
-- An open run that could be claimed from and waits nowhere has lost its place; an endpoint with room that nobody is offered
-- has lost its turn. Neither happens by our transitions, but a server may lose a key.
local function heal(run, endpoint, next_index, total, cap, shaped)
  if shaped and redis.call('EXISTS', run_key(run, 'owners')) == 0 then wake_groups(run) end
  end_if_spent(run, endpoint)
  if redis.call('HGET', run_key(run), 'state') == 'collecting' then return end
  if next_index == total and redis.call('LLEN', run_key(run, 'again')) == 0 then return end
  if redis.call('HLEN', run_key(run, 'owners')) < tonumber(cap) then place(run, endpoint) end
  local tenant = tenant_of(run)
  if redis.call('ZSCORE', waiting_key(endpoint, tenant), run) then
    redis.call('ZADD', endpoint_key(endpoint, 'tenants'), 'NX', 0, tenant)
    offer(endpoint)
  end
end
-- Whether a test of an open run may be in no place: fewer are waiting, held or done than were given out, and those that
-- were tried before and wait for another attempt do not make up for it.
local function may_miss_tests(run, next_index, shaped, mode)
  local elsewhere = tonumber(next_index) - redis.call('LLEN', run_key(run, 'again'))
    - redis.call('HLEN', run_key(run, 'owners')) - redis.call('HLEN', run_key(run, 'results'))
  if shaped then elsewhere = elsewhere - count_shaped(run, mode) end
  if elsewhere == 0 then return false end
  if elsewhere < 0 or elsewhere > redis.call('ZCARD', key('delayed')) then return true end
  -- Looking at each of very many would keep everybody waiting, every time. What is missing among them shows when they are
  -- not delayed any more.
  return redis.call('HLEN', run_key(run, 'tries')) <= TRIES_AT_MOST and elsewhere ~= count_delayed(run)
end
-- A mail that nobody will deliver is queued again; that of a run that is gone has nobody to tell of.
for _, run in ipairs(redis.call('HRANDFIELD', key('outbox'), MAILS_AT_MOST)) do
  local job = 'notify:' .. run
  if redis.call('EXISTS', run_key(run)) == 0 then
    redis.call('HDEL', key('outbox'), run)
    redis.call('ZREM', key('mails'), job)
  elseif not redis.call('ZSCORE', key('mails'), job) and redis.call('HEXISTS', key('control:owners'), job) == 0 then
    redis.call('ZADD', key('mails'), now_text, job)
    ring()
    requeued = requeued + 1
  end
end
redis.call('ZREMRANGEBYSCORE', key('lingering'), '-inf', now_text)
local old = redis.call('ZRANGE', key('dead'), '-inf', whole(now - tonumber(ARGV[1])), 'BYSCORE', 'LIMIT', 0, DEAD_AT_MOST)
if #old > 0 then
  redis.call('ZREM', key('dead'), unpack(old))
  redis.call('HDEL', key('dead:jobs'), unpack(old))
end
-- The score is the latest deadline of a run against the endpoint, so none is open that would miss the limits; what still
-- holds a slot or waits for one keeps them nevertheless.
local unused = redis.call('ZRANGE', key('endpoints'), '-inf', whole(now - tonumber(ARGV[1])), 'BYSCORE',
  'LIMIT', 0, ENDPOINTS_AT_MOST)
for _, endpoint in ipairs(unused) do
  redis.call('ZREMRANGEBYSCORE', endpoint_key(endpoint, 'lingering'), '-inf', now_text)
  -- What an operator has set stays until it is cleared.
  local kept = redis.call('HMGET', endpoint_key(endpoint), 'set:max_concurrency', 'set:rate', 'set:tokens', 'set:adaptive',
    'set:breaker', 'hold_until')
  local in_use = redis.call('EXISTS', endpoint_key(endpoint, 'slots'), endpoint_key(endpoint, 'tenants'),
    endpoint_key(endpoint, 'lingering'))
  local held = kept[6] == '-1' or (tonumber(kept[6]) or 0) > now
  if in_use > 0 or kept[1] or kept[2] or kept[3] or kept[4] or kept[5] or held then
    -- Behind the others, or they would never be looked at.
    redis.call('ZADD', key('endpoints'), 'XX', now_text, endpoint)
  else
    redis.call('DEL', endpoint_key(endpoint), endpoint_key(endpoint, 'history'))
    redis.call('ZREM', key('ready:endpoints'), endpoint)
    redis.call('ZREM', key('wakes'), endpoint)
    redis.call('ZREM', key('endpoints'), endpoint)
  end
end
-- Walks the list of runs a page at a time, from where the last sweep stopped.
local from = tonumber(redis.call('HGET', key('sweeper'), 'cursor')) or 0
local page = redis.call('ZRANGE', key('runs'), from, from + FORGET_AT_MOST - 1)
local function look_after(run)
  local state, endpoint, next_index, total, cap, format, shaped, mode = unpack(redis.call('HMGET', run_key(run), 'state',
    'endpoint', 'next', 'total', 'cap', 'format', 'shaped', 'mode'))
  local wrong = (not state or is_open(state)) and diagnose(run)
  if wrong then
    quarantine(run, wrong)
  elseif not state then
    redis.call('ZREM', key('runs'), run)
    forgotten = forgotten + 1
  elseif is_open(state) and (format or FORMAT) == FORMAT then
    heal(run, endpoint, next_index, total, cap, shaped)
    if may_miss_tests(run, next_index, shaped, mode) then suspicious[#suspicious + 1] = run end
  end
end
for _, run in ipairs(page) do guarded(run, look_after, run) end
local stop = (#page < FORGET_AT_MOST) and 0 or from + #page - forgotten
redis.call('HSET', key('sweeper'), 'cursor', whole(stop))
return { 'swept', late, abandoned, requeued, forgotten, redis.call('ZCARD', key('quarantine')), suspicious }
